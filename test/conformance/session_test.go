package conformance

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// npmAnswer is what npm mqtt says of a connection it tried.
type npmAnswer struct {
	Connack *struct {
		Code    int
		Present bool
	}
	Refused *jsError
	Closed  bool
}

// TestSubscriptionsSurviveKill lets the SDK subscribe to everything it knows, kills the
// hub, and finds session-present 1 in the new one, with npm mqtt as with the SDK.
func TestSubscriptionsSurviveKill(t *testing.T) {
	for _, transport := range []string{overTCP, overWS} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			h := rig.Start(t, rig.Options{})
			d := h.AddDevice("dev1")
			p := openDevice(t, h, d.String(), transport)
			p.must("onMethod", args{"method": "reboot"}, nil)
			p.must("onMessage", nil, nil)
			// Twins come later: the request is answered with 501, and it has subscribed by then.
			err := p.try("getTwin", nil, nil)
			if err == nil {
				t.Error("getTwin succeeded, want an error until twins come")
			}
			send(t, p, "after all subscriptions")
			h.Kill()
			p.event("disconnect")
			h.Start()

			// The SDK, connecting again, re-sends no SUBSCRIBE for twins: what it was granted must
			// still be there for whoever asks next.
			raw := h.Dial(t)
			if !raw.Enter(d.Hello()) {
				t.Error("session-present 0 after the restart, want 1")
			}
			raw.Send(rig.PublishBytes("$iothub/twin/GET/?$rid=7", 0x02, 9, nil))
			if ack := raw.Read(rig.PubAck); !bytes.Equal(ack.Body, []byte{0, 9}) {
				t.Errorf("PUBACK % x, want id 9", ack.Body)
			}
			res := raw.Read(rig.Publish)
			if want := rig.Text("$iothub/twin/res/501/?$rid=7"); !bytes.HasPrefix(res.Body, want) {
				t.Errorf("the answer to a twin request is %q, want it on %q without a new SUBSCRIBE", res.Body, want)
			}
		})
	}
}

// TestSessionPresent follows the CleanSession flag through its cases with npm mqtt.
func TestSessionPresent(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	p := newPuppet(t, h, "mqtt")
	connect := func(clean bool) bool {
		t.Helper()
		var got npmAnswer
		p.must("connect", npmConnect(h, d, args{"clean": clean}), &got)
		if got.Connack == nil || got.Connack.Code != 0 {
			t.Fatalf("npm mqtt reports %+v, want CONNACK 0", got)
		}
		return got.Connack.Present
	}
	var got []bool
	got = append(got, connect(false)) // nothing kept yet
	p.must("subscribe", args{"filters": []string{"$iothub/methods/POST/#", "$iothub/twin/res/#"}}, nil)
	p.must("end", nil, nil)
	got = append(got, connect(false)) // kept after a goodbye
	h.Kill()
	h.Start()
	got = append(got, connect(false)) // kept after the hub died
	p.must("end", nil, nil)
	got = append(got, connect(true)) // clean: forgotten
	p.must("subscribe", args{"filters": []string{"$iothub/methods/POST/#"}}, nil)
	p.must("end", nil, nil)
	got = append(got, connect(false)) // a clean session left nothing
	if diff := cmp.Diff([]bool{false, true, true, false, false}, got); diff != "" {
		t.Errorf("session present (-want +got):\n%s", diff)
	}
}

// TestUnsubscribeIsKept shows that a removal survives as a subscription does.
func TestUnsubscribeIsKept(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	if granted := l.Subscribe(1, "$iothub/twin/res/#", "devices/dev1/messages/devicebound/#"); !bytes.Equal(granted, []byte{1, 1}) {
		t.Errorf("granted % x, want 01 01", granted)
	}
	l.Send(rig.Frame(rig.Unsubscribe<<4|2, append([]byte{0, 2}, rig.Text("$iothub/twin/res/#")...)))
	if ack := l.Read(rig.UnsubAck); !bytes.Equal(ack.Body, []byte{0, 2}) {
		t.Errorf("UNSUBACK % x, want id 2", ack.Body)
	}
	h.Kill()
	h.Start()
	l = h.Dial(t)
	if !l.Enter(d.Hello()) {
		t.Error("session-present 0, want 1: one subscription is left")
	}
	l.Send(rig.PublishBytes("$iothub/twin/GET/?$rid=1", 0x02, 3, nil))
	l.Read(rig.PubAck)
	l.Ping() // an answer to the twin request would come before this one
}

// TestSubscriptionRules are the grants of section 8, and what closes a connection.
func TestSubscriptionRules(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	m := h.AddModule("dev1", "mod1")
	h.AddDevice("dev2")
	all := func(qos byte, filters ...string) []byte { return rig.SubscribeBytes(5, qos, filters...) }
	for _, c := range []struct {
		name string
		id   rig.Identity
		send []byte
		want []byte // nil: the connection is closed
	}{
		{"five in one packet", d, all(1, "devices/dev1/messages/devicebound/#", "$iothub/methods/POST/#",
			"$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "devices/dev1/messages/#"), []byte{1, 1, 1, 1, 1}},
		{"QoS 2 is granted 1", d, all(2, "devices/dev1/messages/devicebound/#"), []byte{1}},
		{"QoS 0 stays 0", d, all(0, "$iothub/methods/POST/#"), []byte{0}},
		{"module inputs", m, all(1, "devices/dev1/modules/mod1/inputs/#", "devices/dev1/modules/mod1/#",
			"devices/dev1/modules/mod1/messages/devicebound/#"), []byte{1, 1, 1}},
		{"another device", d, all(1, "devices/dev2/messages/devicebound/#"), nil},
		{"a topic of nobody", d, all(1, "weather/#"), nil},
		{"QoS 3", d, all(3, "$iothub/methods/POST/#"), nil},
		{"no filter", d, all(1), nil},
	} {
		l := h.Dial(t)
		l.Enter(c.id.Hello())
		l.Send(c.send)
		if c.want == nil {
			if n := l.Closed(rig.Within); n != 0 {
				t.Errorf("%s: %d packets before the close, want none", c.name, n)
			}
			continue
		}
		if got := l.Read(rig.SubAck).Body; !bytes.Equal(got, append([]byte{0, 5}, c.want...)) {
			t.Errorf("%s: SUBACK % x, want 00 05 % x", c.name, got, c.want)
		}
	}
}
