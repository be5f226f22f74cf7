package mqtt

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

func TestConnectPublishDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		p := w.dial()
		topic := []byte("devices/dev1/messages/events/a=b")
		// Everything in one write: what follows a CONNECT is not lost.
		p.send(connect("dev1", func(c *mqttwire.Connect) {
			*c.Username += "&DeviceClientType=sdk%2F1&model-id=dtmi:x;1"
			c.Will = &mqttwire.Will{Topic: "devices/dev1/messages/events/w=1", Payload: []byte("gone"), Retain: true, QoS: 1}
		}), mqttwire.Publish{Topic: topic, Payload: []byte("hello"), ID: 5, QoS: 1})
		p.expect(mqttwire.Connack{})
		s := w.core.Session(t.Context(), 0)
		s.Await(t.Context(), func() bool { return s.Appended() == 1 })
		synctest.Wait()
		s.Commit(1)
		p.expect(mqttwire.Puback{ID: 5})
		p.send(mqttwire.Disconnect{})
		if rest := p.rest(); len(rest) > 0 {
			t.Errorf("%x after DISCONNECT", rest)
		}
		if bye := w.goodbye(); bye.Kind != device.GoodbyeClean {
			t.Errorf("goodbye %+v, want clean", bye)
		}
		hello := s.Hello
		conn := hello.Conn
		hello.Conn = nil
		want := device.Hello{
			Identity: iot.Identity{Device: "dev1"}, Host: "hub.local",
			Credential: device.Credential{SAS: "SharedAccessSignature sr=x"},
			Client:     device.Client{ID: "dev1", Type: "sdk/1", APIVersion: "2021-04-12", ModelID: "dtmi:x;1", KeepAlive: time.Minute},
			Will:       &iot.Raw{Source: iot.SourceBag, Flags: iot.RawWill | iot.RawRetain, Props: []byte("w=1"), Body: []byte("gone")},
		}
		if diff := cmp.Diff(want, hello); diff != "" {
			t.Error(diff)
		}
		if in, out := conn.Traffic.PacketsIn.Load(), conn.Traffic.PacketsOut.Load(); in != 3 || out != 2 {
			t.Errorf("%d packets in, %d out; want 3, 2", in, out)
		}
		if n := conn.Traffic.BytesOut.Load(); n != 8 {
			t.Errorf("%d bytes out, want 8", n)
		}
	})
}

func TestRefusedConnects(t *testing.T) {
	refuse := func(code fault.Code) hubtest.Script {
		return hubtest.Script{Authorize: func(context.Context, device.Hello) error { return fault.New(code, "test", "no") }}
	}
	rename := func(id string) func(*mqttwire.Connect) { return func(c *mqttwire.Connect) { c.ClientID = id } }
	will := func(topic string, qos byte) func(*mqttwire.Connect) {
		return func(c *mqttwire.Connect) { c.Will = &mqttwire.Will{Topic: topic, QoS: qos} }
	}
	cases := []struct {
		name   string
		script hubtest.Script
		change func(*mqttwire.Connect)
		code   mqttwire.ReturnCode
	}{
		{"bad credential", refuse(fault.IotHubUnauthorized), nil, 5},
		{"disabled", refuse(fault.DeviceDisabled), nil, 5},
		{"unknown", refuse(fault.DeviceNotFound), nil, 5},
		{"busy", refuse(fault.ServerBusy), nil, 3},
		{"unclassified", hubtest.Script{Authorize: func(context.Context, device.Hello) error { return errors.New("disk") }}, nil, 3},
		{"no user name", hubtest.Script{}, func(c *mqttwire.Connect) { c.Username, c.Password = nil, nil }, 5},
		{"malformed user name", hubtest.Script{}, func(c *mqttwire.Connect) { *c.Username = "dev1" }, 5},
		{"another's client id", hubtest.Script{}, rename("dev2"), 5},
		{"module client id", hubtest.Script{}, rename("dev1/mod1"), 5},
		{"empty client id", hubtest.Script{}, rename(""), 5},
		{"case of client id", hubtest.Script{}, rename("Dev1"), 5},
		{"will of another", hubtest.Script{}, will("devices/dev2/messages/events/", 0), 5},
		{"will elsewhere", hubtest.Script{}, will("$iothub/twin/GET/?$rid=1", 0), 5},
		{"will of qos 2", hubtest.Script{}, will("devices/dev1/messages/events/", 2), 5},
		{"will with a bad bag", hubtest.Script{}, will("devices/dev1/messages/events/=x", 0), 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.script, Config{})
				p := w.dial()
				p.send(connect("dev1", c.change))
				if got, want := p.rest(), (mqttwire.Connack{Code: c.code}).Append(nil); !bytes.Equal(got, want) {
					t.Errorf("read %x, want %x and the end", got, want)
				}
				synctest.Wait()
				if w.lot.Len() != 0 || w.door.Strangers() != 0 {
					t.Errorf("%d connections, %d places kept", w.lot.Len(), w.door.Strangers())
				}
				if n := w.core.Opened(); n != 0 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
}

// A secret is in no log line.
func TestRefusalLogsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := logged()
		w := newWorld(t, hubtest.Script{Authorize: func(context.Context, device.Hello) error {
			return fault.New(fault.IotHubUnauthorized, "registry.judge", "no")
		}}, Config{Logger: log})
		p := w.dial()
		p.send(connect("dev1", func(c *mqttwire.Connect) { c.Password = []byte("hush-hush") }))
		p.rest()
		synctest.Wait()
		if got := lines.String(); !strings.Contains(got, "401003") || strings.Contains(got, "hush") {
			t.Errorf("log: %s", got)
		}
	})
}

