package registry

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// timeText is how an error writes a time.
const timeText = "2006-01-02T15:04:05Z"

// Authenticate says whether cred proves id, spoken to under the name host, as the
// records are at this moment (device-mqtt-http 2.2, 2.3). It reads one record, two
// for a module, and none of an identity that proved itself lately. Codes:
//
//   - IotHubNotFound: host is no name of this hub;
//   - DeviceNotFound, ModuleNotFound: nothing is registered under id;
//   - IotHubUnauthorized: the credential is missing, wrong, expired, of another kind
//     than the identity's, or a policy's without DeviceConnect; the detail says which;
//   - DeviceDisabled: the credential is good, the device is disabled.
//
// Choices where Azure is silent: a token, be it signed by a policy, does not stand
// for an identity that authenticates with a certificate; a device's key does not
// prove its modules; authentication type none never proves anything.
func (r *Registry) Authenticate(ctx context.Context, id iot.Identity, host string, cred device.Credential) (device.Proof, error) {
	const op = "registry.authenticate"
	return r.authenticate(ctx, host, &claim{op: op, id: id, cred: cred})
}

// authenticate judges one claim.
func (r *Registry) authenticate(ctx context.Context, host string, c *claim) (device.Proof, error) {
	if name := hostName(host); !r.isAlias(name) {
		return device.Proof{}, fault.New(fault.IotHubNotFound, c.op, "%s", r.foreign(name))
	}
	c.now = r.now()
	if proof, ok := r.recall(c); ok {
		return proof, nil
	}
	if err := r.checkToken(c); err != nil {
		return device.Proof{}, err
	}
	c.guarded = c.policy == nil
	if err := r.readKnown(ctx, c); err != nil {
		return device.Proof{}, err
	}
	proof, err := r.prove(c)
	if err != nil {
		return device.Proof{}, err
	}
	c.guarded = false
	if c.dev.disabled {
		return device.Proof{}, fault.New(fault.DeviceDisabled, c.op, "device %s is disabled", quote(c.id.Device))
	}
	r.remember(c)
	return proof, nil
}

// foreign says that a host name is not the hub's.
func (r *Registry) foreign(name string) string {
	return quote(name) + " is not a name of the hub " + quote(r.hub) + ", whose names are set with --host"
}

// claim is one attempt of somebody to be id.
type claim struct {
	op     string
	id     iot.Identity
	path   string // what the token must cover, such as "devices/D/messages/events"; empty: the identity
	now    time.Time
	cred   device.Credential
	digest digest // of the token, once it was needed
	sas    iot.SAS
	policy *iot.Policy // the one that signed the token, once that is certain
	slot   string      // of the key that signed it

	own, dev             *known // the identity's, and its device's, which may be the same
	ownMoment, devMoment uint64 // of the keyring, before they were read
	devRead              bool   // dev is a module's device, and was not in the keyring

	// guarded: nothing is proved yet and the records have been asked, so an error tells
	// something of them. That is for the hub's log, not for whoever asks.
	guarded bool
}

// covered reports whether the token's resource covers what it is used for.
func (r *Registry) covered(c *claim) bool {
	path := c.path
	if path == "" {
		path = resourcePath(c.id)
	}
	return c.sas.Covers(r.isAlias, path)
}

// uncovered says that it does not.
func (c *claim) uncovered() error {
	path := c.path
	if path == "" {
		path = resourcePath(c.id)
	}
	return c.refuse("the token's resource does not cover %s of this hub", path)
}

// policyName names the policy that signed the token, "" if it was the identity's key.
func (c *claim) policyName() string {
	if c.policy == nil {
		return ""
	}
	return c.policy.Name
}

// refuse is the error of a credential that proves nothing.
func (c *claim) refuse(format string, args ...any) error {
	return fault.New(fault.IotHubUnauthorized, c.op, format, args...)
}

// checkToken reads the token and checks all of it that asks for no record: its form,
// its time, its scope, and the signature of a shared access policy.
func (r *Registry) checkToken(c *claim) error {
	if c.cred.SAS == "" {
		return nil
	}
	var err error
	if c.sas, err = iot.ParseSAS(c.cred.SAS); err != nil {
		return c.refuse("%s", err.Error())
	}
	if c.sas.Policy == "" {
		return nil
	}
	p, slot, err := r.signedByPolicy(c.sas)
	switch {
	case err != nil:
		return c.refuse("%s", err.Error())
	case c.sas.Expired(c.now, r.skew):
		return c.refuse("%s", expiredText(c.sas.Expiry, c.now))
	case !r.covered(c):
		return c.uncovered()
	case !p.Rights.Has(iot.DeviceConnect):
		return c.refuse("the shared access policy %s lacks the right DeviceConnect", quote(p.Name))
	}
	c.policy, c.slot = &p, slot
	return nil
}

