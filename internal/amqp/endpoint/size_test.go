package endpoint

import (
	"fmt"
	"runtime"
	"testing"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// A gateway: 999 devices on one connection, a session each (.NET) or all in one, six
// links and a pair for $cbs in each, at rest. The machine's share of the 25 MB that all of
// the server may take is bounded here.
func TestGatewayAtRest(t *testing.T) {
	const devices, links = 999, 8
	for name, test := range map[string]struct {
		place func(device, link int) (channel uint16, handle uint32)
		most  uint64 // bytes a device
	}{
		"a session each":     {func(d, l int) (uint16, uint32) { return uint16(d), uint32(l) }, 3400},
		"all in one session": {func(d, l int) (uint16, uint32) { return 0, uint32(d*links + l) }, 3400},
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			c := New(Config{ContainerID: "berth"})
			c.Trust()
			feed(t, c, w.AppendProto(nil, w.ProtoAMQP), nil)
			feed(t, c, w.AppendFrame(nil, 0, w.Open{ContainerID: "gateway", MaxFrameSize: w.Unlimited, ChannelMax: 65535}), nil)
			begun := map[uint16]bool{}
			var last *Link
			for d := range devices {
				for l := range links {
					channel, handle := test.place(d, l)
					if !begun[channel] {
						begun[channel] = true
						feed(t, c, w.AppendFrame(nil, channel, w.Begin{IncomingWindow: 5000, HandleMax: w.Unlimited}), nil)
					}
					a := sender(fmt.Sprintf("device-%03d-TelemetrySenderLink-%d", d, l), handle)
					if l%2 == 1 {
						a = receiver(a.Name, handle)
					}
					feed(t, c, w.AppendFrame(nil, channel, a), func(attached *Link) { last = attached })
				}
			}
			grown := heap() - before
			t.Logf("%d bytes a device", grown/devices)
			if grown > test.most*devices {
				t.Errorf("%d bytes a device, want at most %d", grown/devices, test.most)
			}
			if c.links != devices*links || !last.Live() || check(c) != nil {
				t.Errorf("%d links, %v", c.links, check(c))
			}
			runtime.KeepAlive(c)
		})
	}
}

func feed(t *testing.T, c *Conn, in []byte, attached func(*Link)) {
	t.Helper()
	c.Start(c.now, nil)
	for {
		ev, n := c.Step(in)
		in = in[n:]
		switch ev.Kind {
		case Idle:
			c.Finish()
			return
		case OnOpen:
			c.Open(w.Open{})
		case OnBegin:
		case OnAttach:
			ev.Link.Accept(Terms{})
			ev.Link.Allow(100)
			attached(ev.Link)
		default:
			t.Fatal(ev.Kind, ev.Error)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What runs all day allocates nothing.
func TestHotPathAllocatesNothing(t *testing.T) {
	c := upTo(t, sender("telemetry", 0), receiver("events", 1),
		w.Flow{IncomingWindow: 1 << 30, Handle: w.Some[uint32](1), DeliveryCount: w.Some[uint32](0), LinkCredit: w.Some[uint32](1 << 30)})
	in, out := make([]byte, 0, 8192), make([]byte, 0, 8192)
	received, sent := uint32(1000), uint32(0)
	payload, tag := make([]byte, 100), make([]byte, 16)
	var links [2]*Link
	for l := range c.channels[0].Links() {
		links[l.in] = l
	}
	got := testing.AllocsPerRun(1000, func() {
		in = in[:0]
		for range 16 {
			in = w.Transfer{DeliveryID: w.Some(received), Tag: tag, Payload: payload}.AppendFrame(in, 0)
			received++
		}
		in = w.Disposition{Role: w.RoleReceiver, First: sent - 16, Last: sent - 1, Settled: true, State: w.Accepted{}}.AppendFrame(in, 0)
		c.Start(c.now, out[:0])
		for rest := in; ; {
			ev, n := c.Step(rest)
			rest = rest[n:]
			if ev.Kind == Idle {
				break
			}
			if ev.Kind == OnTransfer {
				ev.Link.Settle(ev.Delivery.ID, w.Accepted{})
				if _, err := links[1].Send(Message{Tag: tag, Payload: ev.Delivery.Payload}); err != nil {
					t.Fatal(err)
				}
				sent++
			}
		}
		c.Finish()
	})
	if got != 0 {
		t.Errorf("%v allocations a turn", got)
	}
	if links[1].Unsettled() != 16 || links[0].Unsettled() != 0 {
		t.Errorf("%d, %d unsettled", links[0].Unsettled(), links[1].Unsettled())
	}
}
