package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// errEnded is what a turn returns when the conversation is over; why is in machine.bye.
var errEnded = errors.New("mqtt: the conversation is over")

// machine is the conversation with one authenticated device or module: packets in,
// packets out. It is a park.Conversation.
type machine struct {
	// fixed

	session   device.Session
	own       own
	facts     *device.Conn
	silence   time.Duration // without a packet for this long, the connection ends
	scratches *sync.Pool    // of *scratch
	log       *slog.Logger
	resumed   bool // the client had a session before, and it goes on

	// owned by the owner of the connection

	greeting  []byte // the CONNACK, until the first turn
	window    window
	acked     uint64     // how much of Session.Durable has been acknowledged
	requests  []request  // open operations, oldest first
	tag       uint64     // of the latest operation
	responses bool       // the client wants answers to its twin requests
	mail      mailbox    // the client's subscriptions to cloud-to-device messages
	hungry    bool       // the hub may have more than the output of one turn had room for
	outgoing  []outgoing // messages that the client has to acknowledge, in the order sent
	lastIn    time.Time  // when a whole packet last came
	tracking  tracker
	bye       device.Goodbye // zero until the machine itself ends the conversation
}

// scratch is what one turn needs and an idle connection does not.
type scratch struct {
	raws       []iot.Raw // a run of telemetry messages
	marks      []mark    // the same, as the window will know them
	size       int       // bytes of the run
	topic      []byte    // of the latest telemetry message, borrowed from the input
	bag        []byte    // its property bag, which is well formed
	frames     int       // packets seen this turn
	deliveries [takeAtOnce]device.Delivery
	published  []byte // the topic of the message being published
}

// mark says where in the input a message ends, and how it will be acknowledged.
type mark struct {
	entry

	end int
}

func newScratch() any {
	return &scratch{raws: make([]iot.Raw, 0, turnFrames), marks: make([]mark, 0, turnFrames)}
}

// emptyRun forgets the run, and with it every reference into the input.
func (s *scratch) emptyRun() {
	clear(s.raws)
	s.raws, s.marks, s.size = s.raws[:0], s.marks[:0], 0
}

// Turn implements park.Conversation.
func (m *machine) Turn(t *park.Turn) error {
	if m.greeting != nil { // nothing is sent before CONNACK
		t.Out, m.greeting, m.lastIn = append(t.Out, m.greeting...), nil, t.Now
		m.sent(1)
	}
	m.acknowledge(t)
	if err := m.session.Err(); err != nil {
		return m.end(device.GoodbyeEnded, err.Error())
	}
	s := m.scratches.Get().(*scratch) // the pool holds nothing else
	s.frames = 0
	defer m.scratches.Put(s)
	if t.Woken || m.hungry {
		if err := m.take(t, s); err != nil {
			return err
		}
	}
	if t.Stopping { // wait a moment for what is on its way to the disk
		t.Paused = m.window.stored > 0
		return nil
	}
	err := m.consume(t, s)
	s.emptyRun()
	s.topic, s.bag = nil, nil
	if m.window.n > m.window.stored {
		m.acknowledge(t) // requests, which need not wait for a commit
	}
	if err != nil {
		return err
	}
	return m.watch(t, s)
}

// watch sets the deadline, and ends the conversation if the last one has passed.
func (m *machine) watch(t *park.Turn, s *scratch) error {
	switch {
	case t.Used > 0, t.Paused: // the time that we do not read is not the peer's silence
		m.lastIn = t.Now
	case t.Expired && s.frames == 0 && t.Now.Sub(m.lastIn) >= m.silence:
		return m.end(device.GoodbyeIdle, fmt.Sprintf("no packet for %v (1.5 times the keep-alive, at most %v)", m.silence, silenceCeiling))
	}
	if !t.Paused {
		t.Deadline = m.lastIn.Add(m.silence)
	}
	return nil
}

// Closed implements park.Conversation.
func (m *machine) Closed(_ time.Time, why error) {
	if m.bye.Kind == 0 {
		m.bye = park.Goodbye(why, "a packet", "DISCONNECT")
	}
	m.session.Close(m.bye)
	m.log.Debug("connection ended", slog.String("op", "mqtt.close"), slog.String("device", m.own.Device),
		slog.String("module", m.own.Module), slog.Uint64("conn", m.facts.ID), slog.String("err", m.bye.Detail))
}

// Over implements park.Observed.
func (m *machine) Over() bool { return m.session.Err() != nil }

// Observe implements park.Observed: a peer that was displaced is watched.
func (m *machine) Observe() park.Observer {
	if fault.Of(m.session.Err()) != fault.ConnectionForcefullyClosedOnNewConnection {
		return nil
	}
	return &afterlife{session: m.session, kernel: m.facts.Kernel, id: iot.Identity(m.own)}
}

// end notes why the conversation is over.
func (m *machine) end(kind device.GoodbyeKind, detail string) error {
	m.bye = device.Goodbye{Kind: kind, Detail: detail}
	return errEnded
}

// broken ends the conversation because the peer broke the protocol or the hub's rules.
func (m *machine) broken(format string, args ...any) error {
	return m.end(device.GoodbyeProtocol, fmt.Sprintf(format, args...))
}

// acknowledge sends the PUBACKs of what has become durable, in one append.
func (m *machine) acknowledge(t *park.Turn) {
	if m.window.n == 0 {
		return
	}
	durable := m.session.Durable()
	out, acks := m.window.durable(durable-m.acked, t.Out)
	t.Out, m.acked = out, durable
	m.sent(acks)
}

func (m *machine) sent(packets int) {
	if packets > 0 {
		m.facts.Traffic.PacketsOut.Add(uint64(packets))
	}
}

