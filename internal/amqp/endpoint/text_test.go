package endpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// words is one line of a script: a verb, what it is about, and named arguments.
type words struct {
	t    *testing.T
	line string
	verb string
	rest []string
}

func read(t *testing.T, line string) words {
	t.Helper()
	f := strings.Fields(line)
	return words{t, line, f[0], f[1:]}
}

// arg gives the value of name=value, or otherwise.
func (l words) arg(name, otherwise string) string {
	for _, f := range l.rest {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			return v
		}
	}
	return otherwise
}

// has says whether a bare word is there.
func (l words) has(word string) bool {
	return slices.Contains(l.rest, word)
}

func (l words) set(name string) bool { return l.arg(name, "\x00") != "\x00" }

func (l words) number(name string, otherwise uint64) uint64 {
	v := l.arg(name, "")
	if v == "" {
		return otherwise
	}
	return l.parse(v)
}

func (l words) parse(v string) uint64 {
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		l.t.Fatalf("%s: %v", l.line, err)
	}
	return n
}

func (l words) opt(name string) w.Opt[uint32] {
	if !l.set(name) {
		return w.Opt[uint32]{}
	}
	return w.Some(uint32(l.number(name, 0)))
}

// failure reads condition[/text].
func failure(text string) *w.Error {
	if text == "" {
		return nil
	}
	condition, description, _ := strings.Cut(text, "/")
	if n, err := strconv.Atoi(description); err == nil { // a text of so many bytes
		description = strings.Repeat("x", n)
	}
	return &w.Error{Condition: condition, Description: description}
}

func showError(e *w.Error) string {
	switch {
	case e == nil:
		return ""
	case e.Description == "":
		return " error=" + e.Condition
	}
	if len(e.Description) > 200 {
		return fmt.Sprintf(" error=%s text=%d", e.Condition, len(e.Description))
	}
	return fmt.Sprintf(" error=%s %q", e.Condition, e.Description)
}

func state(text string) w.State {
	name, rest, _ := strings.Cut(text, ":")
	switch name {
	case "accepted":
		return w.Accepted{}
	case "released":
		return w.Released{}
	case "rejected":
		return w.Rejected{Error: failure(rest)}
	case "modified":
		return w.Modified{DeliveryFailed: true}
	case "received":
		return w.Received{}
	}
	return nil
}

func showState(s w.State) string {
	switch s := s.(type) {
	case w.Accepted:
		return " accepted"
	case w.Released:
		return " released"
	case w.Rejected:
		return " rejected" + showError(s.Error)
	case w.Modified:
		return " modified"
	case w.Received:
		return " received"
	case nil:
		return ""
	default:
		return " other"
	}
}

// body gives body=text, or size=n bytes.
func (l words) body() []byte {
	if n := l.number("size", 0); n > 0 {
		return []byte(strings.Repeat("x", int(n)))
	}
	return []byte(l.arg("body", ""))
}

func showBody(b []byte) string {
	if len(b) > 64 {
		return fmt.Sprintf(" size=%d", len(b))
	}
	return fmt.Sprintf(" body=%s", b)
}

// append writes what a peer sends: header, SASL frame or performative.
func (l words) append(b []byte) []byte {
	switch l.verb {
	case "header":
		return w.AppendProto(b, map[string]w.Proto{"amqp": w.ProtoAMQP, "tls": w.ProtoTLS, "sasl": w.ProtoSASL}[l.rest[0]])
	case "init":
		init := w.SASLInit{Mechanism: l.rest[0]}
		if l.set("response") {
			init.InitialResponse = []byte(l.arg("response", ""))
		}
		return w.AppendSASL(b, init)
	case "response":
		return w.AppendSASL(b, w.SASLResponse{Response: []byte(l.rest[0])})
	case "empty":
		return w.AppendEmpty(b)
	case "bytes":
		s, err := strconv.Unquote(strings.TrimSpace(strings.TrimPrefix(l.line, "bytes")))
		if err != nil {
			l.t.Fatal(err)
		}
		return append(b, s...)
	}
	return w.AppendFrame(b, uint16(l.number("ch", 0)), l.performative())
}

