package web

import (
	"context"
	"encoding"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/berth-iot/berth/internal/iot"
)

// conflicts answers GET /berth/v1/conflicts: the conflicts of the whole fleet, a story
// for each identity; with follow, a stream of them, the first of the list last, that goes
// on with what comes.
func (s *Server) conflicts(c *call) error {
	if s.cfg.Diagnosis == nil {
		return notDiagnosed()
	}
	q, follow, err := parseConflictQuery(c.query)
	if err != nil {
		return err
	}
	whole := c.seesAddresses()
	if follow {
		return c.relay(func(ctx context.Context, give func(string, []byte) error) error {
			return s.cfg.Diagnosis.FollowConflicts(ctx, q, func(story iot.ConflictSummary) error {
				if story.Lost > 0 {
					return give("lost", lostLine(story.Lost))
				}
				if !whole {
					story = story.Masked()
				}
				return give("", plainJSON(story))
			})
		})
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	list, err := s.cfg.Diagnosis.Conflicts(ctx, q)
	if err != nil {
		return err
	}
	if !whole {
		for i := range list {
			list[i] = list[i].Masked()
		}
	}
	return c.answer(http.StatusOK, orEmpty(list))
}

// parseConflictQuery reads the parameters of GET /berth/v1/conflicts: verdict, since,
// limit, order, follow.
func parseConflictQuery(q url.Values) (cq iot.ConflictQuery, follow bool, err error) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		value := q.Get(name)
		switch name {
		case "verdict":
			err = oneOf(name, value, &cq.Verdict, iot.Verdicts())
		case "since":
			cq.Since, err = instant(name, value)
		case "limit":
			cq.Limit, err = number(name, value, 1, iot.MaxConflicts)
		case "order":
			err = oneOf(name, value, &cq.Order, []iot.ConflictOrder{iot.ConflictNewest, iot.ConflictWorst})
		case "follow":
			follow, err = yesNo(name, value)
		case "api-version":
		default:
			err = unknown(name, "verdict, since, limit, order, follow")
		}
		if err != nil {
			return cq, follow, err
		}
	}
	return cq, follow, nil
}

// oneOf reads one of a few words into v, letter case aside.
func oneOf[T any](name, value string, v encoding.TextUnmarshaler, words []T) error {
	if value == "" || len(value) > maxQuoted || v.UnmarshalText([]byte(value)) != nil {
		return badQuery("%s must be one of %v, not %.*q", name, words, maxQuoted, value)
	}
	return nil
}

// lostLine says that the reader of a stream was too slow for n of its lines.
func lostLine(n uint64) []byte {
	return plainJSON(struct {
		Lost uint64 `json:"lost"`
	}{n})
}
