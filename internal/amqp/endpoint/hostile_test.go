package endpoint

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// Random frames that keep to nothing, on few channels and handles: what is counted is
// what is held after every turn, and the same is told in whatever pieces they come.
func TestModelHostilePeer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []byte
		if rapid.Bool().Draw(t, "sasl") {
			in = w.AppendProto(in, w.ProtoSASL)
			in = w.AppendSASL(in, w.SASLInit{Mechanism: "ANONYMOUS"})
		}
		in = w.AppendProto(in, w.ProtoAMQP)
		in = w.AppendFrame(in, 0, w.Open{
			ContainerID: rapid.SampledFrom([]string{"stranger", "known"}).Draw(t, "container"), MaxFrameSize: rapid.SampledFrom([]uint32{512, 1000, w.Unlimited}).Draw(t, "frame"),
			ChannelMax: rapid.SampledFrom([]uint16{1, 65535}).Draw(t, "channels"),
		})
		for range rapid.IntRange(1, 2).Draw(t, "sessions") {
			in = w.AppendFrame(in, uint16(rapid.IntRange(0, 2).Draw(t, "channel")), w.Begin{HandleMax: w.Unlimited, IncomingWindow: 20})
		}
		for range rapid.IntRange(1, 60).Draw(t, "frames") {
			in = w.AppendFrame(in, uint16(rapid.IntRange(0, 2).Draw(t, "channel")), hostile(t))
		}
		whole := newDriver()
		if err := whole.feed(in, len(in)); err != nil {
			t.Fatal(err)
		}
		parts := newDriver()
		if err := parts.feed(in, rapid.IntRange(1, 100).Draw(t, "piece")); err != nil {
			t.Fatal(err)
		}
		if got, want := parts.trace.String(), whole.trace.String(); got != want {
			t.Fatalf("in pieces:\n%s\nas a whole:\n%s", got, want)
		}
	})
}

func hostile(t *rapid.T) w.Performative {
	handle := rapid.Uint32Range(0, 4).Draw(t, "handle")
	some := func(name string, most uint32) w.Opt[uint32] {
		if rapid.IntRange(0, 4).Draw(t, "absent") == 0 {
			return w.Opt[uint32]{}
		}
		return w.Some(rapid.OneOf(rapid.Uint32Range(0, most), rapid.SampledFrom([]uint32{1<<31 - 1, 1 << 31, 1<<32 - 1})).Draw(t, name))
	}
	yes := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 0 }
	switch rapid.IntRange(0, 19).Draw(t, "what") {
	case 0, 1, 2, 3:
		return w.Attach{
			Name: rapid.SampledFrom([]string{"a", "b", "c", "refused", "ignored", strings.Repeat("long", 120)}).Draw(t, "name"), Handle: handle,
			Role: w.Role(rapid.Bool().Draw(t, "role")), SenderSettleMode: w.SenderSettleMode(rapid.IntRange(0, 2).Draw(t, "snd")),
			ReceiverSettleMode: w.ReceiverSettleMode(rapid.IntRange(0, 1).Draw(t, "rcv")),
			Source:             &w.Source{}, Target: &w.Node{}, MaxMessageSize: uint64(some("max", 1000).V), InitialDeliveryCount: some("count", 9).V,
		}
	case 4, 5, 6, 7, 8, 9:
		tr := w.Transfer{Handle: handle, DeliveryID: some("id", 30), More: yes("more"), Aborted: yes("aborted"), Resume: rapid.IntRange(0, 15).Draw(t, "resume") == 0, Settled: w.Opt[bool]{V: yes("settled"), Set: true}}
		if !yes("untagged") {
			tr.Tag = []byte("tag")
		}
		body := rapid.SampledFrom([]string{"", "x", "x", "x", "keep", "keep", "detach", "end", "wind", "close", "big"}).Draw(t, "body")
		if body == "big" {
			body = strings.Repeat("x", 3000)
		}
		tr.Payload = []byte(body)
		return tr
	case 10, 11, 12:
		return w.Flow{
			NextIncomingID: some("next", 9), IncomingWindow: some("window", 9).V, Handle: some("handle", 4), DeliveryCount: some("count", 9),
			LinkCredit: some("credit", 9), Drain: yes("drain"), Echo: yes("echo"),
		}
	case 13, 14, 15:
		first := some("first", 20).V
		return w.Disposition{Role: w.Role(yes("sender") == false), First: first, Last: first + some("range", 20).V, Settled: yes("settled"), State: w.Accepted{}}
	case 16, 17:
		return w.Detach{Handle: handle, Closed: yes("closed")}
	case 18:
		if yes("end") {
			return w.End{}
		}
		return w.Begin{IncomingWindow: 9, HandleMax: rapid.SampledFrom([]uint32{0, 1, 2, w.Unlimited}).Draw(t, "handles")}
	default:
		if rapid.IntRange(0, 15).Draw(t, "close") == 0 {
			return w.Close{}
		}
		return w.Begin{IncomingWindow: 9, HandleMax: w.Unlimited}
	}
}