// What does not speak MQTT 3.1.1 is answered as its version can read, or not at all.
func TestOtherPeers(t *testing.T) {
	cases := []struct{ name, send, want string }{
		{"mqtt 5", "\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc", "\x20\x03\x00\x84\x00"},
		{"mqtt 3.1", "\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a", "\x20\x02\x00\x01"},
		{"level 6", "\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a", "\x20\x02\x00\x01"},
		{"publish first", "\x30\x05\x00\x03a/bx", ""},
		{"http", "GET / HTTP/1.1\r\n\r\n", ""},
		{"claims 256 MB", "\x10\xff\xff\xff\x7f", ""},
		{"claims 33 kB", "\x10\x80\x84\x02", ""},
		{"five length bytes", "\x10\x80\x80\x80\x80\x01", ""},
		{"reserved flag", "\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a", ""},
		{"user name with NUL", "\x10\x10\x00\x04MQTT\x04\x80\x00\x3c\x00\x01a\x00\x01\x00", ""},
		{"overlong client id", "\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02\xc0\xaf", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, hubtest.Script{}, Config{})
				p := w.dial()
				start := time.Now()
				_, _ = p.Write([]byte(c.send)) // the server may close before it has all
				if got := p.rest(); string(got) != c.want {
					t.Errorf("read %q, want %q", got, c.want)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("after %v, want at once", took)
				}
			})
		})
	}
}

// A peer that is silent after accept, or trickles its CONNECT, is gone after 30 s.
func TestArrivalDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		silent, trickle := w.dial(), w.dial()
		start := time.Now()
		w.peers.Go(func() {
			for _, c := range connect("dev1", nil).Append(nil) {
				if _, err := trickle.Write([]byte{c}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
			t.Error("the whole CONNECT was taken")
		})
		for _, p := range []*peer{silent, trickle} {
			if got := p.rest(); len(got) > 0 {
				t.Errorf("read %x before a CONNECT", got)
			}
			if took := time.Since(start); took != park.ArriveWithin {
				t.Errorf("closed after %v, want %v", took, park.ArriveWithin)
			}
		}
	})
}

// An Open that hangs is given up with the arrival, and the client told to come again.
func TestOpenThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{Authorize: func(ctx context.Context, _ device.Hello) error {
			<-ctx.Done()
			return fault.Wrap(context.Cause(ctx), fault.ServerBusy, "test", "")
		}}, Config{})
		p := w.dial()
		start := time.Now()
		p.send(connect("dev1", nil))
		p.expect(mqttwire.Connack{Code: mqttwire.RefusedUnavailable})
		if took := time.Since(start); took != park.ArriveWithin {
			t.Errorf("answered after %v, want %v", took, park.ArriveWithin)
		}
	})
}

func TestPanickingArrivalRefusesOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := logged()
		w := newWorld(t, hubtest.Script{Authorize: func(_ context.Context, h device.Hello) error {
			if h.Identity.Device == "bad" {
				fault.Broken("on purpose")
			}
			return nil
		}}, Config{Logger: log})
		p := w.dial()
		p.send(connect("bad", nil))
		if got := p.rest(); len(got) > 0 {
			t.Errorf("read %x", got)
		}
		w.online("good")
		if !strings.Contains(lines.String(), "on purpose") {
			t.Errorf("log: %s", lines)
		}
	})
}

// A newcomer is answered, then the earlier client sees its connection close, at once.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		old := w.online("dev1")
		module := w.online("dev1/mod1")
		start := time.Now()
		w.online("dev1")
		if rest := old.rest(); len(rest) > 0 {
			t.Errorf("read %x at takeover", rest)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("closed after %v", took)
		}
		bye := w.goodbye()
		if bye.Kind != device.GoodbyeEnded || !strings.Contains(bye.Detail, "400027") {
			t.Errorf("goodbye %+v", bye)
		}
		module.send(mqttwire.Pingreq{}) // another identity: undisturbed
		module.expect(mqttwire.Pingresp{})
	})
}

