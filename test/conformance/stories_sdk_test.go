package conformance

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/test/rig"
)

// TestStoryTwoClients: two processes of the published device SDK run with one
// connection string and the retry policy they come with, from two addresses and from
// one.
func TestStoryTwoClients(t *testing.T) {
	for name, second := range map[string]string{"two-addresses": "127.0.0.3", "one-address": "127.0.0.2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := rig.Start(t, rig.Options{Local: true})
			d := h.AddDevice("dev1")
			changes := h.Follow("conflicts", "--follow", "--json")
			for _, from := range []string{"127.0.0.2", second} {
				p := duellist(t, h, d, h.Proxy(t, from))
				p.must("open", nil, nil)
				p.must("onMethod", args{"method": "reboot"}, nil) // the SDK comes back by itself for what it listens to
				<-time.After(2 * time.Second)                     // longer than one program needs for its second connection
			}
			e := verdict(t, h, d, iot.VerdictTwoClients, 2)
			if *e.Cause != 2 || len(e.Clients) != 2 || e.Clients[0].ID != "A" || strong(e, iot.VerdictTwoClients) < 2 {
				t.Errorf("got %s", pretty(e))
			}
			if second == "127.0.0.2" {
				leftOpen(t, e, iot.VerdictOpenedTwice)
			} else if e.Confidence < 0.9 {
				t.Errorf("sure by %v only", e.Confidence)
			}
			if got := h.Sessions(t); got > 1 {
				t.Errorf("%d sessions are open, want one at most", got)
			}
			checkFleetView(t, h, changes)
		})
	}
}

// TestStoryOneProgramOpensTwo: one process opens two clients, and nothing that it sends
// shows that it is one. If it does so at once, that is a sign; if a process of the
// published device SDK does so later, nothing tells it from two processes at one address,
// and the answer says so.
func TestStoryOneProgramOpensTwo(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	t.Run("at-once", func(t *testing.T) {
		t.Parallel()
		d := h.AddDevice("at-once")
		links := []*rig.Link{h.Dial(t), h.Dial(t)}
		for i := range 6 { // whoever was displaced comes back
			l := links[0]
			if links = links[1:]; len(links) == 0 {
				links = append(links, h.Dial(t))
			}
			hello := d.Hello()
			hello.Password = rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(time.Hour+time.Duration(i)*time.Minute))
			l.Enter(hello)
			attend(l)
		}
		leftOpen(t, verdict(t, h, d, iot.VerdictOpenedTwice, 5), iot.VerdictTwoClients)
	})
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		d := h.AddDevice("later")
		p := duellist(t, h, d, h.Proxy(t, "127.0.0.2"))
		p.must("open", nil, nil)
		p.must("onMethod", args{"method": "reboot"}, nil)
		<-time.After(2 * time.Second) // longer than a program needs for its second connection
		p.must("again", args{"connection": d.String(), "transport": overTCP, "ca": h.CAFile}, nil)
		leftOpen(t, verdict(t, h, d, iot.VerdictTwoClients, 6), iot.VerdictOpenedTwice)
	})
}

// strong counts the strong evidence for a verdict.
func strong(e iot.Explanation, v iot.Verdict) int {
	n := 0
	for _, ev := range e.Evidence {
		if ev.Strength == iot.Strong && slices.Contains(ev.For, v) {
			n++
		}
	}
	return n
}

// leftOpen demands that an explanation is not sure whether one program was at work or
// two: the rival is named, and the advice is for both.
func leftOpen(t *testing.T, e iot.Explanation, rival iot.Verdict) {
	t.Helper()
	both := strings.Contains(e.Advice.Next, "second copy") || strings.Contains(e.Advice.Next, "Two copies")
	if *e.Cause != 2 || e.Confidence > 0.7 || e.RunnerUp == nil || e.RunnerUp.Verdict != rival || !both {
		t.Errorf("got %s", pretty(e))
	}
}

// duellist is a client of the SDK with its own retry policy, behind a proxy.
func duellist(t *testing.T, h *rig.Hub, d rig.Identity, p *rig.Proxy) *puppet {
	t.Helper()
	through := *h
	through.Run.MQTT = p.Addr
	n := newPuppet(t, &through, "device")
	n.must("create", args{"connection": d.String(), "transport": overTCP, "ca": h.CAFile, "retry": true}, nil)
	return n
}

