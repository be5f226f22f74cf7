package bench

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// firstTransfer is the number of the first delivery of a session: large enough that its
// encoding has the same length as every later one's.
const firstTransfer = 1 << 16

// peer is the client's end of an AMQP connection with one session. One goroutine at a time
// uses it.
type peer struct {
	net.Conn

	// fixed

	host string // the name that is dialled
	most int    // bytes of a frame that is taken

	// owned by its user

	buf      []byte  // at least most
	from, to int     // what of buf is not read yet
	outlet   *outlet // the link that is sent on; nil: none
	handles  uint32  // links attached, the next one's handle
	window   uint32  // transfer frames that the other end still takes
	next     uint32  // the next transfer's and delivery's number; every message is one frame
	received uint32  // transfer frames that came
	begun    uint32  // the number of the first of them
}

// login does SASL PLAIN, opens the connection and begins a session. The connection's
// deadline bounds it.
func (p *peer) login(name, user string, password []byte) error {
	out := amqpwire.AppendProto(nil, amqpwire.ProtoSASL)
	response := append([]byte("\x00"+user+"\x00"), password...)
	out = amqpwire.AppendSASL(out, amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: response, Hostname: p.host})
	if _, err := p.Write(out); err != nil {
		return err
	}
	if err := p.authenticated(); err != nil {
		return err
	}
	out = amqpwire.AppendProto(nil, amqpwire.ProtoAMQP)
	out = amqpwire.AppendFrame(out, 0, amqpwire.Open{ContainerID: name, Hostname: p.host, MaxFrameSize: uint32(p.most), ChannelMax: 0})
	out = amqpwire.AppendFrame(out, 0, amqpwire.Begin{
		NextOutgoingID: firstTransfer, IncomingWindow: peerWindow, OutgoingWindow: peerWindow, HandleMax: amqpwire.Unlimited,
	})
	p.next = firstTransfer
	if _, err := p.Write(out); err != nil {
		return err
	}
	if err := p.proto(amqpwire.ProtoAMQP); err != nil {
		return err
	}
	open, err := await[amqpwire.Open](p)
	if err != nil {
		return err
	}
	if open.MaxFrameSize < maxAMQPSize+frameAround {
		return fmt.Errorf("the server takes frames of %d bytes at most", open.MaxFrameSize)
	}
	begin, err := await[amqpwire.Begin](p)
	p.window, p.begun = begin.IncomingWindow, begin.NextOutgoingID
	return err
}

// authenticated waits for the end of the SASL layer.
func (p *peer) authenticated() error {
	if err := p.proto(amqpwire.ProtoSASL); err != nil {
		return err
	}
	for {
		f, err := p.frame()
		if err != nil {
			return err
		}
		s, err := f.DecodeSASL()
		if err != nil {
			return err
		}
		switch s := s.(type) {
		case amqpwire.SASLMechanisms:
		case amqpwire.SASLOutcome:
			if s.Code != amqpwire.SASLOK {
				return fmt.Errorf("refused with SASL code %d", s.Code)
			}
			return nil
		default:
			return fmt.Errorf("the server answered PLAIN with %T", s)
		}
	}
}

// proto waits for a protocol header.
func (p *peer) proto(want amqpwire.Proto) error {
	for {
		h, n, err := amqpwire.SplitProto(p.buf[p.from:p.to])
		switch {
		case err == nil && !h.Supported(want):
			return errors.New("the server speaks another protocol than AMQP 1.0")
		case err == nil:
			p.from += n
			return nil
		case !errors.Is(err, amqpwire.ErrShort):
			return err
		}
		if err := p.fill(); err != nil {
			return err
		}
	}
}

// buffered gives the next frame that has been read whole; ok is false if there is none.
// The frame is good until the next read.
func (p *peer) buffered() (f amqpwire.Frame, ok bool, err error) {
	f, n, err := amqpwire.Split(p.buf[p.from:p.to], p.most)
	if errors.Is(err, amqpwire.ErrShort) {
		return f, false, nil
	}
	p.from += n
	return f, err == nil, err
}

// fill reads more, once.
func (p *peer) fill() error {
	p.to = copy(p.buf, p.buf[p.from:p.to])
	p.from = 0
	n, err := p.Read(p.buf[p.to:])
	p.to += n
	if n > 0 {
		return nil
	}
	return err
}

// frame gives the next frame that is not empty. It is good until the next call.
func (p *peer) frame() (amqpwire.Frame, error) {
	for {
		f, ok, err := p.buffered()
		switch {
		case err != nil:
			return f, err
		case ok && len(f.Body) > 0:
			return f, nil
		case !ok:
			if err := p.fill(); err != nil {
				return f, err
			}
		}
	}
}

// event gives the next frame that is no flow, which is taken. That the server ends the
// connection, the session or a link is an error.
func (p *peer) event() (amqpwire.Frame, amqpwire.Code, error) {
	for {
		f, code, err := p.step()
		if err != nil || code != amqpwire.CodeFlow {
			return f, code, err
		}
	}
}

// step is event, but gives flows too, when they have been taken.
func (p *peer) step() (amqpwire.Frame, amqpwire.Code, error) {
	f, err := p.frame()
	if err != nil {
		return f, 0, err
	}
	code, err := f.Code()
	if err != nil {
		return f, 0, err
	}
	if code == amqpwire.CodeFlow {
		w, err := f.Flow()
		p.flow(&w)
		return f, code, err
	}
	return f, code, ending(f, code)
}

// flow takes what a flow says of the session, and of the link that is sent on.
func (p *peer) flow(f *amqpwire.Flow) {
	p.window = f.NextIncomingID.Or(firstTransfer) + f.IncomingWindow - p.next
	if p.outlet != nil {
		p.outlet.flow(f)
	}
}

