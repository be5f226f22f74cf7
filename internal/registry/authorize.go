package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Authorize says whether the token of a service request (the Authorization header, or
// what AMQP puts as a token) permits need on path at host, and names the shared
// access policy that signed it. Path is plain text, such as "devices/D"; it need not
// exist. Every refusal is IotHubUnauthorizedAccess, a missing right included
// (service-rest A.5); the detail says why.
func (r *Registry) Authorize(token, host, path string, need iot.Right) (policy string, err error) {
	const op = "registry.authorize"
	refuse := func(format string, args ...any) (string, error) {
		return "", fault.New(fault.IotHubUnauthorizedAccess, op, format, args...)
	}
	name := hostName(host)
	switch {
	case token == "":
		return refuse("no Authorization header was sent")
	case strings.HasPrefix(strings.ToLower(token), "bearer "):
		return refuse("Entra tokens are not accepted here: use a shared access signature")
	case !r.isAlias(name):
		return refuse("%s", r.foreign(name))
	}
	sas, err := iot.ParseSAS(token)
	if err != nil {
		return refuse("%s", err.Error())
	}
	if sas.Policy == "" {
		return refuse("the token names no shared access policy (skn): a device's own key opens the device API only")
	}
	p, _, err := r.signedByPolicy(sas)
	if err != nil {
		return refuse("%s", err.Error())
	}
	now := r.now()
	switch {
	case sas.Expired(now, r.skew):
		return refuse("%s", expiredText(sas.Expiry, now))
	case !sas.Covers(r.isAlias, strings.Trim(path, "/")):
		return refuse("the token's resource does not cover this request")
	case !p.Rights.Has(need):
		return refuse("the shared access policy %s lacks the right %s", quote(p.Name), need)
	}
	return p.Name, nil
}

// AuthorizeDevice authenticates one request of the HTTPS device API, as Authenticate
// does a connection, for path at host: a token may cover less than the identity.
// Refusals are IotHubUnauthorizedAccess, as Azure's are there, but for DeviceDisabled,
// and DeviceNotFound or ModuleNotFound under a good policy's token. Whoever proved
// nothing learns nothing of the identity, not even whether it exists: the reason is
// the error's cause, for the log.
func (r *Registry) AuthorizeDevice(ctx context.Context, id iot.Identity, host, path string, cred device.Credential) (device.Proof, error) {
	const op = "registry.authorize_device"
	c := claim{op: op, id: id, path: strings.Trim(path, "/"), cred: cred}
	proof, err := r.authenticate(ctx, host, &c)
	if err == nil {
		return proof, nil
	}
	switch code := fault.Of(err); {
	case code.Status() >= 500:
		return device.Proof{}, err
	case c.guarded && cred.SAS != "":
		return device.Proof{}, fault.Wrap(err, fault.IotHubUnauthorizedAccess, op, "%s", unsignedText(id))
	case c.guarded && len(cred.Certificates) > 0:
		return device.Proof{}, fault.Wrap(err, fault.IotHubUnauthorizedAccess, op, "the certificate does not prove %s", quoteIdentity(id))
	case c.guarded:
		return device.Proof{}, fault.Wrap(err, fault.IotHubUnauthorizedAccess, op, "neither a token nor a client certificate was sent")
	case code == fault.IotHubUnauthorized, code == fault.IotHubNotFound:
		return device.Proof{}, fault.Wrap(err, fault.IotHubUnauthorizedAccess, op, "%s", fault.Detail(err))
	}
	return device.Proof{}, err
}

// Grant verifies the token of a shared access policy, spoken to under the name host, and
// says what it permits; what it covers is for who uses it to ask (iot.SAS.Covers). Codes:
// IotHubNotFound for a host that is no name of this hub, else IotHubUnauthorizedAccess.
func (r *Registry) Grant(token, host string) (device.Grant, error) {
	const op = "registry.grant"
	refuse := func(text string) (device.Grant, error) {
		return device.Grant{}, fault.New(fault.IotHubUnauthorizedAccess, op, "%s", text)
	}
	if name := hostName(host); !r.isAlias(name) {
		return device.Grant{}, fault.New(fault.IotHubNotFound, op, "%s", r.foreign(name))
	}
	sas, err := iot.ParseSAS(token)
	if err != nil {
		return refuse(err.Error())
	}
	p, _, err := r.signedByPolicy(sas)
	if err != nil {
		return refuse(err.Error())
	}
	if now := r.now(); sas.Expired(now, r.skew) {
		return refuse(expiredText(sas.Expiry, now))
	}
	return device.Grant{Policy: p.Name, Rights: p.Rights, SAS: sas}, nil
}

var (
	errPolicyUnknown   = errors.New("the token names a shared access policy that does not exist")
	errPolicySignature = errors.New("the token's signature does not match either key of the shared access policy")
)

// signedByPolicy gives the policy that a token names, and which of its keys signed.
func (r *Registry) signedByPolicy(s iot.SAS) (iot.Policy, string, error) {
	p, ok := r.policies[strings.ToLower(s.Policy)]
	if !ok {
		return p, "", fmt.Errorf("%w: %s", errPolicyUnknown, quote(s.Policy))
	}
	slot := signedBy(s, p.Primary, p.Secondary)
	if slot == "" { // clients of the event endpoint take the text of a key for the key (amqp 7)
		slot = signedBy(s, keyText(p.Primary), keyText(p.Secondary))
	}
	if slot == "" {
		return p, "", fmt.Errorf("%w %s", errPolicySignature, quote(p.Name))
	}
	return p, slot, nil
}

// keyText is a key as connection strings show it.
func keyText(key []byte) []byte {
	return base64.StdEncoding.AppendEncode(nil, key)
}
