package c2d

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

var someQueue = queue{generation: 7, number: 3, entries: []entry{
	{sequence: 1 << 40, number: 2, enqueued: 1_700_000_000_000, due: 1_700_003_600_000, size: 300, count: 1, ack: iot.AckFull, sent: true},
	{sequence: 1<<40 + 5, number: 3, enqueued: 1_700_000_000_001, due: 1_700_000_060_001, size: 0},
}}

var someMessage = iot.CloudMessage{
	MessageID: "m1", To: "/devices/d/messages/devicebound", Ack: iot.AckPositive,
	Expiry:      time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
	Application: iot.Properties{{Name: "k", Value: "v"}, {Name: "e"}},
	Body:        []byte("hi"),
}

var someEnd = iot.MessageEnd{
	Identity: iot.Identity{Device: "d", Module: "m"}, Status: iot.FeedbackExpired, MessageID: "m1",
	At: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
}

var someNotice = notice{enqueued: 1_700_000_000_000, due: 1_700_003_600_000, count: 2, body: []byte("[]")}

// The bytes on disk may not change without a new version (docs/format.md).
func TestRecordsGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"queue", someQueue.encode(), "01070302808080808020" + "02" + "80d095ffbc31" + "80adf180bd31" + "ac02" + "01" + "0c" +
			"05" + "03" + "81d095ffbc31" + "e1a499ffbc31" + "00" + "00" + "00"},
		{"message", encodeMessage(&someMessage), "0102" + "8681dcb5b9b592ef08" + "00" + "026d31" + "00" + "00" +
			"1f2f646576696365732f642f6d657373616765732f646576696365626f756e64" + "00" + "00" + "02" + "016b" + "0176" + "0165" + "00" + "6869"},
		{"feedback", encodeFeedback(&someEnd, 7), "0103" + "8681dcb5b9b592ef08" + "07" + "0164" + "016d" + "026d31"},
		{"notice", someNotice.encode(), "0102" + "80d095ffbc31" + "80adf180bd31" + "5b5d"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// A record of a version to come is not taken for a damaged one.
func TestRecordsOfANewerVersion(t *testing.T) {
	for name, err := range map[string]error{
		"queue":    second(decodeQueue([]byte{queueVersion + 1})),
		"message":  second(decodeMessage([]byte{messageVersion + 1})),
		"feedback": second(decodeFeedback([]byte{feedbackVersion + 1})),
		"notice":   second(decodeNotice([]byte{noticeVersion + 1})),
	} {
		if !errors.Is(err, store.ErrFormat) {
			t.Errorf("%s: %v, want store.ErrFormat", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzQueue(f *testing.F) {
	f.Add(someQueue.encode())
	f.Add([]byte{1, 7, 0, 1, 1, 1, 1, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decodeQueue(b)
		if err != nil {
			return
		}
		if len(q.entries) == 0 || len(q.entries) > iot.MaxPendingMessages {
			t.Fatalf("%d messages", len(q.entries))
		}
		again, err := decodeQueue(q.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q, again, cmp.AllowUnexported(queue{}, entry{})); diff != "" {
			t.Fatal(diff)
		}
		for _, e := range q.entries { // whatever was stored can be gone on with
			if i := q.find(e.sequence); q.entries[i].sequence != e.sequence {
				t.Fatalf("found %d at %d", e.sequence, i)
			}
		}
		c := q.clone()
		if e := c.add(entry{sequence: ^uint64(0)}); e.number == 0 {
			t.Fatal("number 0")
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add(encodeMessage(&someMessage))
	f.Add(encodeMessage(&iot.CloudMessage{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		if len(m.Application) > iot.MaxCloudProperties {
			t.Fatalf("%d properties", len(m.Application))
		}
		again, err := decodeMessage(encodeMessage(&m))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzFeedback(f *testing.F) {
	f.Add(encodeFeedback(&someEnd, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeFeedback(b)
		if err != nil {
			return
		}
		if r.StatusCode == "" || r.Description != string(r.StatusCode) {
			t.Fatalf("status %q, description %q", r.StatusCode, r.Description)
		}
	})
}

func FuzzNotice(f *testing.F) {
	f.Add(someNotice.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNotice(b)
		if err != nil {
			return
		}
		again, err := decodeNotice(n.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(n, again, cmp.AllowUnexported(notice{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestKeysRoundTrip(t *testing.T) {
	for _, id := range []iot.Identity{dev1, mod1, {Device: "a:b$'"}} {
		got, ok := identityOf(queueKey(id))
		if got != id || !ok {
			t.Errorf("%v reads as %v, %t", id, got, ok)
		}
	}
	if kind, sequence, ok := noticeOf(noticeKey("feedback", 1<<63)); kind != "feedback" || sequence != 1<<63 || !ok {
		t.Errorf("a notice reads as %s %d %t", kind, sequence, ok)
	}
	index := dueKey(99, queueKey(mod1))
	if at, ok := dueOf(index); at != 99 || !ok {
		t.Errorf("%s is due at %d, %t", index, at, ok)
	}
	if dueBehind(99) <= index || dueBehind(99) >= dueKey(100, "") {
		t.Errorf("dueBehind(99) is %s", dueBehind(99))
	}
	for _, key := range []string{"", "c2d/m/x", "c2d/n/", "c2d/n/feedback/xyz", "c2d/q/nothing"} {
		_, isQueue := identityOf(key)
		_, _, isNotice := noticeOf(key)
		_, isDue := dueOf(key)
		if isQueue || isNotice || isDue {
			t.Errorf("%q reads as a key", key)
		}
	}
}
