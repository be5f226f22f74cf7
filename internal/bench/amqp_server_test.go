package bench

import (
	"net"
	"sync"
	"testing"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// container is a small AMQP server for devices that send. It behaves, or misbehaves as it
// is told.
type container struct {
	// fixed

	refuse   bool                           // no login is taken
	closed   *amqpwire.Error                // no link is granted, for this reason
	silentAt int                            // deliveries after which nothing is answered; 0: never
	answer   func(id uint32) amqpwire.State // the outcome of a delivery; nil: accepted
	twice    bool                           // every outcome is told twice
	credit   uint32                         // given at once; 0: 1,000

	// shared

	wg sync.WaitGroup

	// guarded by mu

	mu   sync.Mutex
	open map[net.Conn]bool
	sent map[string]int // deliveries by address
}

// start serves on a free port until the test ends.
func (k *container) start(t *testing.T) *Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k.open, k.sent = map[net.Conn]bool{}, map[string]int{}
	k.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			k.mu.Lock()
			k.open[c] = true
			k.mu.Unlock()
			k.wg.Go(func() { k.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		k.mu.Lock()
		for c := range k.open {
			c.Close()
		}
		k.mu.Unlock()
		k.wg.Wait()
	})
	return &Target{
		Address: ln.Addr().String(), Protocol: AMQP,
		Account: func(n int) (Account, error) {
			id := string(rune('a' + n))
			return Account{ClientID: id, Username: id, Password: []byte("secret"), Topic: "t/" + id, Filter: "f/" + id}, nil
		},
		Service: func() (Account, error) { return Account{ClientID: "service", Username: "service"}, nil },
	}
}

// greetings is how a connection begins.
func (k *container) greetings(p *peer) error {
	if err := p.proto(amqpwire.ProtoSASL); err != nil {
		return err
	}
	code := amqpwire.SASLOK
	if k.refuse {
		code = amqpwire.SASLAuth
	}
	out := amqpwire.AppendProto(nil, amqpwire.ProtoSASL)
	out = amqpwire.AppendSASL(out, amqpwire.SASLMechanisms{Mechanisms: []string{"PLAIN"}})
	if _, err := p.frame(); err != nil {
		return err
	}
	p.Write(amqpwire.AppendSASL(out, amqpwire.SASLOutcome{Code: code}))
	if err := p.proto(amqpwire.ProtoAMQP); err != nil {
		return err
	}
	p.Write(amqpwire.AppendProto(nil, amqpwire.ProtoAMQP))
	return nil
}

func (k *container) serve(c net.Conn) {
	defer c.Close()
	p := &peer{Conn: c, most: peerFrame, buf: make([]byte, peerBuffer)}
	if k.greetings(p) != nil {
		return
	}
	var address string
	var came uint32
	for {
		f, err := p.frame()
		if err != nil {
			return
		}
		got, err := f.Decode()
		if err != nil {
			return
		}
		var out []byte
		switch got := got.(type) {
		case amqpwire.Open:
			out = amqpwire.AppendFrame(nil, 0, amqpwire.Open{ContainerID: "test", MaxFrameSize: peerFrame})
		case amqpwire.Begin:
			out = amqpwire.AppendFrame(nil, 0, amqpwire.Begin{RemoteChannel: amqpwire.Some[uint16](0), IncomingWindow: 100_000, OutgoingWindow: 100_000, HandleMax: 1})
		case amqpwire.Attach:
			address = got.Target.(*amqpwire.Node).Address
			out = k.attach(got)
		case amqpwire.Transfer:
			came++
			out = k.transfer(address, came, got)
		case amqpwire.Flow:
		default:
			return
		}
		if _, err := p.Write(out); err != nil {
			return
		}
	}
}

func (k *container) attach(a amqpwire.Attach) []byte {
	a.Role = !a.Role
	if k.closed != nil {
		a.Source, a.Target = nil, nil
		out := amqpwire.AppendFrame(nil, 0, a)
		return amqpwire.AppendFrame(out, 0, amqpwire.Detach{Handle: a.Handle, Closed: true, Error: k.closed})
	}
	out := amqpwire.AppendFrame(nil, 0, a)
	if a.Role == amqpwire.RoleSender {
		return out
	}
	return append(out, k.flow(a.Handle, 0)...)
}

// flow gives a link its credit anew.
func (k *container) flow(handle, came uint32) []byte {
	credit := k.credit
	if credit == 0 {
		credit = 1000
	}
	return amqpwire.Flow{
		NextIncomingID: amqpwire.Some(firstTransfer + came), IncomingWindow: 100_000, OutgoingWindow: 100_000,
		Handle: amqpwire.Some(handle), DeliveryCount: amqpwire.Some(came), LinkCredit: amqpwire.Some(credit),
	}.AppendFrame(nil, 0)
}

func (k *container) transfer(address string, came uint32, t amqpwire.Transfer) []byte {
	id := t.DeliveryID.V
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent[address]++
	if k.silentAt > 0 && int(came) > k.silentAt {
		return nil
	}
	var state amqpwire.State = amqpwire.Accepted{}
	if k.answer != nil {
		state = k.answer(id)
	}
	out := amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: id, Last: id, Settled: true, State: state}.AppendFrame(nil, 0)
	if k.twice {
		out = append(out, out...)
	}
	return append(out, k.flow(t.Handle, came)...)
}
