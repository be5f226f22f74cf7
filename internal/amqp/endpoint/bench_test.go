package endpoint

import (
	"fmt"
	"testing"
	"time"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// upTo gives a trusted connection, open, with a session on channel 0 and the frames of
// more handled.
func upTo(tb testing.TB, frames ...w.Performative) *Conn {
	tb.Helper()
	c := New(Config{ContainerID: "berth", Mechanisms: []string{"ANONYMOUS"}})
	c.Trust()
	in := w.AppendProto(nil, w.ProtoAMQP)
	in = w.AppendFrame(in, 0, w.Open{ContainerID: "peer", MaxFrameSize: w.Unlimited, ChannelMax: 65535})
	in = w.AppendFrame(in, 0, w.Begin{IncomingWindow: 1 << 30, OutgoingWindow: 1 << 30, HandleMax: w.Unlimited})
	for _, f := range frames {
		in = w.AppendFrame(in, 0, f)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.Start(now, nil)
	for {
		ev, n := c.Step(in)
		in = in[n:]
		switch ev.Kind {
		case OnOpen:
			c.Open(w.Open{})
		case OnAttach:
			ev.Link.Accept(Terms{})
			ev.Link.Allow(1000)
		case Idle:
			c.Finish()
			return c
		case OnClose:
			tb.Fatal(ev.Error)
		default:
		}
	}
}

func sender(name string, handle uint32) w.Attach {
	return w.Attach{Name: name, Handle: handle, Role: w.RoleSender, SenderSettleMode: w.SenderMixed, Source: &w.Source{}, Target: &w.Node{Address: "/devices/d/messages/events"}}
}

func receiver(name string, handle uint32) w.Attach {
	return w.Attach{Name: name, Handle: handle, Role: w.RoleReceiver, SenderSettleMode: w.SenderMixed, Source: &w.Source{Address: "/x"}, Target: &w.Node{}}
}

// Telemetry as a device sends it: 16 deliveries of 256 bytes in flight, which leave as
// one range. The time is that of one delivery.
func BenchmarkReceive(b *testing.B) {
	const flight = 16
	c := upTo(b, sender("telemetry", 0))
	l := c.channels[0].byIn.get(0)
	payload := make([]byte, 256)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var in []byte
	for id := range uint32(flight) {
		t := w.Transfer{DeliveryID: w.Some(1000 + id), Tag: []byte{0, 0, 0, 0}, MessageFormat: w.Some[uint32](0), Settled: w.Some(false), Payload: payload}
		in = t.AppendFrame(in, 0)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for done := 0; done < b.N; done += flight {
		c.channels[0].delivered = false // so that the same ids may come again
		c.Start(now, out[:0])
		got := 0
		for at := 0; ; {
			ev, n := c.Step(in[at:])
			at += n
			if ev.Kind == Idle {
				break
			}
			if ev.Kind == OnTransfer {
				got++
			}
		}
		if n := l.SettleOldest(got, w.Accepted{}); n != flight {
			b.Fatal(n)
		}
		sent, _ := c.Finish()
		if len(sent) == 0 {
			b.Fatal("nothing was said")
		}
	}
}

// Events as a back-end reads them: 64 unsettled deliveries of 256 bytes a turn, which the
// peer settles as one range.
func BenchmarkSend(b *testing.B) {
	const flight = 64
	c := upTo(b, receiver("events", 0), w.Flow{IncomingWindow: 1 << 30, OutgoingWindow: 1 << 30, Handle: w.Some[uint32](0), DeliveryCount: w.Some[uint32](0), LinkCredit: w.Some[uint32](1 << 30)})
	l := c.channels[0].byIn.get(0)
	payload, tag := make([]byte, 256), make([]byte, 16)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in, out := make([]byte, 0, 256), make([]byte, 0, 64*1024)
	b.ReportAllocs()
	first := uint32(0)
	for done := 0; done < b.N; done += flight {
		c.Start(now, out[:0])
		for range flight {
			if _, err := l.Send(Message{Tag: tag, Payload: payload}); err != nil {
				b.Fatal(err)
			}
		}
		c.Finish()
		in = w.Disposition{Role: w.RoleReceiver, First: first, Last: first + flight - 1, Settled: true, State: w.Accepted{}}.AppendFrame(in[:0], 0)
		in = w.Flow{NextIncomingID: w.Some(first + flight), IncomingWindow: 1 << 30, NextOutgoingID: 0, OutgoingWindow: 1 << 30, Handle: w.Some[uint32](0), DeliveryCount: w.Some(first + flight), LinkCredit: w.Some[uint32](1 << 30)}.AppendFrame(in, 0)
		first += flight
		c.Start(now, out[:0])
		got := 0
		for at := 0; ; {
			ev, n := c.Step(in[at:])
			at += n
			if ev.Kind == Idle {
				break
			}
			if ev.Kind == OnDisposition {
				got++
			}
		}
		c.Finish()
		if got != flight {
			b.Fatal(got)
		}
	}
}

// BenchmarkFreeHandle finds the one that is free beside many whose handles are not the peer's.
func BenchmarkFreeHandle(b *testing.B) {
	for _, links := range []uint32{100, 8000} {
		b.Run(fmt.Sprint(links), func(b *testing.B) {
			s := &Session{handles: links, strange: 1}
			for out := range links {
				s.links = append(s.links, &Link{out: out})
			}
			for b.Loop() {
				if h, ok := s.freeHandle(2 * links); !ok || h != links {
					b.Fatal(h, ok)
				}
			}
		})
	}
}
