package mqtt

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// Whatever the mix of QoS, requests, reads, commits and shortages of room: every QoS 1
// publish is acknowledged once, in the order of publishing, no telemetry before it is
// durable, and every message reaches the log in order.
func TestPubackOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		core := hubtest.NewCore(hubtest.Script{})
		server, err := New(Config{Core: core, Lot: park.New(park.Config{})})
		if err != nil {
			t.Fatal(err)
		}
		woken := false
		username := "h/d"
		a := arrival{server: server, facts: new(device.Conn), wake: func() { woken = true }, log: server.log}
		m, err := a.open(t.Context(), mqttwire.Connect{ClientID: "d", Username: &username})
		if err != nil {
			t.Fatal(err)
		}
		session := core.Session(t.Context(), 0)

		var in []byte
		var sent, acked []uint16 // ids published, and acknowledged
		var places []int         // how many messages must be durable before sent[i] is acknowledged
		var bags []string        // of the messages
		messages, committed := 0, 0
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		turn := func() {
			for again := true; again; {
				step := park.Turn{Now: now, In: in, Woken: woken}
				woken = false
				if err := m.Turn(&step); err != nil {
					t.Fatalf("turn: %v (%+v)", err, m.bye)
				}
				in = in[step.Used:]
				for b := step.Out; len(b) > 0; {
					p, n, err := mqttwire.Decode(b, len(b))
					if err != nil {
						t.Fatal(err)
					}
					b = b[n:]
					if ack, ok := p.(mqttwire.Puback); ok {
						if i := len(acked); i >= len(sent) || sent[i] != ack.ID {
							t.Fatalf("PUBACK %d is number %d of %v", ack.ID, i, sent)
						} else if places[i] > committed {
							t.Fatalf("PUBACK %d with %d durable, needs %d", ack.ID, committed, places[i])
						}
						acked = append(acked, ack.ID)
					}
				}
				again = woken || step.More
			}
		}
		session.Room(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				for range rapid.IntRange(1, 300).Draw(t, "publishes") {
					p := mqttwire.Publish{Topic: []byte("devices/d/messages/events/")}
					if rapid.IntRange(0, 9).Draw(t, "request") == 0 {
						p.Topic = []byte("$iothub/twin/GET/?$rid=1")
					} else {
						messages++
						p.Payload = []byte{byte(messages)}
						bags = append(bags, rapid.SampledFrom([]string{"", "a=b", "a=c", "x&y=z"}).Draw(t, "bag"))
						p.Topic = append(p.Topic, bags[messages-1]...)
					}
					if rapid.Bool().Draw(t, "qos1") {
						p.QoS, p.ID = 1, uint16(len(sent)%60_000+1)
						sent, places = append(sent, p.ID), append(places, messages)
					}
					in = p.Append(in)
				}
			case 2:
				session.Room(rapid.IntRange(0, 400).Draw(t, "room"))
			case 3:
				n := rapid.IntRange(0, int(session.Appended())-committed).Draw(t, "commit")
				committed += n
				session.Commit(n)
			}
			turn()
		}
		session.Room(-1)
		for range 1000 {
			turn()
			committed = int(session.Appended())
			session.Commit(committed)
			if len(in) == 0 && m.window.n == 0 {
				break
			}
		}
		if !slices.Equal(acked, sent) {
			t.Fatalf("%d acknowledged of %d", len(acked), len(sent))
		}
		stored := session.Messages()
		if len(stored) != messages {
			t.Fatalf("%d messages stored of %d", len(stored), messages)
		}
		for i, raw := range stored {
			if raw.Body[0] != byte(i+1) || string(raw.Props) != bags[i] {
				t.Fatalf("message %d is %v with %q, want %q", i, raw.Body, raw.Props, bags[i])
			}
		}
		if m.window.n != 0 || m.window.bytes != 0 || m.window.stored != 0 {
			t.Fatalf("the window keeps %+v", m.window)
		}
	})
}