// checkFleetView checks the list of conflicts, its followers, the metric, the hub's own
// log and the command line of a hub where dev1 has two clients.
func checkFleetView(t *testing.T, h *rig.Hub, changes <-chan string) {
	t.Helper()
	for line := ""; !strings.Contains(line, `"verdict":"two_clients"`); {
		line = rig.Receive(t, changes, "a follower hears of two clients")
	}
	var list []iot.ConflictSummary
	h.RequestAs(h.PolicyToken("service"), http.MethodGet, "/berth/v1/conflicts?order=worst", "").Want(t, http.StatusOK).JSON(t, &list)
	if len(list) != 1 || list[0].DeviceID != "dev1" || list[0].Verdict != iot.VerdictTwoClients || list[0].Conflicts < 2 {
		t.Errorf("conflicts: %+v", list)
	}
	for _, s := range list {
		for _, a := range s.Addresses {
			if !strings.HasSuffix(a, ".XXX") {
				t.Errorf("the policy service is shown the address %s", a)
			}
		}
	}
	if got := h.Metric("berth_conflicts_total"); got < 1 {
		t.Errorf("berth_conflicts_total is %v, want 1 or more", got)
	}
	if got := strings.Count(h.Out.String(), "displace each other"); got != 1 {
		t.Errorf("the hub's log tells of %d stories, want one", got)
	}
	page := string(h.Berth("explain", "dev1").Must().Stdout)
	for _, want := range []string{"two clients", "cause", "Clients", "Timeline", "Speaks for it", "runner-up", "next check", "fix", "127.0.0.2"} {
		if !strings.Contains(page, want) {
			t.Errorf("berth explain does not say %q:\n%s", want, page)
		}
	}
	masked := string(h.Berth("explain", "dev1", "--login", h.PolicyString("service")).Must().Stdout)
	if strings.Contains(masked, "127.0.0.2") || !strings.Contains(masked, "127.0.0.XXX") {
		t.Errorf("the policy service is shown whole addresses:\n%s", masked)
	}
}

// TestStoryOfAFastDuel: 300 displacements, one after another as fast as they can be
// made, are one story, of which a follower of connections misses nothing.
func TestStoryOfAFastDuel(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	events := h.Follow("monitor", "connections", "--device", "dev1", "--json")
	first := rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(time.Hour))
	// A follower may begin late: connect until it has seen something.
	hello := d.Hello()
	hello.Password = first
	rig.Until(t, "the follower sees a connection", func() bool {
		l := h.Dial(t)
		l.Enter(hello)
		l.Send(rig.Frame(rig.Disconnect<<4, nil))
		l.Closed(rig.Within)
		return len(events) > 0
	})
	const n = 300
	programs := []*program{newProgram(t, h, d, time.Hour), newProgram(t, h, d, 2*time.Hour)}
	attend(programs[0].connect(h.Run.MQTT))
	<-time.After(3 * time.Second) // one program that opens twice does so at once
	for i := range n {
		attend(programs[1-i%2].connect(h.Run.MQTT))
	}
	e := verdict(t, h, d, iot.VerdictTwoClients, 32)
	var list []iot.ConflictSummary
	h.Request(http.MethodGet, "/berth/v1/conflicts", "").Want(t, http.StatusOK).JSON(t, &list)
	if len(list) != 1 || list[0].Conflicts != n || len(e.Conflicts) != 32 {
		t.Errorf("%d conflicts kept of %+v, want 32 of one story of %d", len(e.Conflicts), list, n)
	}
	displaced := 0
	for last := ""; displaced < n; {
		ev := connectionEvent(t, rig.Receive(t, events, "every displacement is told"))
		if ev.Lost > 0 {
			t.Fatalf("%d events were lost", ev.Lost)
		}
		if ev.SequenceNumber <= last {
			t.Fatalf("sequence number %s after %s", ev.SequenceNumber, last)
		}
		last = ev.SequenceNumber
		if ev.Code == 400027 {
			displaced++
			if ev.Event != iot.DeviceDisconnected || ev.Peer == nil || ev.By == nil || ev.CodeName != "ConnectionForcefullyClosedOnNewConnection" {
				t.Fatalf("got %+v", ev)
			}
		}
	}
}

func connectionEvent(t *testing.T, line string) iot.ConnectionEvent {
	t.Helper()
	var ev iot.ConnectionEvent
	if err := json.Unmarshal([]byte(line), &ev); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	return ev
}
