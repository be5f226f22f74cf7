package mqtt

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// Whatever a sender says of a message, a client that reads the topic as it reads its own
// gets it back; and nothing in it can be mistaken for another topic or property.
func TestTopicReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune())
		instant := rapid.Custom(func(t *rapid.T) time.Time {
			if rapid.Bool().Draw(t, "none") {
				return time.Time{}
			}
			return iot.TicksTime(rapid.Uint64Range(1, 3_155_378_975_999_999_999).Draw(t, "ticks"))
		})
		m := iot.CloudMessage{
			MessageID: text.Draw(t, "mid"), CorrelationID: text.Draw(t, "cid"), UserID: text.Draw(t, "uid"), To: text.Draw(t, "to"),
			ContentType: text.Draw(t, "ct"), ContentEncoding: text.Draw(t, "ce"),
			Expiry: instant.Draw(t, "exp"), Created: instant.Draw(t, "ctime"), Ack: iot.AckMode(rapid.IntRange(0, 4).Draw(t, "ack")),
		}
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9 &=/+#%?]{1,8}`), 0, 5, rapid.ID).Draw(t, "names")
		for _, name := range names {
			m.Application = append(m.Application, iot.Property{Name: name, Value: text.Draw(t, "value")})
		}
		o := own{Device: "d"}
		topic := o.appendTopic(nil, &m)
		bag, ok := bytes.CutPrefix(topic, []byte("devices/d/messages/devicebound/"))
		if !ok || bytes.ContainsAny(bag, "/+# \x00") || !bytes.HasPrefix(bag, []byte("%24.")) {
			t.Fatalf("topic %q", topic)
		}
		got, err := iot.ParseEvent(iot.Event{Raw: iot.Raw{Source: iot.SourceBag, Props: bag}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(iot.Properties{}, m.Application...), append(iot.Properties{}, got.Application...)); diff != "" {
			t.Fatal(diff)
		}
		to := m.To
		if to == "" {
			to = "/devices/d/messages/devicebound"
		}
		for name, want := range map[string]string{
			iot.MessageID: m.MessageID, iot.CorrelationID: m.CorrelationID, iot.UserID: m.UserID, iot.To: to,
			iot.ContentType: m.ContentType, iot.ContentEncoding: m.ContentEncoding, iot.Ack: m.Ack.String(),
			iot.ExpiryTime: written(m.Expiry), iot.CreationTime: written(m.Created),
		} {
			if value, there := got.System.Get(name); value != want || there != (want != "") {
				t.Fatalf("%s reads as %q, %t, want %q", name, value, there, want)
			}
		}
	})
}

func written(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// The mailbox against a map of filters.
func TestMailboxIsASetOfFilters(t *testing.T) {
	o := own{Device: "d", Module: "m"}
	filters := []string{"#", "devices/d/modules/m/#", "devices/d/modules/m/messages/#", "devices/d/modules/m/messages/devicebound/#"}
	rapid.Check(t, func(t *rapid.T) {
		var box mailbox
		have := map[string]byte{}
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			f := rapid.SampledFrom(filters).Draw(t, "filter")
			if rapid.Bool().Draw(t, "subscribe") {
				qos := byte(rapid.IntRange(0, 1).Draw(t, "qos"))
				box = box.with(o.mail([]byte(f)), qos)
				have[f] = qos
			} else {
				box = box.without(o.mail([]byte(f)))
				delete(have, f)
			}
			var most byte
			var subs []device.Subscription
			for f, qos := range have {
				most = max(most, qos)
				to, ok := o.stream([]byte(f))
				if !ok || !to.Messages() {
					t.Fatalf("%s: stream %d, %t", f, to, ok)
				}
				subs = append(subs, device.Subscription{To: to, Filter: f, QoS: qos})
			}
			if box.open() != (len(have) > 0) || box.qos() != most || mailOf(o, subs) != box {
				t.Fatalf("box %b, want %v", box, have)
			}
		}
	})
	for _, none := range []string{"$iothub/methods/POST/#", "devices/d/modules/m/inputs/#", "devices/x/modules/m/#", strings.Repeat("x", 100)} {
		if o.mail([]byte(none)) != 0 {
			t.Errorf("messages match %s", none)
		}
	}
}
