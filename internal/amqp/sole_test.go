package amqp

import (
	"errors"
	"io"
	"net"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
)

// raw is a client of frames, for what no client library lets one say.
type raw struct {
	net.Conn

	t    *testing.T
	read []byte
	open amqpwire.Open // the server's
}

// dialRaw opens a connection, without SASL, and a session.
func (w *world) dialRaw(o amqpwire.Open) *raw {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = nc.Close() })
	o.Hostname, o.MaxFrameSize, o.ChannelMax = hubHost, 65536, 10
	r := &raw{Conn: nc, t: w.t}
	b := amqpwire.AppendProto(nil, amqpwire.ProtoAMQP)
	b = amqpwire.AppendFrame(b, 0, o)
	r.send(amqpwire.AppendFrame(b, 0, amqpwire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 10}))
	if _, err := io.ReadFull(nc, make([]byte, amqpwire.ProtoLen)); err != nil {
		w.t.Fatal(err)
	}
	r.open, _ = r.next().(amqpwire.Open)
	return r
}

func (r *raw) send(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// next reads a frame.
func (r *raw) next() amqpwire.Performative {
	r.t.Helper()
	buf := make([]byte, 4096)
	for {
		f, n, err := amqpwire.Split(r.read, 1<<20)
		if errors.Is(err, amqpwire.ErrShort) {
			if n, err = r.Read(buf); err != nil {
				r.t.Fatal(err)
			}
			r.read = append(r.read, buf[:n]...)
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		p, err := f.Decode()
		if err != nil {
			r.t.Fatal(err)
		}
		r.read = r.read[n:]
		return p
	}
}

// login puts a token; it does not wait for the answer but for that of the link.
func (r *raw) login(token string) {
	r.t.Helper()
	m := &goamqp.Message{Value: token, ApplicationProperties: map[string]any{"operation": "put-token"}}
	payload, err := m.MarshalBinary()
	if err != nil {
		r.t.Fatal(err)
	}
	b := amqpwire.AppendFrame(nil, 0, amqpwire.Attach{Name: "in", Handle: 0, Role: amqpwire.RoleSender, Target: &amqpwire.Node{Address: "$cbs"}, Source: &amqpwire.Source{}})
	b = amqpwire.AppendFrame(b, 0, amqpwire.Attach{Name: "out", Handle: 1, Role: amqpwire.RoleReceiver, Target: &amqpwire.Node{Address: "me"}, Source: &amqpwire.Source{Address: "$cbs"}})
	b = amqpwire.AppendFrame(b, 0, amqpwire.Flow{
		Handle: amqpwire.Some(uint32(1)), LinkCredit: amqpwire.Some(uint32(10)), DeliveryCount: amqpwire.Some(uint32(0)), IncomingWindow: 100, OutgoingWindow: 100,
	})
	r.send(b)
	for {
		if flow, ok := r.next().(amqpwire.Flow); ok && flow.Handle.Set {
			break
		}
	}
	r.send(amqpwire.AppendFrame(nil, 0, amqpwire.Transfer{
		Handle: 0, DeliveryID: amqpwire.Some(uint32(0)), Tag: []byte{1}, MessageFormat: amqpwire.Some(uint32(0)), Payload: payload,
	}))
}

// answered waits for the reply to the login.
func (r *raw) answered() {
	r.t.Helper()
	for {
		switch p := r.next().(type) {
		case amqpwire.Transfer:
			return
		case amqpwire.Close:
			r.t.Fatalf("closed: %+v", p.Error)
		default:
		}
	}
}

// closed waits for the server's close.
func (r *raw) closed() *amqpwire.Error {
	r.t.Helper()
	for {
		if p, ok := r.next().(amqpwire.Close); ok {
			return p.Error
		}
	}
}

// TestSoleConnections: of the connections of one container that ask to be alone, the
// newcomer is refused or the other closed, as it asked; who has not proved to be the same
// cannot do either.
func TestSoleConnections(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	asking := func(container string, policy uint32) *raw {
		t.Helper()
		return w.dialRaw(amqpwire.Open{
			ContainerID: container, DesiredCapabilities: []string{soleCapability},
			Properties: amqpwire.Map(amqpwire.Symbol(solePolicy), amqpwire.Uint(policy)),
		})
	}
	service := tokenFor("", "service")
	first := asking("box", 1)
	if v, ok := first.open.Properties.Get(soleDetection).AsUint(); !ok || v != soleStrong || len(first.open.OfferedCapabilities) != 1 {
		t.Errorf("the server's open is %+v, want the capability, and strong detection", first.open)
	}
	first.login(service)
	first.answered()
	for _, other := range []struct {
		of    *raw
		token string
	}{
		{asking("box", 1), tokenFor("", "iothubowner")},
		{asking("box", 1), tokenFor("devices/dev1", "")},
		{asking("another box", 1), service},
		{w.dialRaw(amqpwire.Open{ContainerID: "box"}), service},
		{asking("box", 1), iot.SignSAS(hubHost, "service", []byte("another"), w.server.cfg.Created)},
	} {
		other.of.login(other.token)
		other.of.answered()
	}
	refused := asking("box", 0)
	refused.login(service)
	if e := refused.closed(); e.Condition != amqpwire.CondInvalidField || string(e.Info.Get("invalid-field").Raw()) != "container-id" {
		t.Errorf("refuse-connection: the newcomer got %+v, want amqp:invalid-field of container-id", e)
	}
	second := asking("box", 1)
	second.login(service)
	second.answered()
	e := first.closed() // and not before: what it read until now was nothing else
	if enforced, _ := e.Info.Get(soleEnforcement).AsBool(); e.Condition != amqpwire.CondResourceLocked || !enforced {
		t.Errorf("close-existing: the other got %+v, want amqp:resource-locked", e)
	}
}
