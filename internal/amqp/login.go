package amqp

import (
	"bytes"
	"encoding/base64"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// The SASL mechanisms. All but PLAIN prove nothing: tokens and certificates do
// (amqp 1).
const (
	mechanismCBS       = "MSSBCBS"
	mechanismAnonymous = "ANONYMOUS"
	mechanismPlain     = "PLAIN"
	mechanismExternal  = "EXTERNAL"
)

func mechanisms() []string {
	return []string{mechanismCBS, mechanismAnonymous, mechanismPlain, mechanismExternal}
}

// login answers the client's choice of a mechanism.
func (c *conn) login(ev *endpoint.Event) {
	response := ev.Response
	if ev.Init != nil {
		if c.server.cfg.Hosts.Has(ev.Init.Hostname) {
			c.host = ev.Init.Hostname
		}
		switch {
		case ev.Init.Mechanism != mechanismPlain:
			c.machine.Outcome(amqpwire.SASLOK)
			return
		case ev.Init.InitialResponse == nil:
			c.machine.Challenge(nil)
			return
		}
		response = ev.Init.InitialResponse
	}
	user, password, ok := plain(response)
	if !ok {
		c.machine.Outcome(amqpwire.SASLAuth)
		return
	}
	host := c.host
	err := c.off(func() func() {
		k, err := c.judge(c.tokenOf(user, password, host), host)
		return func() { c.loggedIn(k, err) }
	})
	if err != nil {
		c.machine.Outcome(amqpwire.SASLSysTemp)
	}
}

// loggedIn answers a PLAIN login.
func (c *conn) loggedIn(k claim, err error) {
	if err == nil {
		err = c.claim(k)
	}
	switch {
	case err == nil:
		c.machine.Outcome(amqpwire.SASLOK)
	case fault.Of(err).Status() >= 500:
		c.machine.Outcome(amqpwire.SASLSysTemp)
	default:
		c.refuse("amqp.sasl", err)
		c.machine.Outcome(amqpwire.SASLAuth)
	}
}

// plain takes apart a response of the mechanism PLAIN (RFC 4616 2).
func plain(response []byte) (user, password string, ok bool) {
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 {
		return "", "", false
	}
	return string(parts[1]), string(parts[2]), true
}

// tokenOf gives the token of a PLAIN login: the password is one (policy@sas.root.hub,
// device@sas.hub), or the raw key of a policy, which could have signed one (amqp 1).
func (c *conn) tokenOf(user, password, host string) string {
	key, err := base64.StdEncoding.DecodeString(password)
	if err != nil || strings.Contains(user, "@sas.") {
		return password
	}
	return iot.SignSAS(host, user, key, time.Now().Add(loginLasts))
}
