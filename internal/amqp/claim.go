package amqp

import (
	"slices"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// claim is what one token of the connection permits (amqp 2). Its name and type are hints
// of the client's, and are not looked at.
type claim struct {
	token    string       // a secret
	identity iot.Identity // whose own key signed it; zero for a policy's
	grant    device.Grant // of a policy's
	covered  iot.Coverage // what a policy's covers
	ends     time.Time    // se, and the tolerance for the client's clock behind it
}

// claims are those of a connection, the newest last.
type claims []claim

// put adds a claim in the place of one for the same.
func (cs *claims) put(k claim) error {
	same := func(o claim) bool {
		return o.identity == k.identity && o.grant.Policy == k.grant.Policy && o.grant.SAS.Resource == k.grant.SAS.Resource
	}
	*cs = slices.DeleteFunc(*cs, same)
	if len(*cs) >= maxClaims {
		return fault.New(fault.ThrottleBacklogLimitExceeded, "amqp.claim", "a connection has at most %d tokens", maxClaims)
	}
	*cs = append(*cs, k)
	return nil
}

// expire takes out the claims that have ended, tells each, and says when the next one will.
func (cs *claims) expire(now time.Time, ended func(*claim)) (next time.Time) {
	*cs = slices.DeleteFunc(*cs, func(k claim) bool {
		over := !now.Before(k.ends)
		if over {
			ended(&k)
		}
		return over
	})
	for _, k := range *cs {
		if next.IsZero() || k.ends.Before(next) {
			next = k.ends
		}
	}
	return next
}

// permit says whether a policy's claim gives a right on a path.
func (cs claims) permit(path string, entity bool, need iot.Right) error {
	const op = "amqp.authorize"
	for i := range cs {
		if k := &cs[i]; k.identity == (iot.Identity{}) && k.grant.Rights.Has(need) && k.covers(path, entity) {
			return nil
		}
	}
	if len(cs) == 0 {
		return fault.New(fault.IotHubUnauthorizedAccess, op, "the connection has no valid token for %s", quoted(path))
	}
	switch k := &cs[0]; { // the oldest is what the client is most likely to mean
	case k.identity != (iot.Identity{}):
		return fault.New(fault.IotHubUnauthorizedAccess, op, "a device's own token opens the links of that device only")
	case !k.covers(path, entity):
		return fault.New(fault.IotHubUnauthorizedAccess, op, "the token's resource does not cover %s", quoted(path))
	default:
		return fault.New(fault.IotHubUnauthorizedAccess, op, "the shared access policy %s lacks the right %s", quoted(k.grant.Policy), need)
	}
}

// covers says whether the resource of a policy's claim covers a path.
func (k *claim) covers(path string, entity bool) bool {
	return k.covered.Covers(path) || entity && k.covered.CoversEntity(path)
}

// speaks says whether the claim may speak for an identity, whose path is given.
func (k *claim) speaks(id iot.Identity, path string) bool {
	if k.identity != (iot.Identity{}) {
		return k.identity == id
	}
	return k.grant.Rights.Has(iot.DeviceConnect) && k.covered.Covers(path)
}

// prove gives the token that speaks for an identity: its own, or a policy's.
func (cs claims) prove(id iot.Identity) (token string, ok bool) {
	for i := range slices.Backward(cs) {
		if cs[i].identity == id {
			return cs[i].token, true
		}
	}
	path := identityPath(id)
	for i := range slices.Backward(cs) {
		if cs[i].speaks(id, path) {
			return cs[i].token, true
		}
	}
	return "", false
}

// judge verifies a token; it may wait for the disk, and is called beside the owner.
func (c *conn) judge(token, host string) (claim, error) {
	token = strings.TrimSpace(token)
	sas, err := iot.ParseSAS(token)
	if err != nil {
		return claim{}, fault.Wrap(err, fault.IotHubUnauthorizedAccess, "amqp.claim", "%s", err.Error())
	}
	k := claim{token: token, ends: sas.Expiry.Add(c.server.cfg.Skew)}
	if sas.Policy != "" {
		k.grant, err = c.server.cfg.Gate.Grant(token, host)
		k.covered = k.grant.SAS.Coverage(c.server.cfg.Hosts.Has)
		return k, asFault(err, "amqp.claim")
	}
	id, ok := sas.Identity(c.server.cfg.Hosts.Has)
	if !ok {
		return claim{}, fault.New(fault.IotHubUnauthorizedAccess, "amqp.claim", "the token names no shared access policy (skn) and no device in its resource (sr)")
	}
	k.identity = id
	_, err = c.server.cfg.Gate.Authenticate(c.ctx, id, host, device.Credential{SAS: token})
	return k, asFault(err, "amqp.claim")
}
