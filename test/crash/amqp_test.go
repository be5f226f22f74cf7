package crash

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/test/rig"
)

// overAMQP opens a connection to the AMQP port with one session; it ends with the test.
func overAMQP(t *testing.T, h *rig.Hub, user, password string) *amqp.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Within)
	defer cancel()
	nc, err := (&tls.Dialer{Config: h.TLS()}).DialContext(ctx, "tcp", h.Run.AMQP)
	if err != nil {
		t.Fatal(err)
	}
	c, err := amqp.NewConn(ctx, nc, &amqp.ConnOptions{HostName: rig.Host, SASLType: amqp.SASLTypePlain(user, password)})
	if err != nil {
		_ = nc.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := c.NewSession(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// trySender attaches a device's link for telemetry, for whoever may be refused.
func trySender(t *testing.T, h *rig.Hub, d rig.Identity) (*amqp.Sender, error) {
	t.Helper()
	s := overAMQP(t, h, d.DeviceID+"@sas.hub", d.Token())
	ctx, cancel := context.WithTimeout(t.Context(), rig.Within)
	defer cancel()
	return s.NewSender(ctx, strings.TrimSuffix("/"+d.EventsTopic(), "/"), nil)
}
