package conformance

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/test/rig"
)

// verdictWithin is how long after the deciding event the verdict may take.
const verdictWithin = 10 * time.Second

// program is a client's process: what it keeps from one connection to the next.
type program struct {
	// fixed

	t     *testing.T
	h     *rig.Hub
	d     rig.Identity
	tls   *tls.Config // remembers TLS sessions
	token string
}

// newProgram starts a process that makes a token good for so long.
func newProgram(t *testing.T, h *rig.Hub, d rig.Identity, good time.Duration) *program {
	t.Helper()
	cfg := h.TLS()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	return &program{t: t, h: h, d: d, tls: cfg, token: rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(good))}
}

// connect opens a connection at addr and publishes a message, whose acknowledgement
// shows that TLS has got its tickets.
func (p *program) connect(addr string) *rig.Link {
	p.t.Helper()
	l := p.h.DialAt(p.t, addr, p.tls)
	hello := p.d.Hello()
	hello.Password = p.token
	l.Enter(hello)
	l.Publish(p.d.EventsTopic(), 1, "hello")
	return l
}

// attend has somebody listen to a connection as a live client does: when the hub closes
// it, he says last, if anything, and closes too.
func attend(l *rig.Link, last ...byte) {
	go func() {
		for {
			if _, err := l.TryRead(time.Minute); err != nil {
				_ = l.TrySend(last)
				_ = l.Conn.Close()
				return
			}
		}
	}()
}

// explained asks for the explanation of an identity as iothubowner.
func explained(t *testing.T, h *rig.Hub, d rig.Identity) iot.Explanation {
	t.Helper()
	var e iot.Explanation
	h.Request(http.MethodGet, "/berth/v1"+d.Path()+"/explain", "").Want(t, http.StatusOK).JSON(t, &e)
	return e
}

// verdict waits until every conflict of the identity is judged by its loser's
// afterlife, and demands the verdict and the number of conflicts; what it was meanwhile
// must never have been two_clients, unless that is the verdict.
func verdict(t *testing.T, h *rig.Hub, d rig.Identity, want iot.Verdict, conflicts int) iot.Explanation {
	t.Helper()
	var e iot.Explanation
	deadline := time.Now().Add(verdictWithin)
	rig.Until(t, "the verdict is "+string(want), func() bool {
		e = explained(t, h, d)
		if e.Verdict == iot.VerdictTwoClients && want != iot.VerdictTwoClients {
			t.Fatalf("a single client was called two:\n%s", pretty(e))
		}
		pending := slices.ContainsFunc(e.Conflicts, func(c iot.Conflict) bool { return c.Afterlife == "pending" })
		return len(e.Conflicts) >= conflicts && !pending && e.Verdict == want || time.Now().After(deadline)
	})
	if e.Verdict != want || len(e.Conflicts) < conflicts {
		t.Fatalf("verdict %s after %v, want %s with %d conflicts or more:\n%s", e.Verdict, verdictWithin, want, conflicts, pretty(e))
	}
	return e
}

func pretty(e iot.Explanation) string {
	b, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestStoryHalfOpen: the network goes away under a client, both ways or one way, or its
// last words come late, and it comes back before the hub has noticed.
func TestStoryHalfOpen(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	for name, away := range map[string]func(*rig.Line){"both-ways": (*rig.Line).Silence, "one-way": (*rig.Line).Mute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, p := h.AddDevice(name), h.Proxy(t, "127.0.0.2")
			client := newProgram(t, h, d, time.Hour)
			old := client.connect(p.Addr)
			attend(old)
			away(p.Last())
			client.connect(p.Addr)
			e := verdict(t, h, d, iot.VerdictHalfOpen, 1)
			if c := e.Conflicts[0]; c.Afterlife != "silent" || c.Unobserved || *e.Cause != 1 {
				t.Errorf("cause %d, afterlife %q, unobserved %v", *e.Cause, c.Afterlife, c.Unobserved)
			}
		})
	}
}

// TestStoryLateFlush: the client's network holds back what it says and lets it go a
// second after the client came back; that is no sign of a live second client.
func TestStoryLateFlush(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, p := h.AddDevice("dev1"), h.Proxy(t, "127.0.0.2")
	client := newProgram(t, h, d, time.Hour)
	old := client.connect(p.Addr)
	line := p.Last()
	line.Hold()
	old.Send(rig.PublishBytes(d.EventsTopic(), 0x02, 2, []byte("late")))
	attend(old)
	client.connect(p.Addr)
	<-time.After(time.Second)
	line.Flush()
	rig.Until(t, "the loser's late answer is known", func() bool {
		c := explained(t, h, d).Conflicts
		return len(c) == 1 && c[0].Afterlife != "pending"
	})
	e := explained(t, h, d)
	if e.Verdict != iot.VerdictHalfOpen && e.Verdict != iot.VerdictUndecided || e.Conflicts[0].Afterlife != "alive" {
		t.Errorf("got %s", pretty(e))
	}
	if got := bodies(h, "dev1"); slices.Contains(got, "late") {
		t.Errorf("a displaced connection's message was accepted: %v", got)
	}
}

