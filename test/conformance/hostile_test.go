package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// maxPeak is the most memory a hub may hold under these attacks, in bytes: idle it is
// some 25 MiB, and its log buffers what one device may publish.
const maxPeak = 128 << 20

// whileServed runs attack while a well-behaved device publishes without a pause, and
// demands that every message of it was acknowledged and is in the log.
func whileServed(t *testing.T, h *rig.Hub, attack func()) {
	t.Helper()
	good := h.AddDevice("good")
	client := newPaho(t, h, good.Hello())
	client.enter()
	ctx, stop := context.WithCancel(t.Context())
	sent := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			client.publish(good.EventsTopic(), fmt.Sprint(sent))
			sent++
		}
	})
	defer wg.Wait()
	defer stop()
	attack()
	stop()
	wg.Wait()
	if peak := h.PeakMemory(); peak > maxPeak {
		t.Errorf("the hub held %d MiB at its peak, want at most %d", peak>>20, maxPeak>>20)
	}
	select {
	case err := <-client.lost:
		t.Fatalf("the well-behaved device lost its connection: %v", err)
	default:
	}
	if sent == 0 {
		t.Error("the well-behaved device sent nothing")
	}
	got := bodies(h, "good")
	if len(got) != sent {
		t.Fatalf("%d messages of the well-behaved device are in the log, want %d", len(got), sent)
	}
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("message %d of the well-behaved device is %q", i, body)
		}
	}
	if !h.Alive() {
		t.Fatal("the hub died")
	}
}

