package registry

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// provedToken is the last token that proved an identity under its present record. The
// zero value is none.
type provedToken struct {
	digest  digest
	expires int64  // se, Unix seconds
	policy  string // shared access policy that signed it; empty: the identity's own key
	slot    string
}

// provedChain is the last certificate that proved an identity by its chain.
type provedChain struct {
	leaf      [sha256.Size]byte
	anchors   *anchors // it ended at one of these
	authority string
	notBefore time.Time // the latest of the chain
	notAfter  time.Time // the earliest of the chain
}

// recall looks for the identity, and its device, in the keyring, and gives the proof if
// the credential is one that proved it under its present record. Whatever else may be
// the matter is for the long way to find, and to name.
func (r *Registry) recall(c *claim) (device.Proof, bool) {
	c.own, c.ownMoment = r.keyring.find(c.id)
	c.dev = c.own
	if c.id.IsModule() {
		c.dev, c.devMoment = r.keyring.find(c.id.Owner())
	}
	if c.own == nil || c.dev == nil || c.dev.disabled || !c.own.lies(c) {
		return device.Proof{}, false
	}
	if c.own.method == methodSAS {
		return r.recallToken(c)
	}
	return r.recallChain(c)
}

// lies reports whether what the claim is for lies within the identity: what proves the
// whole proves this too.
func (k *known) lies(c *claim) bool {
	if c.path == "" {
		return true
	}
	rest, ok := strings.CutPrefix(c.path, resourcePath(c.id))
	return ok && (rest == "" || rest[0] == '/')
}

func (r *Registry) recallToken(c *claim) (device.Proof, bool) {
	last := &c.own.token
	if last.expires == 0 || c.cred.SAS == "" || len(c.cred.SAS) > iot.MaxSAS {
		return device.Proof{}, false
	}
	expires := time.Unix(last.expires, 0).UTC()
	if c.digest = r.digests.of(c.cred.SAS); !c.digest.equal(last.digest) || c.now.After(expires.Add(r.skew)) {
		return device.Proof{}, false
	}
	return c.tokenProof(last.policy, last.slot, expires), true
}

func (r *Registry) recallChain(c *claim) (device.Proof, bool) {
	last := c.own.chain
	if last == nil || c.cred.SAS != "" || len(c.cred.Certificates) == 0 || last.anchors != r.anchors.Load() {
		return device.Proof{}, false
	}
	leaf := sha256.Sum256(c.cred.Certificates[0].Raw)
	if leaf != last.leaf || c.now.Before(last.notBefore) || c.now.After(last.notAfter) {
		return device.Proof{}, false
	}
	return c.chainProof(leaf, last.authority), true
}

// remember puts in the keyring what the claim proved.
func (r *Registry) remember(c *claim) {
	if c.cred.SAS != "" && c.own.method == methodSAS && (c.path == "" || c.sas.Covers(r.isAlias, resourcePath(c.id))) {
		c.own.token = provedToken{digest: c.digest, expires: c.sas.Expiry.Unix(), policy: c.policyName(), slot: c.slot}
	}
	r.keyring.keep(c.id, c.own, c.ownMoment)
	if c.devRead {
		r.keyring.keep(c.id.Owner(), c.dev, c.devMoment)
	}
}

// readKnown reads what the keyring does not know: the device's record, and the module's.
func (r *Registry) readKnown(ctx context.Context, c *claim) error {
	if c.dev == nil {
		rec, rev, err := r.mustRead(ctx, c.op, c.id.Owner())
		if err != nil {
			return err
		}
		c.dev, c.devRead = knownOf(rec, rev), c.id.IsModule()
	}
	switch {
	case !c.id.IsModule():
		c.own = c.dev
		return nil
	case !iot.ValidID(c.id.Module):
		return notFound(c.op, c.id)
	case c.own != nil:
		return nil
	}
	rec, rev, err := r.read(ctx, c.id)
	switch {
	case err != nil:
		return store.Fault(err, c.op, unreadable)
	case rec == nil:
		return notFound(c.op, c.id)
	}
	c.own = knownOf(rec, rev)
	return nil
}

// within is the time in which every certificate of a chain is valid.
func within(chain []*x509.Certificate) (notBefore, notAfter time.Time) {
	for i, cert := range chain {
		if i == 0 || cert.NotBefore.After(notBefore) {
			notBefore = cert.NotBefore
		}
		if i == 0 || cert.NotAfter.Before(notAfter) {
			notAfter = cert.NotAfter
		}
	}
	return notBefore, notAfter
}
