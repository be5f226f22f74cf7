package web

import (
	"net/http"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// authorize checks that the caller may do what its route does. Whatever is wrong
// with a credential, a missing right included, is 401002: clients read 403 as a quota
// (service-rest A.5).
func (c *call) authorize() error {
	switch c.match.surface {
	case socketAPI: // the protocol inside authenticates
		return nil
	case deviceAPI:
		return c.authenticate()
	case serviceAPI, berthAPI:
	}
	var err error
	for _, right := range c.match.rights {
		c.caller, err = c.s.cfg.Gate.Authorize(c.r.Header.Get("Authorization"), c.host(), c.match.path, right)
		if err == nil {
			c.admit()
			return nil
		}
	}
	return unauthorized(err)
}

// authenticate checks a device's or module's own credential: a token, or failing
// that the certificate its TLS client offered.
func (c *call) authenticate() error {
	cred := device.Credential{SAS: c.r.Header.Get("Authorization")}
	if g := c.guest(); g != nil {
		cred.Certificates = g.certs
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	proof, err := c.s.cfg.Gate.AuthorizeDevice(ctx, c.match.id, c.host(), c.match.path, cred)
	if err != nil {
		return unauthorized(err)
	}
	c.admit()
	c.proof, c.caller = proof, "devices/"+c.match.id.String()
	return nil
}

// unauthorized gives every refusal of a credential the one code that clients
// understand. What is not a refusal passes: a failure of the hub's own, and the 404
// of a caller that has proved himself.
func unauthorized(err error) error {
	switch fault.Of(err).Status() {
	case http.StatusUnauthorized, http.StatusForbidden:
	default:
		return err
	}
	text := "Unauthorized"
	if detail := fault.Detail(err); detail != "" {
		text += ": " + detail
	}
	return fault.Wrap(err, fault.IotHubUnauthorizedAccess, "web.authorize", "%s", text)
}

// rights are the alternatives that open a route: one of them is enough.
func rights(alternatives ...iot.Right) []iot.Right { return alternatives }
