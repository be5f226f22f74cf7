package registry

import (
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// rule says which changes a request permits: the one form of If-Match (service-rest
// A.7) and of import modes (B.2).
type rule struct {
	create bool      // what does not exist may be made
	update bool      // what exists may be changed
	match  iot.Match // and then its etag must satisfy this; never MatchCreate with update
}

// putRule is the rule of a PUT with this If-Match.
func putRule(m iot.Match) rule {
	return rule{create: m.Kind == iot.MatchCreate, update: m.Kind != iot.MatchCreate, match: m}
}

// check says whether the rule permits writing id, whose record is old or nil. An
// etag is compared with what is stored at that moment, so a caller that lost a race
// asks again: a stale etag then fails, and '*' goes on.
func (w rule) check(op string, id iot.Identity, old *record) error {
	switch {
	case old == nil && !w.create:
		return notFound(op, id)
	case old != nil && !w.update:
		return exists(op, id)
	case old != nil && !w.match.Holds(iot.IdentityETag(old.etag)):
		return mismatch(op, id)
	}
	return nil
}

// bulkRule is the rule of a bulk item that writes an identity.
func bulkRule(op string, item *iot.BulkItem) (rule, error) {
	anything := iot.Match{Kind: iot.MatchAny}
	switch item.ImportMode {
	case iot.ImportCreate:
		return rule{create: true}, nil
	case iot.ImportUpdate:
		return rule{update: true, match: anything}, nil
	case iot.ImportUpdateIfMatch, iot.ImportCreateOrUpdateIfMatch:
		m, err := bulkMatch(op, item.ETag)
		if err == nil && m.Kind == iot.MatchCreate && item.ImportMode == iot.ImportUpdateIfMatch {
			err = fault.New(fault.ArgumentNull, op, "importMode %s needs an eTag", item.ImportMode)
		}
		return rule{create: item.ImportMode == iot.ImportCreateOrUpdateIfMatch, update: true, match: m}, err
	case iot.ImportCreateOrUpdate, "":
		return rule{create: true, update: true, match: anything}, nil
	case iot.ImportDelete, iot.ImportDeleteIfMatch, iot.ImportUpdateTwin, iot.ImportUpdateTwinIfMatch:
	}
	return rule{}, fault.New(fault.ArgumentInvalid, op, "importMode %s is not one of the registry's", quote(string(item.ImportMode)))
}

// bulkMatch reads the eTag of a bulk item: in the body it stands without quotes, but
// clients that copy a header send it with them.
func bulkMatch(op, tag string) (iot.Match, error) {
	switch {
	case tag == "*":
		return iot.Match{Kind: iot.MatchAny}, nil
	case tag == "" || tag[0] == '"':
		m, err := iot.ParseIfMatch(tag)
		if err != nil {
			return m, fault.New(fault.PreconditionFailed, op, "%s", err.Error())
		}
		return m, nil
	case len(tag) > iot.MaxETag:
		return iot.Match{}, fault.New(fault.PreconditionFailed, op, "Invalid ETag: it is too long")
	}
	return iot.Match{Kind: iot.MatchETag, ETag: tag}, nil
}
