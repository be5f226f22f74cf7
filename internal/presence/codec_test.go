package presence

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/store"
)

// The bytes that stand in docs/format.md.
func TestGoldenRecords(t *testing.T) {
	st := state{connected: true, epoch: store.Epoch{Generation: 3, Counter: 300}, since: 1, active: -2}
	if got, want := st.encode(), []byte{1, 1, 3, 0xac, 2, 2, 3}; !bytes.Equal(got, want) {
		t.Errorf("state % x, want % x", got, want)
	}
	se := session{epoch: store.Epoch{Generation: 3, Counter: 300}, subs: []device.Subscription{
		{To: device.Methods, Filter: "m/#", QoS: 1}, {To: device.CloudToDevice, Filter: ""},
	}}
	if got, want := se.encode(), []byte{1, 3, 0xac, 2, 2, 2, 1, 3, 'm', '/', '#', 1, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("session % x, want % x", got, want)
	}
}

func FuzzState(f *testing.F) {
	f.Add((&state{}).encode())
	f.Add((&state{connected: true, epoch: store.Epoch{Generation: 7, Counter: math.MaxUint64}, since: math.MaxInt64, active: math.MinInt64}).encode())
	f.Add([]byte{1, 1, 0x80})
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decodeState(b)
		if err != nil {
			return
		}
		again, err := decodeState(st.encode())
		if err != nil || again != st {
			t.Errorf("%+v became %+v, %v", st, again, err)
		}
	})
}

func FuzzSession(f *testing.F) {
	f.Add((&session{}).encode())
	f.Add((&session{epoch: store.Epoch{Generation: 1, Counter: 2}, subs: subsOf("devices/d/messages/devicebound/#", "", "$iothub/twin/res/#")}).encode())
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{1, 0, 0, 1, 1, 1, 0xff, 0xff, 0x03, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		se, err := decodeSession(b)
		if err != nil {
			return
		}
		if len(se.subs) > maxSubscriptions {
			t.Fatalf("%d subscriptions", len(se.subs))
		}
		again, err := decodeSession(se.encode())
		if err != nil || cmp.Diff(se, again, cmp.AllowUnexported(session{})) != "" {
			t.Errorf("%+v became %+v, %v", se, again, err)
		}
	})
}
