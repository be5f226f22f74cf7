package endpoint

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// Conversations, as scripts. Each block is one turn: lines with > are what the peer
// sends, the others what the caller does, in this order; * is an event, < what is sent at
// the end of the turn. -rewrite writes the answers.
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		t.Helper()
		st := newStage(t)
		datadriven.RunTest(t, path, st.do)
	})
}

// stage drives a machine as its caller would.
type stage struct {
	t     *testing.T
	c     *Conn
	now   time.Time
	in    []byte
	links map[string]*Link
	until time.Time
	said  strings.Builder
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return &stage{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// do runs one block.
//
//	new            another connection, and nothing else
//	up [open arguments]   another connection, trusted, open and with a session on channel 0
//	turn [+5s]     a turn, so much later
//	memory         what the machine holds
func (st *stage) do(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	st.t = t
	st.said.Reset()
	switch d.Cmd {
	case "new":
		st.fresh()
		return "-\n"
	case "up":
		st.fresh()
		st.c.Trust()
		open := "> open"
		for _, a := range d.CmdArgs {
			open += " " + a.Key + "=" + strings.Join(a.Vals, "")
		}
		st.turn("> header amqp\n" + open + "\nopen\n> begin")
		st.said.Reset()
		st.turn(d.Input)
	case "turn":
		for _, a := range d.CmdArgs {
			if a.Key == "deadline" {
				st.now = st.until
				continue
			}
			passed, err := time.ParseDuration(strings.TrimPrefix(a.Key, "+"))
			if err != nil {
				t.Fatal(err)
			}
			st.now = st.now.Add(passed)
		}
		st.turn(d.Input)
	case "pause": // a turn in which nothing is read
		passed, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		st.now = st.now.Add(passed)
		st.c.Start(st.now, nil)
		out, until := st.c.Finish()
		st.said.WriteString(showFrames(t, out))
		st.until = until
	case "memory":
		return st.memory()
	case "deadline":
		if st.until.IsZero() {
			return "never\n"
		}
		return fmt.Sprintf("in %v\n", st.until.Sub(st.now))
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	if st.said.Len() == 0 {
		return "-\n"
	}
	return st.said.String()
}

func (st *stage) fresh() {
	st.c = New(Config{ContainerID: "berth", Mechanisms: []string{"MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL"}})
	st.links, st.in = map[string]*Link{}, nil
}

// turn takes a turn, and further ones while the machine asks for them.
func (st *stage) turn(input string) {
	st.c.Start(st.now, nil)
	stepped := false
	for line := range strings.Lines(input) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if sent, ok := strings.CutPrefix(line, "> "); ok {
			st.in, stepped = read(st.t, sent).append(st.in), false
			continue
		}
		if len(st.in) > 0 && !stepped {
			st.steps()
			stepped = true
		}
		st.call(read(st.t, line))
	}
	for more := st.steps(); ; more = st.steps() {
		out, until := st.c.Finish()
		st.said.WriteString(showFrames(st.t, out))
		st.until = until
		if !more {
			break
		}
		st.c.Start(st.now, nil)
	}
	if st.c.Over() {
		st.said.WriteString("over\n")
	}
}

// steps takes steps until the turn ends, and says whether another is due at once.
func (st *stage) steps() (more bool) {
	for {
		ev, n := st.c.Step(st.in)
		st.in = st.in[n:]
		switch ev.Kind {
		case Idle:
			return false
		case Held:
			fmt.Fprintf(&st.said, "* held, %d bytes unread\n", len(st.in))
			return false
		case More:
			return true
		default:
			st.event(ev)
		}
	}
}

func (st *stage) key(l *Link) string { return fmt.Sprintf("%d/%d", l.session.in, l.in) }

func (st *stage) event(ev Event) {
	out := &st.said
	fmt.Fprintf(out, "* %v", ev.Kind)
	switch ev.Kind {
	case OnSASL:
		if ev.Init != nil {
			fmt.Fprintf(out, " %s response=%q", ev.Init.Mechanism, ev.Init.InitialResponse)
		} else {
			fmt.Fprintf(out, " response=%q", ev.Response)
		}
	case OnOpen:
		fmt.Fprintf(out, " container=%s host=%s", ev.Open.ContainerID, ev.Open.Hostname)
	case OnBegin, OnEnd:
		fmt.Fprintf(out, " %d", ev.Session.Channel())
	case OnAttach:
		st.links[st.key(ev.Link)] = ev.Link
		fmt.Fprintf(out, " %s%s", st.key(ev.Link), showAttach(ev.Attach))
	case OnTransfer:
		d := ev.Delivery
		fmt.Fprintf(out, " %s id=%d tag=%s", st.key(ev.Link), d.ID, d.Tag)
		if d.Format != 0 {
			fmt.Fprintf(out, " format=%d", d.Format)
		}
		fmt.Fprintf(out, "%s%s", flag("settled", d.Settled), showBody(d.Payload))
	case OnDisposition:
		fmt.Fprintf(out, " %s id=%d ref=%d%s%s", st.key(ev.Link), ev.ID, ev.Ref, showState(ev.State), flag("settled", ev.Settled))
	case OnFlow:
		if ev.Link == nil {
			fmt.Fprintf(out, " %d", ev.Session.Channel())
		} else {
			fmt.Fprintf(out, " %s room=%d%s", st.key(ev.Link), ev.Link.Room(), flag("drain", ev.Link.Drain()))
		}
	case OnDetach, OnAnswer:
		fmt.Fprintf(out, " %s%s", st.key(ev.Link), flag("closed", ev.Closed))
	default:
	}
	fmt.Fprintf(out, "%s%s\n", flag("by-peer", ev.ByPeer), showError(ev.Error))
}

// call does what a caller does.
func (st *stage) call(l words) {
	c := st.c
	switch l.verb {
	case "trust":
		c.Trust()
	case "outcome":
		c.Outcome(map[string]w.SASLCode{"ok": w.SASLOK, "auth": w.SASLAuth}[l.rest[0]])
	case "challenge":
		c.Challenge([]byte(strings.Join(l.rest, "")))
	case "open":
		c.Open(w.Open{OfferedCapabilities: []string{"offered"}})
	case "close":
		c.Close(failure(l.arg("error", "")))
	case "wind":
		if l.set("ch") {
			c.channels[uint16(l.number("ch", 0))].Wind(failure(l.arg("error", "")))
		} else {
			c.Wind(failure(l.arg("error", "")))
		}
	case "end":
		c.channels[uint16(l.number("ch", 0))].End(failure(l.arg("error", "")))
	default:
		link := st.links[l.rest[0]]
		if link == nil {
			st.t.Fatalf("no link: %s", l.line)
		}
		st.link(l, link)
	}
}

func (st *stage) link(l words, link *Link) {
	switch l.verb {
	case "accept":
		terms := Terms{MaxMessageSize: l.number("max", 0), SettleAtOnce: l.has("at-once")}
		if a := l.arg("source", ""); a != "" {
			terms.Source = &w.Source{Address: a}
		}
		link.Accept(terms)
	case "refuse":
		link.Refuse(failure(l.arg("error", "")))
	case "detach":
		link.Detach(failure(l.arg("error", "")))
	case "allow":
		link.Allow(uint32(l.parse(l.rest[1])))
	case "drained":
		link.Drained()
	case "room":
		fmt.Fprintf(&st.said, "room %d\n", link.Room())
	case "send":
		for range l.number("times", 1) {
			id, err := link.Send(Message{Tag: []byte(l.arg("tag", "t")), Ref: l.number("ref", 0), Format: uint32(l.number("format", 0)), Settled: l.has("settled"), Payload: l.body()})
			if err != nil {
				fmt.Fprintf(&st.said, "%v\n", err)
			} else {
				fmt.Fprintf(&st.said, "sent %d\n", id)
			}
		}
	case "settle": // link id or first..last, state
		first, last, _ := strings.Cut(l.rest[1], "..")
		if last == "" {
			link.Settle(uint32(l.parse(first)), state(l.rest[2]))
		} else {
			link.SettleRange(uint32(l.parse(first)), uint32(l.parse(last)), state(l.rest[2]))
		}
	case "settle-now":
		link.SettleNow(uint32(l.parse(l.rest[1])), state(l.rest[2]))
	case "oldest":
		n, _ := strconv.Atoi(l.rest[1])
		fmt.Fprintf(&st.said, "settled %d\n", link.SettleOldest(n, state(l.rest[2])))
	default:
		st.t.Fatalf("unknown call: %s", l.line)
	}
}

// memory says what the machine holds.
func (st *stage) memory() string {
	c := st.c
	var out strings.Builder
	fmt.Fprintf(&out, "sessions=%d links=%d unsettled-sent=%d assembled=%d held=%d owed=%d\n", len(c.sessions), c.links, c.unsettled, c.assembled, c.heldBytes, c.owed)
	for _, s := range c.sessions {
		fmt.Fprintf(&out, "%d: links=%d unheard=%d received=%d sent=%d\n", s.in, len(s.links), s.unheard, s.received.live(), s.sent.live())
	}
	return out.String()
}