// consume handles the whole packets in the input. Runs of telemetry messages are
// gathered and appended at once.
func (m *machine) consume(t *park.Turn, s *scratch) error {
	for off := 0; ; {
		f, n, err := mqttwire.Split(t.In[off:], maxPacket)
		if errors.Is(err, mqttwire.ErrShort) {
			return m.appendRun(t, s)
		}
		if s.frames == turnFrames {
			t.More = true
			return m.appendRun(t, s)
		}
		if err == nil {
			var gathered bool
			if gathered, err = m.gather(s, f, off+n); gathered {
				off += n
				s.frames++
				continue
			}
		}
		// Everything else takes effect after the messages before it.
		if runErr := m.appendRun(t, s); runErr != nil || t.Paused {
			return runErr
		}
		if err != nil {
			return m.broken("%s", err.Error())
		}
		err = m.handle(t, f)
		if t.Paused {
			return err
		}
		m.facts.Traffic.PacketsIn.Add(1)
		if err != nil {
			return err
		}
		off += n
		s.frames++
		t.Used = off
	}
}

// What can be wrong with a telemetry message.
var (
	errQoS2    = errors.New("PUBLISH with QoS 2, which the hub does not offer")
	errTooLong = errors.New("message exceeds 256 KB")
)

// gather adds a telemetry message that ends at end to the run. It reports false for any
// other packet, for a broken one, and when the window is full.
func (m *machine) gather(s *scratch, f mqttwire.Frame, end int) (bool, error) {
	if f.Type != mqttwire.TypePublish {
		return false, nil
	}
	p, again, err := f.PublishTo(s.topic)
	if err != nil {
		return false, err
	}
	if p.QoS == 2 {
		return false, errQoS2
	}
	bag := s.bag
	if !again {
		what, rest := m.own.read(p.Topic)
		if what != telemetry {
			return false, nil
		}
		bag = rest
	}
	raw := iot.Raw{Source: iot.SourceBag, Props: bag, Body: p.Payload}
	if p.Retain {
		raw.Flags = iot.RawRetain
	}
	size := raw.Size()
	if size > iot.MaxMessageSize {
		return false, errTooLong
	}
	if m.window.full(len(s.raws), s.size) {
		return false, nil
	}
	if !again {
		if err := iot.ScanBag(bag); err != nil {
			return false, err
		}
		s.topic, s.bag = p.Topic, bag
	}
	s.raws = append(s.raws, raw)
	s.marks = append(s.marks, mark{entry{id: p.ID, stored: true, size: uint32(size)}, end})
	s.size += size
	return true, nil
}

// appendRun hands the gathered run to the hub. If the log has no room for all of it, the
// turn pauses behind what was taken.
func (m *machine) appendRun(t *park.Turn, s *scratch) error {
	if len(s.raws) == 0 {
		return nil
	}
	n, err := m.session.Append(s.raws)
	for _, mk := range s.marks[:n] {
		m.window.push(mk.entry)
		t.Used = mk.end
	}
	m.facts.Traffic.PacketsIn.Add(uint64(n))
	short := n < len(s.raws)
	s.emptyRun()
	if err != nil {
		return m.refused("message refused", err)
	}
	if short {
		t.Paused, t.More = true, false
	}
	return nil
}

// refused ends the conversation over an error of the session: MQTT 3.1.1 has no packet
// that could carry it.
func (m *machine) refused(what string, err error) error {
	if ended := m.session.Err(); ended != nil {
		return m.end(device.GoodbyeEnded, ended.Error())
	}
	return m.broken("%s: %s", what, err.Error())
}

// handle handles any packet that is not telemetry. It sets t.Paused to be handed the
// packet again later.
func (m *machine) handle(t *park.Turn, f mqttwire.Frame) error {
	switch f.Type {
	case mqttwire.TypePublish:
		return m.publish(t, f)
	case mqttwire.TypeSubscribe:
		return m.subscribe(t, f)
	case mqttwire.TypeUnsubscribe:
		return m.unsubscribe(t, f)
	case mqttwire.TypePingreq:
		t.Out = mqttwire.Pingresp{}.Append(t.Out)
		m.sent(1)
		return nil
	case mqttwire.TypePuback:
		p, err := f.Decode()
		if err != nil {
			return m.broken("%s", err.Error())
		}
		if ack, ok := p.(mqttwire.Puback); ok {
			m.acknowledged(ack.ID)
		}
		return nil
	case mqttwire.TypeDisconnect:
		return m.end(device.GoodbyeClean, "DISCONNECT")
	case mqttwire.TypeConnect:
		return m.broken("a second CONNECT [MQTT-3.1.0-2]")
	default:
		return m.broken("unexpected %s", f.Type)
	}
}

// publish handles a PUBLISH that is not telemetry, or is and found the window full.
func (m *machine) publish(t *park.Turn, f mqttwire.Frame) error {
	p, err := f.Publish()
	if err != nil {
		return m.broken("%s", err.Error())
	}
	what, rid := m.own.read(p.Topic)
	switch what {
	case telemetry:
		t.Paused = true
		return nil
	case twinRead, twinReport:
		if t.Paused = len(m.requests) >= maxRequests || m.window.full(0, 0); t.Paused {
			return nil
		}
		m.askTwin(t, what, string(rid), p.Payload)
	case methodAnswer: // a late one: no call waits for it
		if t.Paused = m.window.full(0, 0); t.Paused {
			return nil
		}
	case foreign:
		return m.broken("PUBLISH to a topic that is unknown or another's: %s", quoted(p.Topic))
	}
	m.window.push(entry{id: p.ID})
	return nil
}

// quoted makes a peer's text fit for a log.
func quoted(b []byte) string {
	if len(b) > maxQuoted {
		return fmt.Sprintf("%q...", b[:maxQuoted])
	}
	return fmt.Sprintf("%q", b)
}