func (l words) performative() w.Performative {
	handle := uint32(l.number("h", 0))
	switch l.verb {
	case "open":
		return w.Open{
			ContainerID: l.arg("container", "peer"), Hostname: l.arg("host", ""), MaxFrameSize: uint32(l.number("frame", w.Unlimited)),
			ChannelMax: uint16(l.number("channels", 65535)), IdleTimeOut: uint32(l.number("idle", 0)),
		}
	case "begin":
		b := w.Begin{
			NextOutgoingID: uint32(l.number("next", 0)), IncomingWindow: uint32(l.number("in", 1000)),
			OutgoingWindow: uint32(l.number("out", 1000)), HandleMax: uint32(l.number("handles", w.Unlimited)),
		}
		if l.set("remote") {
			b.RemoteChannel = w.Some(uint16(l.number("remote", 0)))
		}
		return b
	case "attach":
		return l.attach(handle)
	case "flow":
		return w.Flow{
			NextIncomingID: l.opt("next-in"), IncomingWindow: uint32(l.number("in", 1000)),
			NextOutgoingID: uint32(l.number("next-out", 0)), OutgoingWindow: uint32(l.number("out", 1000)),
			Handle: l.opt("h"), DeliveryCount: l.opt("count"), LinkCredit: l.opt("credit"),
			Drain: l.has("drain"), Echo: l.has("echo"),
		}
	case "transfer":
		t := w.Transfer{Handle: handle, DeliveryID: l.opt("id"), MessageFormat: l.opt("format"), More: l.has("more"), Aborted: l.has("aborted"), Resume: l.has("resume"), Payload: l.body()}
		if l.set("id") && !l.has("untagged") {
			t.Tag = []byte(l.arg("tag", "t"+l.arg("id", "")))
		}
		if l.has("settled") {
			t.Settled = w.Some(true)
		}
		if l.has("rcv-first") {
			t.ReceiverSettleMode = w.Some(w.ReceiverFirst)
		}
		return t
	case "disposition":
		first := uint32(l.number("first", 0))
		return w.Disposition{Role: w.Role(l.has("receiver")), First: first, Last: uint32(l.number("last", uint64(first))), Settled: l.has("settled"), State: state(l.arg("state", ""))}
	case "detach":
		return w.Detach{Handle: handle, Closed: !l.has("suspend"), Error: failure(l.arg("error", ""))}
	case "end":
		return w.End{Error: failure(l.arg("error", ""))}
	case "close":
		return w.Close{Error: failure(l.arg("error", ""))}
	}
	l.t.Fatalf("unknown frame: %s", l.line)
	return nil
}

func (l words) attach(handle uint32) w.Attach {
	a := w.Attach{
		Name: l.arg("name", "l"+l.arg("h", "0")), Handle: handle, Role: w.Role(l.has("receiver")),
		InitialDeliveryCount: uint32(l.number("count", 0)), MaxMessageSize: l.number("max", 0),
		SenderSettleMode: map[string]w.SenderSettleMode{"mixed": w.SenderMixed, "settled": w.SenderSettled, "unsettled": w.SenderUnsettled}[l.arg("snd", "mixed")],
		Source:           &w.Source{Address: l.arg("source", "")},
		Target:           &w.Node{Address: l.arg("target", "")},
	}
	if l.arg("rcv", "first") == "second" {
		a.ReceiverSettleMode = w.ReceiverSecond
	}
	if n := l.number("long-name", 0); n > 0 {
		a.Name = strings.Repeat("n", int(n))
	}
	return a
}

// showFrames prints what the machine wrote.
func showFrames(t *testing.T, b []byte) string {
	t.Helper()
	var out strings.Builder
	for len(b) > 0 {
		if h, n, err := w.SplitProto(b); err == nil {
			fmt.Fprintf(&out, "< header %v\n", map[w.Proto]string{w.ProtoAMQP: "amqp", w.ProtoSASL: "sasl"}[h.Proto])
			b = b[n:]
			continue
		}
		f, n, err := w.Split(b, len(b))
		if err != nil {
			t.Fatalf("the machine wrote %x: %v", b, err)
		}
		b = b[n:]
		fmt.Fprintf(&out, "< %s\n", showFrame(t, f))
	}
	return out.String()
}