// TestStrangersBytes sends what is no CONNECT: the hub closes, and nobody else notices.
func TestStrangersBytes(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	random := make([]byte, 64<<10)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(random); i++ {
		random[i] = byte(r.Uint32())
	}
	d := h.AddDevice("dev1")
	connect := d.Hello().Bytes()
	cases := map[string][]byte{
		"random bytes":              random,
		"zeros":                     make([]byte, 64<<10),
		"an HTTP request":           []byte("GET / HTTP/1.1\r\nHost: hub.localtest\r\n\r\n"),
		"an AMQP header":            []byte("AMQP\x03\x01\x00\x00"),
		"a CONNECT of 256 MB":       append([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, bytes.Repeat([]byte{'x'}, 1<<20)...),
		"a length of five bytes":    {0x10, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a PUBLISH first":           rig.PublishBytes(d.EventsTopic(), 2, 1, []byte("x")),
		"a PINGREQ first":           rig.Frame(rig.PingReq<<4, nil),
		"a SUBSCRIBE first":         rig.SubscribeBytes(1, 1, "#"),
		"reserved type 0":           {0x00, 0x00},
		"reserved type 15":          {0xf0, 0x00},
		"CONNECT with flags":        append([]byte{0x1f}, connect[1:]...),
		"protocol name MQIsdp":      rig.Frame(0x10, bytes.Replace(connect[3:], []byte("\x00\x04MQTT\x04"), []byte("\x00\x06MQIsdp\x03"), 1)),
		"CONNECT cut inside":        rig.Frame(0x10, connect[3:40]),
		"CONNECT with a tail":       rig.Frame(0x10, append(bytes.Clone(connect[3:]), "tail"...)),
		"client id of bad UTF-8":    rig.Hello{ClientID: "dev\xc0\xaf1", Username: d.Hello().Username, Password: d.Token()}.Bytes(),
		"user name with NUL":        rig.Hello{ClientID: "dev1", Username: rig.Host + "/dev1\x00/?api-version=2021-04-12", Password: d.Token()}.Bytes(),
		"a user name of 65,535":     rig.Hello{ClientID: "dev1", Username: strings.Repeat("/", 65535), Password: d.Token()}.Bytes(),
		"a password of 65,535":      rig.Hello{ClientID: "dev1", Username: d.Hello().Username, Password: strings.Repeat("&", 65535)}.Bytes(),
		"a will on another's topic": rig.Hello{ClientID: "dev1", Username: d.Hello().Username, Password: d.Token(), WillTopic: "devices/good/messages/events/", Will: "x"}.Bytes(),
	}
	whileServed(t, h, func() {
		for name, b := range cases {
			l := h.Dial(t)
			if err := l.TrySend(b); err != nil {
				continue // closed while we were sending: as good
			}
			end := time.Now().Add(rig.Within)
			for {
				p, err := l.TryRead(time.Until(end))
				if err != nil {
					if time.Now().After(end) {
						t.Errorf("%s: the connection is still open after %v", name, rig.Within)
					}
					break
				}
				if p.Type != rig.ConnAck || len(p.Body) < 2 || p.Body[1] == 0 {
					t.Errorf("%s: answered with packet %d % x", name, p.Type, p.Body)
				}
			}
		}
	})
}

// TestHalfPackets sends a CONNECT a byte at a time, and leaves many unfinished: the
// whole one is served, and the others cost nobody anything.
func TestHalfPackets(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	connect := d.Hello().Bytes()
	publish := rig.PublishBytes(d.EventsTopic(), 2, 1, []byte("byte by byte"))
	whileServed(t, h, func() {
		var open []*rig.Link
		for i := range 100 {
			l := h.Dial(t)
			l.Send(connect[:1+i%(len(connect)-1)])
			open = append(open, l)
		}
		l := h.Dial(t)
		for i := range connect {
			l.Send(connect[i : i+1])
		}
		if p := l.Read(rig.ConnAck); p.Body[1] != 0 {
			t.Errorf("CONNACK %d for a CONNECT that came byte by byte", p.Body[1])
		}
		for i := range publish {
			l.Send(publish[i : i+1])
		}
		l.Read(rig.PubAck)
		for _, l := range open {
			l.Conn.NetConn().Close() // no close_notify: the peer is simply gone
		}
	})
	if got := bodies(h, "dev1"); len(got) != 1 || got[0] != "byte by byte" {
		t.Errorf("messages %q", got)
	}
}

// TestInsidersBytes sends what an authenticated device must not: its connection is
// closed, nothing of it is in the log, and it may come back.
func TestInsidersBytes(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, m := h.AddDevice("dev1"), h.AddModule("dev1", "mod1")
	topic := d.EventsTopic()
	pub := func(topic string, flags byte) []byte { return rig.PublishBytes(topic, flags, 1, []byte("x")) }
	many := make([]string, 65535)
	for i := range many {
		many[i] = "a"
	}
	cases := map[string][]byte{
		"QoS 2":                            pub(topic, 4),
		"QoS 3":                            pub(topic, 6),
		"packet id 0":                      rig.PublishBytes(topic, 2, 0, []byte("x")),
		"another device's topic":           pub("devices/good/messages/events/", 2),
		"its module's topic":               pub(m.EventsTopic(), 2),
		"the C2D topic":                    pub("devices/dev1/messages/devicebound/", 2),
		"a topic with a wildcard":          pub("devices/+/messages/events/", 2),
		"an empty topic":                   pub("", 2),
		"a topic with NUL":                 pub(topic+"a=\x00", 2),
		"a topic with an overlong slash":   pub("devices/dev1\xc0\xafmessages/events/", 2),
		"a topic with a surrogate":         pub(topic+"a=\xed\xa0\x80", 2),
		"a topic with bad UTF-8":           pub(topic+"a=\xff", 2),
		"a bag with a nameless property":   pub(topic+"a=1&&b=2", 2),
		"an unknown $iothub topic":         pub("$iothub/jobs/POST/?$rid=1", 2),
		"too large":                        rig.PublishBytes(topic, 2, 1, bytes.Repeat([]byte{'x'}, 256*1024+1)),
		"a PUBLISH of 256 MB":              append([]byte{0x32, 0xff, 0xff, 0xff, 0x7f}, bytes.Repeat([]byte{'x'}, 1<<20)...),
		"65,535 filters":                   rig.SubscribeBytes(1, 1, many...),
		"another device's filter":          rig.SubscribeBytes(1, 1, "devices/good/messages/devicebound/#"),
		"everything":                       rig.SubscribeBytes(1, 1, "devices/+/messages/devicebound/#"),
		"a filter with NUL":                rig.SubscribeBytes(1, 1, "$iothub/methods/\x00POST/#"),
		"SUBSCRIBE with flags 0":           rig.Frame(0x80, rig.SubscribeBytes(1, 1, "$iothub/methods/POST/#")[2:]),
		"a second CONNECT":                 d.Hello().Bytes(),
		"a CONNACK":                        {0x20, 0x02, 0x00, 0x00},
		"a PUBACK for nothing, with flags": {0x41, 0x02, 0x00, 0x01},
		"PINGREQ with a body":              {0xc0, 0x01, 0x00},
		"reserved type 15":                 {0xf0, 0x00},
		"garbage":                          bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 4096),
	}
	whileServed(t, h, func() {
		for name, b := range cases {
			l := h.Dial(t)
			l.Enter(d.Hello())
			if err := l.TrySend(b); err != nil {
				continue
			}
			end := time.Now().Add(rig.Within)
			for {
				p, err := l.TryRead(time.Until(end))
				if err != nil {
					if time.Now().After(end) {
						t.Errorf("%s: the connection is still open after %v", name, rig.Within)
					}
					break
				}
				t.Errorf("%s: answered with packet %d % x", name, p.Type, p.Body[:min(len(p.Body), 32)])
			}
		}
		l := h.Dial(t)
		l.Enter(d.Hello())
		l.Publish(topic, 1, "back again")
	})
	if got := bodies(h, "dev1"); len(got) != 1 || got[0] != "back again" {
		t.Errorf("messages of the device: %q, want the last alone", got)
	}
	h.Log("dev1", "deviceConnect", "")
}

// TestManySubscriptions asks for the same filters again and again, 65,535 in all: what
// is kept stays small, and the device is told at every step.
func TestManySubscriptions(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	whileServed(t, h, func() {
		l := h.Dial(t)
		l.Enter(d.Hello())
		filters := []string{
			"devices/dev1/messages/devicebound/#", "$iothub/methods/POST/#", "$iothub/twin/res/#",
			"$iothub/twin/PATCH/properties/desired/#",
		}
		const packets = 65535 / 4
		failed := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < packets && err == nil; i++ {
				err = l.TrySend(rig.SubscribeBytes(uint16(1+i), 1, filters...))
			}
			failed <- err
		}()
		for i := range packets {
			if p := l.Read(rig.SubAck); binary.BigEndian.Uint16(p.Body) != uint16(1+i) {
				t.Fatalf("SUBACK % x, want id %d", p.Body, 1+i)
			}
		}
		if err := rig.Receive(t, failed, "all SUBSCRIBE packets are sent"); err != nil {
			t.Errorf("send SUBSCRIBE: %v", err)
		}
	})
}