// prove checks the credential against the identity's record.
func (r *Registry) prove(c *claim) (device.Proof, error) {
	token := c.cred.SAS != ""
	switch c.own.method {
	case methodSAS:
		if token {
			return r.proveToken(c)
		}
		if len(c.cred.Certificates) > 0 {
			return device.Proof{}, c.refuse("%s authenticates with a token; only a certificate was sent", quoteIdentity(c.id))
		}
		return device.Proof{}, c.refuse("no token was sent")
	case methodSelfSigned, methodCA:
		if token {
			return device.Proof{}, c.refuse("%s authenticates with a certificate and must not send a token", quoteIdentity(c.id))
		}
		if len(c.cred.Certificates) == 0 {
			return device.Proof{}, c.refuse("no client certificate was sent; %s authenticates with one", quoteIdentity(c.id))
		}
		if c.own.method == methodSelfSigned {
			return proveThumbprint(c)
		}
		return r.proveChain(c)
	case methodNone:
	}
	return device.Proof{}, c.refuse("%s has authentication type none and cannot connect", quoteIdentity(c.id))
}

// proveToken checks a token of an identity of type sas.
func (r *Registry) proveToken(c *claim) (device.Proof, error) {
	if c.policy == nil {
		if c.slot = signedBy(c.sas, c.own.keys[0], c.own.keys[1]); c.slot == "" {
			return device.Proof{}, c.refuse("%s", unsignedText(c.id))
		}
		c.guarded = false
		switch {
		case c.sas.Expired(c.now, r.skew):
			return device.Proof{}, c.refuse("%s", expiredText(c.sas.Expiry, c.now))
		case !r.covered(c):
			return device.Proof{}, c.uncovered()
		}
	}
	if c.digest == (digest{}) {
		c.digest = r.digests.of(c.cred.SAS)
	}
	return c.tokenProof(c.policyName(), c.slot, c.sas.Expiry), nil
}

// tokenProof is the proof by a token with c.digest.
func (c *claim) tokenProof(policy, slot string, expires time.Time) device.Proof {
	scope := iot.ScopeHub
	if policy == "" {
		scope = ownScope(c.id)
	}
	return device.Proof{
		Stamp:  c.stamp(scope, iot.AuthSAS),
		Policy: policy, Slot: slot, TokenHash: c.digest.hash(), Expires: expires,
	}
}

// stamp is what the hub writes on the identity's messages. The model id is the
// session's to add.
func (c *claim) stamp(scope iot.Scope, auth iot.AuthType) iot.Stamp {
	return iot.Stamp{Identity: c.id, Generation: c.own.generation, Scope: scope, Auth: auth}
}

func ownScope(id iot.Identity) iot.Scope {
	if id.IsModule() {
		return iot.ScopeModule
	}
	return iot.ScopeDevice
}

// The slots of a credential.
const (
	slotPrimary   = "primary"
	slotSecondary = "secondary"
)

// signedBy says which of two keys signed a token, "" for neither. Both comparisons
// take constant time.
func signedBy(s iot.SAS, primary, secondary []byte) string {
	switch {
	case s.Verify(primary):
		return slotPrimary
	case s.Verify(secondary):
		return slotSecondary
	}
	return ""
}

// unsignedText says that no key of the identity signed the token.
func unsignedText(id iot.Identity) string {
	return "the token's signature does not match either key of " + quoteIdentity(id)
}

// expiredText says that a token lapsed, and what the hub thinks the time is: a
// device with a wrong clock finds the cause in it.
func expiredText(expiry, now time.Time) string {
	return "the token expired at " + expiry.UTC().Format(timeText) + ", server time is " + now.UTC().Format(timeText)
}

// resourcePath is what a token of an identity must cover.
func resourcePath(id iot.Identity) string {
	if id.IsModule() {
		return "devices/" + id.Device + "/modules/" + id.Module
	}
	return "devices/" + id.Device
}

// isAlias asks whether a host name, without a port, is the hub's.
func (r *Registry) isAlias(name string) bool { return name != "" && r.hosts(strings.ToLower(name)) }

// hostName cuts a port, and the brackets of an IPv6 address, off a host.
func hostName(host string) string {
	if strings.IndexByte(host, ':') < 0 {
		return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