// TestStoryCrash: the process dies and starts anew. If the hub saw the end of the old
// connection, there is no conflict; if it did not, it was a restart.
func TestStoryCrash(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	t.Run("noticed", func(t *testing.T) {
		t.Parallel()
		d, p := h.AddDevice("noticed"), h.Proxy(t, "127.0.0.2")
		newProgram(t, h, d, time.Hour).connect(p.Addr)
		p.Last().Reset()
		rig.Until(t, "the hub notices the end", func() bool { return h.Get(d).ConnectionState == "Disconnected" })
		newProgram(t, h, d, time.Hour).connect(p.Addr)
		verdict(t, h, d, iot.VerdictNone, 0)
	})
	t.Run("unnoticed", func(t *testing.T) {
		t.Parallel()
		d, p := h.AddDevice("unnoticed"), h.Proxy(t, "127.0.0.2")
		newProgram(t, h, d, time.Hour).connect(p.Addr)
		p.Last().Die()
		newProgram(t, h, d, 2*time.Hour).connect(p.Addr)
		e := verdict(t, h, d, iot.VerdictRestart, 1)
		if e.Conflicts[0].Afterlife != "reset" || *e.Cause != 1 {
			t.Errorf("cause %d, afterlife %q", *e.Cause, e.Conflicts[0].Afterlife)
		}
	})
}

// TestStoryReconnect: a client that says goodbye first has no conflict; one that says
// it as soon as its new connection stands has a planned handover.
func TestStoryReconnect(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	goodbye := rig.Frame(rig.Disconnect<<4, nil)
	t.Run("goodbye-first", func(t *testing.T) {
		t.Parallel()
		d := h.AddDevice("first")
		client := newProgram(t, h, d, time.Hour)
		old := client.connect(h.Run.MQTT)
		old.Send(goodbye)
		old.Closed(rig.Within)
		client.connect(h.Run.MQTT)
		verdict(t, h, d, iot.VerdictNone, 0)
	})
	t.Run("goodbye-last", func(t *testing.T) {
		t.Parallel()
		d := h.AddDevice("last")
		client := newProgram(t, h, d, time.Hour)
		attend(client.connect(h.Run.MQTT), goodbye...)
		client.connect(h.Run.MQTT)
		e := verdict(t, h, d, iot.VerdictHandover, 1)
		if !e.Conflicts[0].Farewell || e.Cause != nil {
			t.Errorf("got %s", pretty(e))
		}
	})
}

// TestStoryRenewal: a client opens a second connection with a new token when the old
// one is about to end, and leaves the first.
func TestStoryRenewal(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	client := newProgram(t, h, d, 5*time.Minute)
	attend(client.connect(h.Run.MQTT))
	client.token = rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(time.Hour))
	client.connect(h.Run.MQTT)
	if e := verdict(t, h, d, iot.VerdictRenewal, 1); e.Cause != nil {
		t.Errorf("got %s", pretty(e))
	}
}

// TestStoryOpenedTwice: one process runs two clients of Go's paho that share their TLS
// configuration, and both come back when they are displaced.
func TestStoryOpenedTwice(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	cfg, hello := h.TLS(), d.Hello()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 {
		o := paho.NewClientOptions().AddBroker("ssl://" + h.Run.MQTT).SetTLSConfig(cfg).
			SetClientID(hello.ClientID).SetUsername(hello.Username).SetPassword(hello.Password).SetCleanSession(false).
			SetProtocolVersion(4).SetAutoReconnect(true).SetMaxReconnectInterval(300 * time.Millisecond).
			SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond) // the first one may come back in between
		c := paho.NewClient(o)
		t.Cleanup(func() { c.Disconnect(0) })
		if token := c.Connect(); !token.WaitTimeout(rig.Within) || token.Error() != nil {
			t.Fatalf("paho: connect: %v", token.Error())
		}
		if token := c.Publish(d.EventsTopic(), 0, false, "hello"); !token.WaitTimeout(rig.Within) {
			t.Fatal("paho: publish: no end")
		}
	}
	e := verdict(t, h, d, iot.VerdictOpenedTwice, 2)
	if *e.Cause != 2 {
		t.Errorf("cause %d, want 2", *e.Cause)
	}
}

// TestStoryBadNetwork: one client reconnects 15 times over two addresses, its old
// connections going silent, dying or answering late; it stays one client.
func TestStoryBadNetwork(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, p := h.AddDevice("dev1"), h.Proxy(t, "127.0.0.2")
	client := newProgram(t, h, d, time.Hour)
	faults := []func(*rig.Line){(*rig.Line).Mute, (*rig.Line).Hold, (*rig.Line).Silence, (*rig.Line).Die}
	attend(client.connect(p.Addr))
	for i := range 15 {
		old := p.Last()
		faults[i%len(faults)](old)
		p.From([]string{"127.0.0.3", "127.0.0.2"}[i%2])
		attend(client.connect(p.Addr))
		if i%len(faults) == 1 {
			<-time.After(400 * time.Millisecond)
			old.Flush()
		}
		if e := explained(t, h, d); e.Verdict == iot.VerdictTwoClients {
			t.Fatalf("after reconnect %d:\n%s", i, pretty(e))
		}
	}
	e := verdict(t, h, d, iot.VerdictHalfOpen, 15)
	if len(e.Conflicts) != 15 {
		t.Errorf("%d conflicts, want 15", len(e.Conflicts))
	}
}