// TestManySmallPackets sends packets of two bytes faster than any hub handles them: each is
// answered, and a heap of them is not taken for one that is too large.
func TestManySmallPackets(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	whileServed(t, h, func() {
		l := h.Dial(t)
		l.Enter(d.Hello())
		const packets = 1_000_000
		failed := make(chan error, 1)
		go func() { failed <- l.TrySend(bytes.Repeat([]byte{rig.PingReq << 4, 0}, packets)) }()
		for range packets {
			l.Read(rig.PingResp)
		}
		if err := rig.Receive(t, failed, "all PINGREQ packets are sent"); err != nil {
			t.Errorf("send PINGREQ: %v", err)
		}
	})
}

// TestSilentStranger holds many TLS connections open that never say a word; devices
// are let in beside them.
func TestSilentStranger(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	whileServed(t, h, func() {
		for range 200 {
			h.Dial(t)
		}
		d := h.AddDevice("late")
		newPaho(t, h, d.Hello()).enter()
	})
}

// TestSlowReader publishes and never reads its PUBACKs: the hub stops reading it before
// it has taken much, and serves the others.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	const most = 4_000_000 // messages: their PUBACKs are four times any socket's buffers
	whileServed(t, h, func() {
		l := h.Dial(t)
		if err := l.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		l.Enter(d.Hello())
		packet := rig.PublishBytes(d.EventsTopic(), 2, 1, []byte("x"))
		many := bytes.Repeat(packet, 1000)
		for sent := 0; sent < most; sent += 1000 {
			if err := l.Conn.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Conn.Write(many); err != nil {
				t.Logf("the hub stopped reading after %d messages", sent)
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("write: %v, want the hub to wait, not to close", err)
				}
				return
			}
		}
		t.Errorf("the hub read %d messages whose PUBACKs nobody took", most)
	})
}