// A peer that never answers: what it can make the machine hold is bounded.
func TestStrangerIsBounded(t *testing.T) {
	begin := w.Begin{IncomingWindow: 1, HandleMax: w.Unlimited}
	open := w.AppendFrame(w.AppendProto(nil, w.ProtoAMQP), 0, w.Open{ContainerID: "stranger", MaxFrameSize: w.Unlimited, ChannelMax: 65535})
	for name, test := range map[string]struct {
		frame    func(i int) (uint16, w.Performative)
		sessions int
		links    int
		ends     string // how it ends at last
	}{
		"sessions": {func(i int) (uint16, w.Performative) { return uint16(i), begin }, stranger().sessions + refusals, 0, "close  error=amqp:resource-limit-exceeded"},
		"links": {func(i int) (uint16, w.Performative) {
			if i == 0 {
				return 0, begin
			}
			return 0, w.Attach{Name: fmt.Sprint(i), Handle: uint32(i), Source: &w.Source{}, Target: &w.Node{}}
		}, 1, stranger().links + refusals, "end 0 error=amqp:resource-limit-exceeded"},
		"stolen links": {func(i int) (uint16, w.Performative) {
			if i == 0 {
				return 0, begin
			}
			return 0, w.Attach{Name: "the same", Handle: uint32(i), Source: &w.Source{}, Target: &w.Node{}}
		}, 1, stranger().links + refusals, "end 0 error=amqp:resource-limit-exceeded"},
		"refused links": {func(i int) (uint16, w.Performative) {
			if i == 0 {
				return 0, begin
			}
			return 0, w.Attach{Name: "refused", Handle: uint32(i), Source: &w.Source{}, Target: &w.Node{}}
		}, 1, stranger().links + refusals, "end 0 error=amqp:resource-limit-exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver()
			if err := d.feed(open, len(open)); err != nil {
				t.Fatal(err)
			}
			sessions, links := 0, 0
			for i := range 1000 {
				channel, p := test.frame(i)
				in := w.AppendFrame(nil, channel, p)
				if err := d.feed(in, len(in)); err != nil { // check has the bounds
					t.Fatal(err)
				}
				sessions, links = max(sessions, len(d.c.sessions)), max(links, d.c.links)
			}
			if sessions != test.sessions || links != test.links {
				t.Errorf("%d sessions, %d links; want %d, %d", sessions, links, test.sessions, test.links)
			}
			attached, begun := strings.Count(d.trace.String(), "attach "), strings.Count(d.trace.String(), "begin ")
			if test.links == 0 && begun != stranger().sessions || name == "links" && attached != stranger().links {
				t.Errorf("%d sessions, %d links were told", begun, attached)
			}
			if !strings.Contains(d.trace.String(), test.ends) {
				t.Errorf("%q is missing in %s", test.ends, d.trace.String())
			}
		})
	}
}

