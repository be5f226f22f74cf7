package endpoint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// driver is a caller that answers every event at once, always in the same way.
type driver struct {
	c     *Conn
	now   time.Time
	trace strings.Builder
	live  map[*Link]bool
	out   int
	turns int
}

func newDriver() *driver {
	return &driver{
		c:    New(Config{ContainerID: "berth", Mechanisms: []string{"ANONYMOUS", "PLAIN"}}),
		now:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		live: map[*Link]bool{},
	}
}

// feed has the machine read in, piece bytes more at a time.
func (d *driver) feed(in []byte, piece int) error {
	var unread []byte
	for len(in) > 0 {
		n := min(piece, len(in))
		unread, in = append(unread, in[:n]...), in[n:]
		for again := true; again; {
			d.c.Start(d.now, nil)
			used, more := d.steps(unread)
			unread = append([]byte(nil), unread[used:]...)
			out, _ := d.c.Finish()
			if err := d.wrote(out); err != nil {
				return err
			}
			if err := check(d.c); err != nil {
				return err
			}
			again = more
			d.turns++
		}
	}
	return nil
}

func (d *driver) steps(in []byte) (used int, more bool) {
	for {
		ev, n := d.c.Step(in[used:])
		used += n
		switch ev.Kind {
		case Idle, Held:
			return used, false
		case More:
			return used, true
		default:
			d.event(ev)
		}
	}
}

// wrote sees that what the machine wrote is frames that the peer takes.
func (d *driver) wrote(out []byte) error {
	d.out += len(out)
	if len(out) > 2*maxOut {
		return fmt.Errorf("%d bytes of output in a turn", len(out))
	}
	for len(out) > 0 {
		if _, n, err := w.SplitProto(out); err == nil {
			out = out[n:]
			continue
		}
		f, n, err := w.Split(out, max(d.c.peerFrame, 512))
		if err != nil {
			return fmt.Errorf("wrote %x: %w", out, err)
		}
		out = out[n:]
		switch {
		case len(f.Body) == 0:
		case f.Type == w.FrameSASL:
			if _, err := f.DecodeSASL(); err != nil {
				return fmt.Errorf("wrote %x: %w", f.Body, err)
			}
		default:
			if _, err := f.Decode(); err != nil {
				return fmt.Errorf("wrote %x: %w", f.Body, err)
			}
		}
	}
	return nil
}

func (d *driver) event(ev Event) {
	say := func(format string, args ...any) {
		fmt.Fprintf(&d.trace, "%v "+format, append([]any{ev.Kind}, args...)...)
		fmt.Fprintf(&d.trace, "%s%s\n", flag("by-peer", ev.ByPeer), showError(ev.Error))
	}
	switch ev.Kind {
	case OnSASL:
		say("%v", ev.Init)
		d.c.Outcome(w.SASLOK)
	case OnOpen:
		say("%s", ev.Open.ContainerID)
		d.c.Open(w.Open{})
		if ev.Open.ContainerID != "stranger" {
			d.c.Trust()
		}
	case OnBegin, OnEnd:
		say("%d", ev.Session.Channel())
	case OnAttach:
		say("%d/%d %s", ev.Session.Channel(), ev.Attach.Handle, ev.Attach.Name)
		switch ev.Attach.Name {
		case "refused":
			ev.Link.Refuse(&w.Error{Condition: w.CondNotFound})
		case "ignored":
			d.live[ev.Link] = true
		default:
			d.live[ev.Link] = true
			ev.Link.Accept(Terms{MaxMessageSize: 4096})
			ev.Link.Allow(10)
		}
	case OnTransfer:
		say("%d/%d %d %x %x", ev.Session.Channel(), ev.Link.in, ev.Delivery.ID, ev.Delivery.Tag, ev.Delivery.Payload)
		switch string(ev.Delivery.Payload) {
		case "detach":
			ev.Link.Detach(nil)
		case "end":
			ev.Session.End(nil)
		case "wind":
			ev.Link.Detach(nil)
			ev.Session.Wind(nil)
			d.c.Wind(nil)
		case "close":
			d.c.Close(nil)
		case "keep":
		default:
			ev.Link.Settle(ev.Delivery.ID, w.Accepted{})
		}
	case OnDisposition:
		say("%d/%d %d%s%s", ev.Session.Channel(), ev.Link.in, ev.ID, showState(ev.State), flag("settled", ev.Settled))
		if !ev.Settled {
			ev.Link.Settle(ev.ID, ev.State)
		}
	case OnFlow:
		say("%d", ev.Session.Channel())
		if l := ev.Link; l != nil {
			id, err := l.Send(Message{Tag: []byte{1}, Payload: make([]byte, 700)})
			say("sent %d %v", id, err)
			l.Drained()
		}
	case OnDetach, OnAnswer:
		say("%d/%d%s", ev.Session.Channel(), ev.Link.in, flag("closed", ev.Closed))
		if ev.Kind == OnDetach {
			if !d.live[ev.Link] || ev.Link.Live() {
				panic("a link is detached that was not attached, or twice")
			}
			delete(d.live, ev.Link)
		}
	default:
		say("")
	}
}