func TestKeepAlive(t *testing.T) {
	cases := []struct {
		keepAlive uint16
		want      time.Duration
	}{{60, 90 * time.Second}, {1, 1500 * time.Millisecond}, {1177, 1765500 * time.Millisecond}, {1200, silenceCeiling}, {65535, silenceCeiling}, {0, silenceCeiling}}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{}, Config{})
			p := w.dial()
			p.send(connect("dev1", func(v *mqttwire.Connect) { v.KeepAlive = c.keepAlive }))
			p.expect(mqttwire.Connack{})
			time.Sleep(c.want / 2)
			p.send(mqttwire.Pingreq{})
			p.expect(mqttwire.Pingresp{})
			start := time.Now()
			p.rest()
			if took := time.Since(start); took != c.want {
				t.Errorf("keep-alive %d: closed %v after the last packet, want %v", c.keepAlive, took, c.want)
			}
			if bye := w.goodbye(); bye.Kind != device.GoodbyeIdle {
				t.Errorf("goodbye %+v, want idle", bye)
			}
		})
	}
}

func TestPeerGoesWithoutGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		p := w.online("dev1")
		_ = p.Close()
		if bye := w.goodbye(); bye.Kind != device.GoodbyeLost {
			t.Errorf("goodbye %+v, want lost", bye)
		}
	})
}

// A peer that publishes and does not read its PUBACKs is cut; nobody else waits for it.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{Instant: true}, Config{})
		slow, other := w.online("slow"), w.online("other")
		start := time.Now()
		slow.send(mqttwire.Publish{Topic: []byte("devices/slow/messages/events/"), ID: 1, QoS: 1})
		other.send(mqttwire.Pingreq{})
		other.expect(mqttwire.Pingresp{})
		if took := time.Since(start); took != 0 {
			t.Errorf("the other waited %v", took)
		}
		bye := w.goodbye()
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("cut after %v, want 20s", took)
		}
		if bye.Kind != device.GoodbyeLost || !strings.Contains(bye.Detail, "stopped reading") {
			t.Errorf("goodbye %+v", bye)
		}
	})
}

// A peer that publishes without end and is never acknowledged is stopped at the window.
func TestInFlightIsBounded(t *testing.T) {
	for _, size := range []int{1, 64 * 1024} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{}, Config{})
			p := w.online("dev1")
			publish := mqttwire.Publish{Topic: []byte("devices/dev1/messages/events/"), Payload: make([]byte, size), ID: 1, QoS: 1}.Append(nil)
			w.peers.Go(func() {
				for range 2 * maxInFlight {
					if _, err := p.Write(publish); err != nil {
						return
					}
				}
				t.Error("everything was taken")
			})
			synctest.Wait()
			want := min(maxInFlight, maxInFlightBytes/size)
			if got := w.core.Session(t.Context(), 0).Appended(); got != uint64(want) {
				t.Errorf("%d messages of %d bytes in flight, want %d", got, size, want)
			}
			_ = p.Close()
			w.core.Session(t.Context(), 0).End(fault.New(fault.ServerError, "test", "over"))
		})
	}
}

// 65,535 subscriptions: in one packet, in many, and more at once than the hub answers.
func TestSubscriptionFloods(t *testing.T) {
	filter := []byte("$iothub/twin/res/#")
	many := func(n int) mqttwire.Subscribe {
		s := mqttwire.Subscribe{ID: 1, Filters: make([]mqttwire.Filter, n)}
		for i := range s.Filters {
			s.Filters[i].Topic = filter
		}
		return s
	}
	for _, n := range []int{maxFilters + 1, 65_535} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{}, Config{})
			p := w.online("dev1")
			_, _ = p.Write(many(n).Append(nil))
			if bye := w.goodbye(); bye.Kind != device.GoodbyeProtocol {
				t.Errorf("%d filters: %+v", n, bye)
			}
			if ops := w.core.Session(t.Context(), 0).Ops(); len(ops) > 0 {
				t.Errorf("%d filters reached the hub", n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		p := w.online("dev1")
		one := many(1).Append(nil)
		w.peers.Go(func() {
			for range 65_535 {
				if _, err := p.Write(one); err != nil {
					return
				}
			}
		})
		synctest.Wait()
		s := w.core.Session(t.Context(), 0)
		if n := len(s.Ops()); n != maxRequests {
			t.Errorf("%d operations open, want %d", n, maxRequests)
		}
		s.Finish(1, nil)
		p.expect(mqttwire.Suback{ID: 1, Codes: []byte{0}})
		synctest.Wait()
		if n := len(s.Ops()); n != maxRequests+1 {
			t.Errorf("%d operations after one was done, want %d", n, maxRequests+1)
		}
		_ = p.Close()
		s.End(fault.New(fault.ServerError, "test", "over"))
	})
}