// A peer whose handles are beyond its own handle-max is given others: every link its own, and
// the lowest that is free (BenchmarkFreeHandle: by one pass over the links).
func TestHandlesBeyondThePeersOwn(t *testing.T) {
	const links = 4000
	c := New(Config{ContainerID: "berth"})
	c.Trust()
	feed(t, c, w.AppendProto(nil, w.ProtoAMQP), nil)
	feed(t, c, w.AppendFrame(nil, 0, w.Open{ContainerID: "peer", MaxFrameSize: w.Unlimited}), nil)
	feed(t, c, w.AppendFrame(nil, 0, w.Begin{IncomingWindow: 1, HandleMax: links - 1}), nil)
	attach := func(name string, handle uint32) (out uint32) {
		feed(t, c, w.AppendFrame(nil, 0, sender(name, handle)), func(l *Link) { out = l.out })
		return out
	}
	for i := range uint32(links) {
		if got := attach(fmt.Sprint(i), links+i); got != i {
			t.Fatalf("link %d has handle %d", i, got)
		}
	}
	for gone := range uint32(links / 8) {
		c.Start(c.now, nil)
		if ev, _ := c.Step(w.AppendFrame(nil, 0, w.Detach{Handle: links + gone, Closed: true})); ev.Kind != OnDetach {
			t.Fatal(ev.Kind, ev.Error)
		}
		c.Finish()
		if got := attach(fmt.Sprint("again ", gone), links+gone); got != gone {
			t.Fatalf("link %d has handle %d again, want the one that was free", gone, got)
		}
	}
}