// peers are conversations to begin from: the bytes that the peer of each script sends,
// and some that a fuzzer would not find soon.
func peers(tb testing.TB) [][]byte {
	tb.Helper()
	var all [][]byte
	paths, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(paths) == 0 {
		tb.Fatal(paths, err)
	}
	t := &testing.T{}
	for _, path := range paths {
		script, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		var one []byte
		for line := range strings.Lines(string(script)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "new", strings.HasPrefix(line, "up"):
				if len(one) > 16 {
					all = append(all, one)
				}
				one = nil
				if open, ok := strings.CutPrefix(line, "up"); ok {
					one = read(t, "header amqp").append(nil)
					one = read(t, "open "+open).append(one)
					one = read(t, "begin").append(one)
				}
			case strings.HasPrefix(line, "> "):
				one = read(t, line[2:]).append(one)
			}
		}
		all = append(all, one)
	}
	for _, payload := range []string{"detach", "end", "wind", "close", "keep"} {
		one := read(t, "header amqp").append(nil)
		for _, line := range []string{"open frame=512", "begin", "attach h=0", "attach h=1 receiver name=refused", "attach h=2 name=ignored", "attach h=3 receiver rcv=second", "flow h=3 credit=9 in=2", "transfer h=0 id=0 body=" + payload, "transfer h=0 id=1 body=x", "disposition receiver state=accepted", "detach h=0", "flow in=9 echo", "end", "close"} {
			one = read(t, line).append(one)
		}
		all = append(all, one)
	}
	return all
}

// FuzzConn: whatever a peer sends, and in whatever pieces it comes: no panic, what is
// counted is what is held, what is written can be read, nothing allocated beyond a
// multiple of what was sent, and the same is told.
func FuzzConn(f *testing.F) {
	for _, p := range peers(f) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		whole := newDriver()
		if err := whole.feed(bytes.Clone(in), max(len(in), 1)); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		// A frame of 20 bytes may be answered with an attach, a delivery, a flow ...; the
		// trace is the driver's.
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(512*1024+400*len(in)+32*whole.out+16*whole.trace.Len()) {
			t.Errorf("%d bytes of input allocated %d", len(in), grown)
		}
		for _, piece := range []int{1, 7, 100} {
			if piece == 1 && len(in) > 4096 {
				continue
			}
			d := newDriver()
			if err := d.feed(bytes.Clone(in), piece); err != nil {
				t.Fatal(err)
			}
			if got, want := d.trace.String(), whole.trace.String(); got != want {
				t.Fatalf("in pieces of %d:\n%s\nas a whole:\n%s", piece, got, want)
			}
		}
	})
}
