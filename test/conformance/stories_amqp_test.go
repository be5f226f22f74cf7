package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/test/rig"
)

// gateway is a process with one AMQP connection, which may speak for several devices.
type gateway struct {
	t       *testing.T
	h       *rig.Hub
	session *goamqp.Session
}

// newGateway opens an AMQP connection at addr with the token of a policy.
func newGateway(t *testing.T, h *rig.Hub, addr, token string) *gateway {
	t.Helper()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := goamqp.NewConn(t.Context(), tls.Client(nc, h.TLS()), &goamqp.ConnOptions{
		SASLType: goamqp.SASLTypeAnonymous(), HostName: rig.Host, Properties: map[string]any{"com.microsoft:client-version": "gateway/2.1 (test)"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	g := &gateway{t: t, h: h}
	if g.session, err = conn.NewSession(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	g.login(token)
	return g
}

// login puts a token.
func (g *gateway) login(token string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), rig.Within)
	defer cancel()
	sender, err := g.session.NewSender(ctx, "$cbs", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	receiver, err := g.session.NewReceiver(ctx, "$cbs", &goamqp.ReceiverOptions{TargetAddress: "answers"})
	if err != nil {
		g.t.Fatal(err)
	}
	replyTo := "answers"
	err = sender.Send(ctx, &goamqp.Message{
		Value: token, Properties: &goamqp.MessageProperties{MessageID: "1", ReplyTo: &replyTo},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": rig.Host},
	}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	answer, err := receiver.Receive(ctx, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if got := answer.ApplicationProperties["status-code"]; fmt.Sprint(got) != "200" {
		g.t.Fatalf("put-token: status %v", got)
	}
}

// speak attaches the telemetry link of a device, and sends.
func (g *gateway) speak(d rig.Identity) *goamqp.Sender {
	g.t.Helper()
	s, err := g.session.NewSender(g.t.Context(), d.Path()+"/messages/events", nil)
	if err != nil {
		g.t.Fatalf("attach a link of %s: %v", d.DeviceID, err)
	}
	g.send(s)
	return s
}

func (g *gateway) send(s *goamqp.Sender) {
	g.t.Helper()
	if err := s.Send(g.t.Context(), goamqp.NewMessage([]byte("hello")), nil); err != nil {
		g.t.Fatalf("send: %v", err)
	}
}

// amqpProxy is a proxy before the AMQP port.
func amqpProxy(t *testing.T, h *rig.Hub, from string) *rig.Proxy {
	t.Helper()
	through := *h
	through.Run.MQTT = h.Run.AMQP
	return through.Proxy(t, from)
}

// TestStoryOverAMQP: three devices of one AMQP connection. One is displaced over MQTT and
// comes back, time and again; one is displaced once, after the network of the connection is
// gone. Each has its own story, and the third has none.
func TestStoryOverAMQP(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	duelling, lost, quiet := h.AddDevice("duelling"), h.AddDevice("lost"), h.AddDevice("quiet")
	p := amqpProxy(t, h, "127.0.0.2")
	g := newGateway(t, h, p.Addr, h.PolicyToken("device"))
	undisturbed := g.speak(quiet)
	g.speak(lost)

	other := newProgram(t, h, duelling, time.Hour)
	for range 4 { // its links come back on the connection they were detached on
		g.speak(duelling)
		attend(other.connect(h.Run.MQTT))
	}
	e := verdict(t, h, duelling, iot.VerdictTwoClients, 7)
	for i, c := range e.Conflicts {
		want := iot.Conflict{Code: 409002, Loser: iot.Peer{Transport: "Amqp", Client: "A"}, Winner: iot.Peer{Transport: "Mqtt", Client: "B"}}
		if i%2 == 1 {
			want = iot.Conflict{Code: 400027, Loser: want.Winner, Winner: want.Loser}
		}
		if c.Code != want.Code || c.Loser.Transport != want.Loser.Transport || c.Winner.Transport != want.Winner.Transport ||
			c.Loser.Client != want.Loser.Client || c.Afterlife != "alive" {
			t.Errorf("conflict %d: %d, %s %s by %s %s, %s", i, c.Code, c.Loser.Client, c.Loser.Transport, c.Winner.Client, c.Winner.Transport, c.Afterlife)
		}
	}
	first := e.Conflicts[0].Loser
	if first.ClientType != "gateway/2.1 (test)" || first.ClientID == "" || first.Connection != e.Conflicts[2].Loser.Connection {
		t.Errorf("the loser over AMQP is %+v", first)
	}
	if slices.ContainsFunc(e.Evidence, func(ev iot.Evidence) bool { return ev.Signal == "loser_farewell" }) {
		t.Errorf("a farewell was seen: %s", pretty(e))
	}
	r := h.Log("duelling", "deviceDisconnect", "409002")
	if r.ResultDescription != "LinkCreationConflict" {
		t.Errorf("the log says %q", r.ResultDescription)
	}

	g.send(undisturbed)
	verdict(t, h, quiet, iot.VerdictNone, 0)
	p.Last().Silence()
	newProgram(t, h, lost, time.Hour).connect(h.Run.MQTT)
	e = verdict(t, h, lost, iot.VerdictHalfOpen, 1)
	if c := e.Conflicts[0]; c.Code != 409002 || c.Afterlife != "silent" || c.Unobserved || *e.Cause != 1 {
		t.Errorf("got %s", pretty(e))
	}
}

// TestStoryAMQPCrash: the process with the only device of an AMQP connection dies
// unnoticed, and starts anew.
func TestStoryAMQPCrash(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, p := h.AddDevice("dev1"), amqpProxy(t, h, "127.0.0.2")
	newGateway(t, h, p.Addr, d.Token()).speak(d)
	p.Last().Die()
	newGateway(t, h, p.Addr, rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(time.Hour))).speak(d)
	if e := verdict(t, h, d, iot.VerdictRestart, 1); e.Conflicts[0].Code != 409002 || e.Conflicts[0].Afterlife != "reset" {
		t.Errorf("got %s", pretty(e))
	}
}

// TestStoryLoss: a client holds two messages that were delivered and not settled when it
// is displaced: they go back to the queue, and the story says so.
func TestStoryLoss(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	for range 2 {
		h.Request(http.MethodPost, d.Path()+"/messages/deviceBound?api-version="+rig.APIVersion, "hello").Want(t, http.StatusNoContent)
	}
	g := newGateway(t, h, h.Run.AMQP, d.Token())
	inbox, err := g.session.NewReceiver(t.Context(), d.Path()+"/messages/devicebound", &goamqp.ReceiverOptions{Credit: 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), rig.Within)
	defer cancel()
	for range 2 {
		if _, err := inbox.Receive(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	newProgram(t, h, d, time.Hour).connect(h.Run.MQTT)
	e := explained(t, h, d)
	if e.Lost.C2DReleased != 2 || len(e.Conflicts) != 1 || e.Conflicts[0].Released != 2 {
		t.Errorf("got %s", pretty(e))
	}
	if page := string(h.Berth("explain", "dev1").Must().Stdout); !strings.Contains(page, "cloud-to-device messages released: 2") {
		t.Errorf("berth explain does not say what was lost:\n%s", page)
	}
}