// ending is the error of a frame that ends something; nil for any other.
func ending(f amqpwire.Frame, code amqpwire.Code) error {
	switch code {
	case amqpwire.CodeDetach, amqpwire.CodeEnd, amqpwire.CodeClose:
	default:
		return nil
	}
	p, err := f.Decode()
	if err != nil {
		return err
	}
	var why *amqpwire.Error
	switch p := p.(type) {
	case amqpwire.Detach:
		why = p.Error
	case amqpwire.End:
		why = p.Error
	case amqpwire.Close:
		why = p.Error
	default:
	}
	return fmt.Errorf("the server sent %s: %s", code, reason(why))
}

// reason is an error of the server's as text.
func reason(e *amqpwire.Error) string {
	if e == nil {
		return "it gave no reason"
	}
	return strings.TrimSpace(e.Condition + ": " + e.Description)
}

// await gives the next performative, flows left out, which must be of a kind.
func await[T amqpwire.Performative](p *peer) (T, error) {
	var none T
	f, code, err := p.event()
	if err != nil {
		return none, err
	}
	got, err := f.Decode()
	if err != nil {
		return none, err
	}
	want, ok := got.(T)
	if !ok {
		return none, fmt.Errorf("the server sent %s before %T", code, none)
	}
	return want, nil
}

// attach asks for a link and waits until it is granted. A refusal is an error.
func (p *peer) attach(a amqpwire.Attach) (handle uint32, err error) {
	a.Handle = p.handles
	p.handles++
	if _, err := p.Write(amqpwire.AppendFrame(nil, 0, a)); err != nil {
		return 0, err
	}
	got, err := await[amqpwire.Attach](p)
	if err != nil {
		return 0, err
	}
	if got.Name != a.Name {
		return 0, fmt.Errorf("the server attached %q before %q", got.Name, a.Name)
	}
	if a.Role == amqpwire.RoleSender && got.Target == nil || a.Role == amqpwire.RoleReceiver && got.Source == nil {
		_, err := await[amqpwire.Detach](p) // says why
		return 0, err
	}
	return a.Handle, nil
}

// outgoing asks for a link to send on, and waits for credit. There is one on a connection.
func (p *peer) outgoing(address string) error {
	handle, err := p.attach(outgoing(address))
	if err == nil {
		p.outlet = &outlet{handle: handle}
		err = p.credited()
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", address, err)
	}
	return nil
}

// credited waits until a message may be sent.
func (p *peer) credited() error {
	for p.outlet.credit == 0 || p.window == 0 {
		_, code, err := p.step()
		if err != nil {
			return err
		}
		if code != amqpwire.CodeFlow {
			return fmt.Errorf("the server sent %s before credit", code)
		}
	}
	return nil
}

// outgoing is the attach of a link to send on. Its name is the address.
func outgoing(address string) amqpwire.Attach {
	return amqpwire.Attach{
		Name: address, Role: amqpwire.RoleSender, SenderSettleMode: amqpwire.SenderUnsettled,
		Source: &amqpwire.Source{Address: "bench"}, Target: &amqpwire.Node{Address: address},
	}
}

// incoming is the attach of a link to receive on. Its name is the address.
func incoming(address string, filter amqpwire.Value) amqpwire.Attach {
	return amqpwire.Attach{
		Name: address, Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderUnsettled,
		Source: &amqpwire.Source{Address: address, Filter: filter}, Target: &amqpwire.Node{Address: "bench"},
	}
}

// outlet is a link to send on.
type outlet struct {
	handle uint32
	sent   uint32 // deliveries, its delivery-count
	credit uint32 // deliveries that may follow
}

// flow takes what a flow says of the link, if it is this one.
func (o *outlet) flow(f *amqpwire.Flow) {
	if f.Handle.Set && f.Handle.V == o.handle && f.LinkCredit.Set {
		o.credit = f.DeliveryCount.Or(0) + f.LinkCredit.V - o.sent
	}
}

// inlet is a link to receive on, whose credit is topped up when half of it is used.
type inlet struct {
	handle uint32
	size   uint32 // the full credit
	count  uint32 // deliveries that came, its delivery-count
	used   uint32 // since credit was given last
}

// incoming asks for a link to receive on and gives it credit.
func (p *peer) incoming(address string, filter amqpwire.Value, credit uint32) (*inlet, error) {
	l, err := p.receiving(address, filter, credit)
	if err == nil {
		_, err = p.Write(p.allow(nil, l))
	}
	return l, err
}

// receiving asks for a link to receive on, which gets its credit by allow.
func (p *peer) receiving(address string, filter amqpwire.Value, credit uint32) (*inlet, error) {
	handle, err := p.attach(incoming(address, filter))
	if err != nil {
		return nil, fmt.Errorf("receive from %s: %w", address, err)
	}
	return &inlet{handle: handle, size: credit}, nil
}

// allow gives a link its full credit.
func (p *peer) allow(b []byte, l *inlet) []byte {
	l.used = 0
	return amqpwire.Flow{
		NextIncomingID: amqpwire.Some(p.begun + p.received), IncomingWindow: peerWindow, NextOutgoingID: p.next, OutgoingWindow: peerWindow,
		Handle: amqpwire.Some(l.handle), DeliveryCount: amqpwire.Some(l.count), LinkCredit: amqpwire.Some(l.size),
	}.AppendFrame(b, 0)
}

// came counts a transfer frame, and gives the link more credit where that is due.
func (p *peer) came(b []byte, l *inlet, t *amqpwire.Transfer) []byte {
	p.received++
	if t.More {
		return b
	}
	l.count++
	l.used++
	if l.used < max(1, l.size/2) {
		return b
	}
	return p.allow(b, l)
}