func showFrame(t *testing.T, f w.Frame) string {
	t.Helper()
	if len(f.Body) == 0 {
		return "empty"
	}
	if f.Type == w.FrameSASL {
		s, err := f.DecodeSASL()
		if err != nil {
			t.Fatal(err)
		}
		return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T %+v", s, s), "amqpwire.SASL"))
	}
	p, err := f.Decode()
	if err != nil {
		t.Fatalf("the machine wrote %x: %v", f.Body, err)
	}
	text := showPerformative(p)
	if f.Channel != 0 {
		verb, rest, _ := strings.Cut(text, " ")
		text = strings.TrimSpace(fmt.Sprintf("%s ch=%d %s", verb, f.Channel, rest))
	}
	return text
}

func showOpt(name string, o w.Opt[uint32]) string {
	if !o.Set {
		return ""
	}
	return fmt.Sprintf(" %s=%d", name, o.V)
}

func flag(name string, on bool) string {
	if on {
		return " " + name
	}
	return ""
}

func showPerformative(p w.Performative) string {
	switch p := p.(type) {
	case w.Open:
		return fmt.Sprintf("open container=%s frame=%d channels=%d idle=%d", p.ContainerID, p.MaxFrameSize, p.ChannelMax, p.IdleTimeOut)
	case w.Begin:
		return fmt.Sprintf("begin remote=%d next=%d in=%d out=%d handles=%d", p.RemoteChannel.V, p.NextOutgoingID, p.IncomingWindow, p.OutgoingWindow, p.HandleMax)
	case w.Attach:
		return "attach" + showAttach(&p)
	case w.Flow:
		return fmt.Sprintf("flow%s in=%d next-out=%d", showOpt("next-in", p.NextIncomingID), p.IncomingWindow, p.NextOutgoingID) +
			showOpt("h", p.Handle) + showOpt("count", p.DeliveryCount) + showOpt("credit", p.LinkCredit) + flag("drain", p.Drain) + flag("echo", p.Echo)
	case w.Transfer:
		s := fmt.Sprintf("transfer h=%d%s", p.Handle, showOpt("id", p.DeliveryID))
		if p.Tag != nil {
			s += fmt.Sprintf(" tag=%s", p.Tag)
		}
		return s + showOpt("format", p.MessageFormat) + flag("settled", p.Settled.V) + flag("more", p.More) + showBody(p.Payload)
	case w.Disposition:
		return fmt.Sprintf("disposition %v first=%d last=%d", p.Role, p.First, p.Last) + flag("settled", p.Settled) + showState(p.State)
	case w.Detach:
		return fmt.Sprintf("detach h=%d", p.Handle) + flag("suspend", !p.Closed) + showError(p.Error)
	case w.End:
		return "end" + showError(p.Error)
	case w.Close:
		return "close" + showError(p.Error)
	}
	return "?"
}

func showAttach(a *w.Attach) string {
	s := fmt.Sprintf(" h=%d name=%s %v", a.Handle, a.Name, a.Role)
	if len(a.Name) > 64 {
		s = fmt.Sprintf(" h=%d long-name=%d %v", a.Handle, len(a.Name), a.Role)
	}
	switch a.SenderSettleMode {
	case w.SenderSettled:
		s += " snd=settled"
	case w.SenderUnsettled:
		s += " snd=unsettled"
	default:
	}
	if a.ReceiverSettleMode == w.ReceiverSecond {
		s += " rcv=second"
	}
	if a.Source != nil {
		s += " source=" + a.Source.Address
	}
	switch target := a.Target.(type) {
	case *w.Node:
		if target != nil {
			s += " target=" + target.Address
		}
	case *w.Coordinator:
		s += " coordinator"
	}
	if a.Role == w.RoleSender {
		s += fmt.Sprintf(" count=%d", a.InitialDeliveryCount)
	}
	return s + fmt.Sprintf(" max=%d", a.MaxMessageSize)
}