// Deliveries that are never finished: the link that asks for too much dies, and no other.
func TestUnfinishedDeliveriesAreBounded(t *testing.T) {
	var attach []w.Performative
	for i := range uint32(32) {
		attach = append(attach, sender(fmt.Sprint(i), i))
	}
	c := upTo(t, attach...)
	part := make([]byte, 32*1024)
	detached := 0
	for i := range uint32(32) {
		for n := range 8 { // 256 KB a link, 8 MB in all
			p := w.Transfer{Handle: i, More: true, Payload: part}
			if n == 0 {
				p.DeliveryID, p.Tag = w.Some(i), []byte("tag")
			}
			in := p.AppendFrame(nil, 0)
			c.Start(c.now, nil)
			ev, _ := c.Step(in)
			if ev.Kind == OnDetach {
				detached++
				if ev.Error.Condition != w.CondResourceLimitExceeded {
					t.Fatal(ev.Error)
				}
			}
			c.Finish()
			if err := check(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := 32 - trusted().assembly/(256*1024); detached != want {
		t.Errorf("%d links were detached, want %d", detached, want)
	}
}

// What the machine has told it takes is what it takes: a transfer beyond it ends the
// session. A peer that gets there has to be ahead of the end of our turn.
func TestWindowViolation(t *testing.T) {
	c := upTo(t, sender("a", 0))
	c.channels[0].incoming = 0
	c.Start(c.now, nil)
	ev, _ := c.Step(w.Transfer{DeliveryID: w.Some[uint32](0), Tag: []byte("t")}.AppendFrame(nil, 0))
	if ev.Kind != OnDetach || ev.Error.Condition != w.CondWindowViolation {
		t.Errorf("%v %v", ev.Kind, ev.Error)
	}
	if ev, _ = c.Step(nil); ev.Kind != OnEnd || ev.Error.Condition != w.CondWindowViolation {
		t.Errorf("%v %v", ev.Kind, ev.Error)
	}
}

// A window of 4096 transfers is opened again before it is used up, whatever comes in one
// read; a turn handles its share and no more.
func TestWindowIsKeptOpen(t *testing.T) {
	c := upTo(t, sender("a", 0))
	var in []byte
	for id := range uint32(10_000) {
		in = w.Transfer{DeliveryID: w.Some(id), Tag: []byte("t"), Settled: w.Some(true)}.AppendFrame(in, 0)
	}
	got, turns := 0, 0
	for len(in) > 0 {
		c.Start(c.now, nil)
		inTurn := 0
		for {
			ev, n := c.Step(in)
			in = in[n:]
			if ev.Kind == More || ev.Kind == Idle {
				break
			}
			if ev.Kind != OnTransfer {
				t.Fatal(ev.Kind, ev.Error)
			}
			inTurn++
		}
		if inTurn > turnWork {
			t.Fatalf("%d transfers in a turn", inTurn)
		}
		got, turns = got+inTurn, turns+1
		c.Finish()
		if err := check(c); err != nil {
			t.Fatal(err)
		}
	}
	if got != 10_000 || turns < 10_000/turnWork {
		t.Errorf("%d transfers in %d turns", got, turns)
	}
}

// What is held back for windows that are closed is bounded on the whole connection; and
// what Room has promised is taken.
func TestHeldBackIsBounded(t *testing.T) {
	c := upTo(t)
	c.peerFrame = 512
	var links []*Link
	for ch := range uint16(32) {
		in := w.AppendFrame(nil, ch+1, w.Begin{HandleMax: w.Unlimited})
		feed(t, c, w.AppendFrame(in, ch+1, receiver("events", 0)), func(l *Link) { links = append(links, l) })
	}
	payload := make([]byte, 200*1024)
	sent := 0
	for _, l := range links {
		l.credit, l.session.outgoing = 10, 2 // as after a flow of the peer
		c.Start(c.now, nil)
		for range l.Room() {
			if _, err := l.Send(Message{Tag: []byte("t"), Payload: payload}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		c.Finish()
		if err := check(c); err != nil {
			t.Fatal(err)
		}
	}
	if want := maxHeld/len(payload) + 1; sent != want || c.heldBytes < maxHeld {
		t.Errorf("sent %d, want %d; %d held", sent, want, c.heldBytes)
	}
}

// A peer with credit without end is sent what one turn may hold, and its frames wait
// meanwhile.
func TestOutputOfATurnIsBounded(t *testing.T) {
	c := upTo(t, receiver("events", 0),
		w.Flow{IncomingWindow: 1 << 30, Handle: w.Some[uint32](0), DeliveryCount: w.Some[uint32](0), LinkCredit: w.Some[uint32](1<<32 - 1)})
	l := c.channels[0].byIn.get(0)
	payload := make([]byte, 10_000)
	c.Start(c.now, make([]byte, 100))
	for l.Room() > 0 {
		if _, err := l.Send(Message{Tag: []byte("t"), Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	echo := w.Flow{IncomingWindow: 1 << 30, Echo: true}.AppendFrame(nil, 0)
	if ev, n := c.Step(echo); ev.Kind != More || n != 0 {
		t.Errorf("%v, %d bytes used", ev.Kind, n)
	}
	out, _ := c.Finish()
	if len(out) < maxOut || len(out) > maxOut+2*len(payload) {
		t.Errorf("%d bytes of output", len(out))
	}
	c.Start(c.now, nil)
	if ev, n := c.Step(echo); ev.Kind != Idle || n != len(echo) || l.Room() == 0 {
		t.Errorf("%v, %d bytes used, room for %d", ev.Kind, n, l.Room())
	}
}

// A peer that never settles is sent no more than the table of a link may hold.
func TestUnsettledIsBounded(t *testing.T) {
	c := upTo(t, receiver("events", 0),
		w.Flow{IncomingWindow: 1 << 30, Handle: w.Some[uint32](0), DeliveryCount: w.Some[uint32](0), LinkCredit: w.Some[uint32](1<<32 - 1)})
	l := c.channels[0].byIn.get(0)
	sent := 0
	for range 2 * maxUnsettled / maxRoom {
		c.Start(c.now, nil)
		for range l.Room() {
			if _, err := l.Send(Message{Tag: []byte("t")}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		c.Finish()
	}
	c.Start(c.now, nil)
	if _, err := l.Send(Message{Tag: []byte("t")}); !errors.Is(err, ErrNoRoom) {
		t.Error(err)
	}
	c.Finish()
	if sent != maxUnsettled || l.Unsettled() != maxUnsettled {
		t.Errorf("sent %d, %d unsettled, want %d", sent, l.Unsettled(), maxUnsettled)
	}
	// A range of two billion settles them, a turn's share at a time.
	in := w.Disposition{Role: w.RoleReceiver, Last: 1<<31 - 1, Settled: true, State: w.Accepted{}}.AppendFrame(nil, 0)
	settled, turns := 0, 0
	for more := true; more; turns++ {
		c.Start(c.now, nil)
		for inTurn := 0; ; inTurn++ {
			ev, n := c.Step(in)
			in = in[n:]
			if more = ev.Kind == More; ev.Kind != OnDisposition {
				break
			}
			if settled++; inTurn > turnWork {
				t.Fatal("a turn without end")
			}
		}
		c.Finish()
	}
	if settled != sent || l.Unsettled() != 0 || turns < sent/turnWork {
		t.Errorf("settled %d in %d turns, %d unsettled", settled, turns, l.Unsettled())
	}
}
