package mqtt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// Conversations, as scripts: each command is one thing that happens to a machine, and
// prints what the machine says. -rewrite writes the answers.
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		t.Helper()
		st := &stage{t: t, core: hubtest.NewCore(hubtest.Script{}), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		datadriven.RunTest(t, path, st.do)
	})
}

// stage drives one machine at a time by hand, where park would.
type stage struct {
	t       *testing.T
	core    *hubtest.Core
	now     time.Time
	m       *machine
	session *hubtest.Session
	facts   *device.Conn
	in      []byte
	woken   bool
	turn    park.Turn
	over    bool
}

func (st *stage) do(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	switch d.Cmd {
	case "open": // identity=D[/M] [clean] [keepalive=seconds]
		st.open(&out, d)
	case "send": // packets, one a line; all in one read
		for line := range strings.Lines(d.Input) {
			st.in = st.packet(strings.TrimSpace(line)).Append(st.in)
		}
		st.turns(&out)
	case "raw": // bytes as a quoted string
		s, err := strconv.Unquote(strings.TrimSpace(d.Input))
		if err != nil {
			t.Fatal(err)
		}
		st.in = append(st.in, s...)
		st.turns(&out)
	case "commit":
		st.session.Commit(number(d.CmdArgs[0].Key))
		st.turns(&out)
	case "room":
		st.session.Room(number(d.CmdArgs[0].Key))
		st.turns(&out)
	case "finish": // tag [code=N]
		var err error
		for _, arg := range d.CmdArgs[1:] {
			err = fault.New(fault.Code(number(arg.Vals[0])), "hub.test", "the hub says no")
		}
		st.session.Finish(uint64(number(d.CmdArgs[0].Key)), err)
		st.turns(&out)
	case "queue": // a message for an identity: identity=D[/M] [id= to= ct= ...]; k=v lines are properties
		st.queue(d)
		st.turns(&out)
	case "pending": // what is not settled, * in the client's hands: identity=D[/M]
		for _, m := range st.core.Pending(identity(d)) {
			held := ""
			if m.Lock != (iot.LockToken{}) {
				held = "*"
			}
			fmt.Fprintf(&out, "%s%s\n", m.MessageID, held)
		}
	case "lapse": // the locks of an identity end: identity=D[/M]
		st.core.Lapse(identity(d))
		st.turns(&out)
	case "end": // the hub ends the session
		st.session.End(fault.New(fault.ConnectionForcefullyClosedOnNewConnection, "presence.fence", "taken over"))
		st.turns(&out)
	case "tick":
		passed, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		st.now = st.now.Add(passed)
		st.turns(&out)
	case "stop": // the lot shuts down
		st.turn.Stopping = true
		st.turns(&out)
	case "closed": // park tells that the peer is gone
		st.m.Closed(st.now, park.ErrPeerClosed)
		st.over = true
		st.goodbye(&out)
	case "messages":
		for i, m := range st.session.Messages() {
			fmt.Fprintf(&out, "%d flags=%d props=%q body=%q\n", i, m.Flags, m.Props, m.Body)
		}
	case "ops":
		for _, op := range st.session.Ops() {
			fmt.Fprintf(&out, "%d %T %+v\n", op.Tag, op.What, op.What)
		}
	case "packets":
		fmt.Fprintf(&out, "in=%d out=%d\n", st.facts.Traffic.PacketsIn.Load(), st.facts.Traffic.PacketsOut.Load())
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	if out.Len() == 0 {
		return "-\n"
	}
	return out.String()
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// identity reads the argument of that name.
func identity(d *datadriven.TestData) iot.Identity {
	for _, arg := range d.CmdArgs {
		if arg.Key == "identity" {
			dev, module, _ := strings.Cut(arg.Vals[0], "/")
			return iot.Identity{Device: dev, Module: module}
		}
	}
	return iot.Identity{}
}

// queue sends messages to an identity. Its arguments stand in the input, one a line:
// system names as they are in a bag, @NAME=VALUE for what a bag has not, and an
// application property as NAME=VALUE; VALUE*N is N times VALUE.
func (st *stage) queue(d *datadriven.TestData) {
	var m iot.CloudMessage
	count := 1
	for line := range strings.Lines(d.Input) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if one, times, ok := strings.Cut(value, "*"); ok {
			value = strings.Repeat(one, number(times))
		}
		var err error
		switch name {
		case "@mid":
			m.MessageID = value
		case "@to":
			m.To = value
		case "@ct":
			m.ContentType = value
		case "@ce":
			m.ContentEncoding = value
		case "@cid":
			m.CorrelationID = value
		case "@uid":
			m.UserID = value
		case "@exp":
			m.Expiry, err = time.Parse(time.RFC3339Nano, value)
		case "@ctime":
			m.Created, err = time.Parse(time.RFC3339Nano, value)
		case "@ack":
			m.Ack, err = iot.ParseAck(value)
		case "@body":
			m.Body = []byte(value)
		case "@count":
			count = number(value)
		default:
			m.Application = append(m.Application, iot.Property{Name: name, Value: value})
		}
		if err != nil {
			st.t.Fatal(err)
		}
	}
	for i := range count {
		one := m
		if count > 1 {
			one.MessageID = fmt.Sprint(m.MessageID, i+1)
		}
		st.core.Send(identity(d), one)
	}
}

func (st *stage) open(out *strings.Builder, d *datadriven.TestData) {
	var id string
	d.ScanArgs(st.t, "identity", &id)
	username := "hub.local/" + id + "/?api-version=2021-04-12"
	connect := mqttwire.Connect{ClientID: id, Username: &username, Clean: d.HasArg("clean")}
	if d.HasArg("keepalive") {
		var seconds int
		d.ScanArgs(st.t, "keepalive", &seconds)
		connect.KeepAlive = uint16(seconds)
	}
	server, err := New(Config{Core: st.core, Lot: park.New(park.Config{})})
	if err != nil {
		st.t.Fatal(err)
	}
	st.facts = new(device.Conn)
	a := arrival{server: server, facts: st.facts, wake: func() { st.woken = true }, log: server.log}
	st.m, err = a.open(st.t.Context(), connect)
	if err != nil {
		fmt.Fprintf(out, "refused: %v\n", err)
		return
	}
	st.m.tracking.base = 0xabc
	st.session = st.core.Session(st.t.Context(), st.core.Opened()-1)
	st.in, st.woken, st.over, st.turn = nil, false, false, park.Turn{}
	st.turns(out)
}

// turns takes turns as park does until the machine has nothing more to do.
func (st *stage) turns(out *strings.Builder) {
	for first := true; st.m != nil && !st.over && (first || st.woken || st.turn.More); first = false {
		last := st.turn
		st.turn = park.Turn{
			Now: st.now, In: st.in, Woken: st.woken, Stopping: last.Stopping,
			Expired: !last.Deadline.IsZero() && !st.now.Before(last.Deadline),
		}
		st.woken = false
		err := st.m.Turn(&st.turn)
		st.in = st.in[st.turn.Used:]
		for b := st.turn.Out; len(b) > 0; {
			p, n, err := mqttwire.Decode(b, len(b))
			if err != nil {
				st.t.Fatalf("the machine wrote %x: %v", b, err)
			}
			fmt.Fprintf(out, "%s\n", show(p))
			b = b[n:]
		}
		if err != nil {
			st.over = true
			st.m.Closed(st.now, err)
			st.goodbye(out)
			return
		}
	}
	if st.turn.Paused {
		fmt.Fprintf(out, "paused, %d bytes unread\n", len(st.in))
	}
}

func (st *stage) goodbye(out *strings.Builder) {
	bye, ok := st.session.Goodbye()
	if !ok {
		st.t.Fatal("the session was not closed")
	}
	kind := [...]string{"?", "clean", "lost", "idle", "protocol", "shutdown", "ended"}[bye.Kind]
	fmt.Fprintf(out, "over: %s: %s\n", kind, bye.Detail)
}

// show prints a packet the way the scripts write them.
func show(p mqttwire.Packet) string {
	switch p := p.(type) {
	case mqttwire.Publish:
		var head string
		if p.ID != 0 {
			head = fmt.Sprintf(" id=%d", p.ID)
		}
		if p.Dup {
			head += " dup"
		}
		if len(p.Payload) > 1000 {
			return fmt.Sprintf("PUBLISH %s qos=%d%s (%d bytes)", p.Topic, p.QoS, head, len(p.Payload))
		}
		return fmt.Sprintf("PUBLISH %s qos=%d%s %s", p.Topic, p.QoS, head, p.Payload)
	case mqttwire.Connack:
		return fmt.Sprintf("CONNACK present=%t code=%d", p.SessionPresent, p.Code)
	default:
		name := strings.ToUpper(strings.TrimPrefix(fmt.Sprintf("%T", p), "mqttwire."))
		return strings.TrimSpace(name + " " + strings.Trim(fmt.Sprintf("%v", p), "{}"))
	}
}

// packet reads one line of a script: a type and its arguments.
func (st *stage) packet(line string) mqttwire.Packet {
	words := strings.Fields(line)
	rest := words[1:]
	arg := func(name, otherwise string) string {
		for _, w := range rest {
			if v, ok := strings.CutPrefix(w, name+"="); ok {
				return v
			}
		}
		return otherwise
	}
	id := uint16(number(arg("id", "0")))
	switch words[0] {
	case "publish": // topic first
		p := mqttwire.Publish{Topic: []byte(rest[0]), ID: id, Payload: []byte(arg("body", ""))}
		if id != 0 {
			p.QoS = 1
		}
		if qos := arg("qos", ""); qos != "" {
			p.QoS = byte(number(qos))
		}
		p.Retain = arg("retain", "") != ""
		if size := arg("size", ""); size != "" {
			p.Payload = make([]byte, number(size))
		}
		return p
	case "subscribe": // filter:qos ...
		p := mqttwire.Subscribe{ID: id}
		for _, w := range rest {
			if filter, qos, ok := strings.Cut(w, ":"); ok {
				p.Filters = append(p.Filters, mqttwire.Filter{Topic: []byte(filter), QoS: byte(number(qos))})
			}
		}
		return p
	case "unsubscribe":
		p := mqttwire.Unsubscribe{ID: id}
		for _, w := range rest {
			if !strings.HasPrefix(w, "id=") {
				p.Topics = append(p.Topics, []byte(w))
			}
		}
		return p
	case "connect":
		return mqttwire.Connect{ClientID: rest[0]}
	case "puback":
		return mqttwire.Puback{ID: id}
	case "pubrel":
		return mqttwire.Pubrel{ID: id}
	case "pingreq":
		return mqttwire.Pingreq{}
	case "disconnect":
		return mqttwire.Disconnect{}
	}
	st.t.Fatal(errors.New("unknown packet: " + line))
	return nil
}