// Every operation the hub refuses at once is answered as if it had refused later.
func TestHubRefuses(t *testing.T) {
	no := fault.New(fault.DeviceThrottlingLimitExceeded, "hub.do", "slow down")
	t.Run("operations", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{Refuse: func(op device.Op) error {
				if _, ok := op.What.(device.Subscribe); ok {
					return nil
				}
				return no
			}, Answer: func(device.Op) error { return nil }}, Config{})
			p := w.online("dev1")
			p.send(mqttwire.Subscribe{ID: 1, Filters: []mqttwire.Filter{{Topic: []byte("$iothub/twin/res/#"), QoS: 1}}})
			p.expect(mqttwire.Suback{ID: 1, Codes: []byte{1}})
			p.send(mqttwire.Publish{Topic: []byte("$iothub/twin/GET/?$rid=7"), ID: 2, QoS: 1})
			answer, ok := p.next().(mqttwire.Publish)
			if !ok || string(answer.Topic) != "$iothub/twin/res/429/?$rid=7" || !bytes.Contains(answer.Payload, []byte(`"errorCode":429005`)) || !bytes.Contains(answer.Payload, []byte("slow down")) {
				t.Errorf("answer %s %s", answer.Topic, answer.Payload)
			}
			p.expect(mqttwire.Puback{ID: 2})
			p.send(mqttwire.Unsubscribe{ID: 3, Topics: [][]byte{[]byte("$iothub/twin/res/#")}})
			if bye := w.goodbye(); bye.Kind != device.GoodbyeProtocol || !strings.Contains(bye.Detail, "429005") {
				t.Errorf("goodbye %+v", bye)
			}
		})
	})
	t.Run("twin success", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{Answer: func(device.Op) error { return nil }}, Config{})
			p := w.online("dev1")
			p.send(mqttwire.Subscribe{ID: 1, Filters: []mqttwire.Filter{{Topic: []byte("$iothub/twin/res/#")}}})
			p.expect(mqttwire.Suback{ID: 1, Codes: []byte{0}})
			p.send(mqttwire.Publish{Topic: []byte("$iothub/twin/PATCH/properties/reported/?$rid=7"), Payload: []byte("{}")})
			p.expect(mqttwire.Publish{Topic: []byte("$iothub/twin/res/204/?$rid=7"), Payload: []byte{}})
		})
	})
	t.Run("messages", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{Instant: true, Reject: func(m iot.Raw) error {
				if string(m.Body) == "bad" {
					return no
				}
				return nil
			}}, Config{})
			p := w.online("dev1")
			publish := func(id uint16, body string) mqttwire.Packet {
				return mqttwire.Publish{Topic: []byte("devices/dev1/messages/events/"), Payload: []byte(body), ID: id, QoS: 1}
			}
			p.send(publish(1, "good"), publish(2, "bad"), publish(3, "good"))
			if bye := w.goodbye(); bye.Kind != device.GoodbyeProtocol || !strings.Contains(bye.Detail, "429005") {
				t.Errorf("goodbye %+v", bye)
			}
			if n := w.core.Session(t.Context(), 0).Appended(); n != 1 {
				t.Errorf("%d messages kept, want 1", n)
			}
		})
	})
}

// A stopping hub acknowledges what reaches the disk in time, then closes.
func TestShutdownFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		p := w.online("dev1")
		p.send(mqttwire.Publish{Topic: []byte("devices/dev1/messages/events/"), ID: 9, QoS: 1})
		s := w.core.Session(t.Context(), 0)
		s.Await(t.Context(), func() bool { return s.Appended() == 1 })
		time.AfterFunc(time.Second, func() { s.Commit(1) })
		w.peers.Go(func() {
			if err := w.lot.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		p.expect(mqttwire.Puback{ID: 9})
		if bye := w.goodbye(); bye.Kind != device.GoodbyeShutdown {
			t.Errorf("goodbye %+v, want shutdown", bye)
		}
	})
}

// A lot that is shut down closes whoever arrives, and keeps nothing.
func TestArrivalAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		w.online("dev1")
		if err := w.lot.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := w.dial().rest(); len(got) > 0 {
			t.Errorf("an arrival after shutdown read %x", got)
		}
	})
}

func TestServerNeedsCoreAndDoor(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
}
