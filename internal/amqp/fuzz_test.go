package amqp

import (
	"context"
	"net/netip"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
)

// conversation is the bytes of a client that logs in, attaches links of every kind and
// sends a message.
func conversation(f *testing.F) []byte {
	f.Helper()
	login, err := (&goamqp.Message{Value: tokenFor("", "iothubowner"), ApplicationProperties: map[string]any{"operation": "put-token"}}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	message := amqpwire.AppendData(nil, []byte("x"))
	b := amqpwire.AppendProto(nil, amqpwire.ProtoAMQP)
	frame := func(p amqpwire.Performative) { b = amqpwire.AppendFrame(b, 0, p) }
	transfer := func(handle, id uint32, payload []byte) {
		frame(amqpwire.Transfer{Handle: handle, DeliveryID: amqpwire.Some(id), Tag: []byte{byte(id)}, MessageFormat: amqpwire.Some(uint32(0)), Payload: payload})
	}
	frame(amqpwire.Open{ContainerID: "c", Hostname: hubHost, MaxFrameSize: 4096, ChannelMax: 10, DesiredCapabilities: []string{soleCapability}})
	frame(amqpwire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 100})
	frame(amqpwire.Attach{Name: "cbs", Role: amqpwire.RoleSender, Target: &amqpwire.Node{Address: "$cbs"}, Source: &amqpwire.Source{}})
	transfer(0, 0, login)
	for i, address := range []string{"/devices/d/messages/events", "/messages/devicebound", "$management", "/devices/d/twin"} {
		h := uint32(i + 1)
		frame(amqpwire.Attach{Name: address, Handle: h, Role: amqpwire.RoleSender, Target: &amqpwire.Node{Address: address}, Source: &amqpwire.Source{}})
		transfer(h, h, message)
	}
	for i, address := range []string{"/devices/d/messages/devicebound", "/messages/servicebound/feedback", partition0, "/messages/events/"} {
		h := uint32(i + 10)
		frame(amqpwire.Attach{Name: address, Handle: h, Role: amqpwire.RoleReceiver, Source: &amqpwire.Source{Address: address}, Target: &amqpwire.Node{}})
		frame(amqpwire.Flow{Handle: amqpwire.Some(h), LinkCredit: amqpwire.Some(uint32(5)), DeliveryCount: amqpwire.Some(uint32(0)), IncomingWindow: 100, OutgoingWindow: 100})
	}
	frame(amqpwire.Detach{Handle: 1, Closed: true})
	frame(amqpwire.Close{})
	return b
}

// FuzzConversation: whatever a client sends, in whatever pieces, the conversation neither
// breaks nor keeps anything when it is over: its sessions are closed, its places free.
func FuzzConversation(f *testing.F) {
	whole := conversation(f)
	f.Add(whole, uint8(0))
	f.Add(whole, uint8(7))
	f.Add(amqpwire.AppendProto(nil, amqpwire.ProtoSASL), uint8(0))
	f.Fuzz(func(t *testing.T, input []byte, cut uint8) {
		lot := park.New(park.Config{})
		door, err := park.NewDoor(park.DoorConfig{Lot: lot})
		if err != nil {
			t.Fatal(err)
		}
		core, events, queue := hubtest.NewCore(hubtest.Script{Instant: true}), newMemory(1), newStock()
		events.add(0, "x")
		s, err := New(Config{
			Core: core, Gate: fakeGate{}, Door: door, Hosts: iot.NewHosts(hubHost), Port: 5671, Commands: &outbox{}, Queues: queue,
			Events: events, Groups: fakeGroups{}, Created: time.UnixMilli(1000),
		})
		if err != nil {
			t.Fatal(err)
		}
		woken := make(chan struct{}, 1)
		wake := func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
		freed := 0
		facts := &device.Conn{Transport: device.AMQP, Remote: netip.MustParseAddrPort("10.0.0.1:5000")}
		c := newConn(context.Background(), s, wake, facts, nil, func() { freed++ })
		now := time.UnixMilli(1_000_000)
		var turn park.Turn
		rest := input
		for range 2000 {
			n := len(rest)
			if cut > 0 {
				n = min(n, int(cut))
			}
			turn = park.Turn{Now: now, In: rest[:n]}
			if c.Turn(&turn) != nil {
				break
			}
			rest = rest[turn.Used:]
			if turn.Used == 0 && !turn.More {
				if n == len(rest) {
					break
				}
				cut = uint8(min(255, 2*int(cut)+1))
			}
			select {
			case <-woken:
			default:
			}
		}
		c.Closed(now, park.ErrPeerClosed)
		if freed != 1 {
			t.Fatalf("the place among strangers was given back %d times", freed)
		}
		for i := range core.Opened() {
			if _, over := core.Session(context.Background(), i).Goodbye(); !over {
				t.Fatal("a session outlives its connection")
			}
		}
		if len(s.receivers.at) != 0 || len(s.soles.held) != 0 {
			t.Fatalf("%d receivers and %d sole connections outlive their connection", len(s.receivers.at), len(s.soles.held))
		}
	})
}
