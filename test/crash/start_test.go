package crash

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/test/rig"
)

// stumbles is how often a start is killed before one may succeed.
const stumbles = 4

// box is a device whose messages outlive the hub: what it was sent and has not completed.
type box struct {
	id    rig.Identity
	left  []string
	sent  int
	ended int
}

// busy sends the box messages, completes some of them over a kept session, and leaves the
// hub with others locked.
func (b *box) busy(t *testing.T, h *rig.Hub, random *rand.Rand) {
	t.Helper()
	for range 3 + random.IntN(4) {
		body := strconv.Itoa(b.sent)
		h.SendTo(b.id, body, "iothub-messageid", body, "iothub-ack", "positive")
		b.sent++
		b.left = append(b.left, body)
	}
	l := h.Dial(t)
	if !l.Enter(b.id.Hello()) {
		l.Subscribe(1, b.id.DeviceboundTopic())
	}
	var kept []string
	for i, want := range b.left {
		m := l.Receive()
		if m.Body != want {
			t.Fatalf("received %q as number %d, want %q of %v", m.Body, i, want, b.left)
		}
		if random.IntN(2) == 0 || len(b.left)-i > 20 {
			l.Acknowledge(m)
			b.ended++
		} else {
			kept = append(kept, want)
		}
	}
	b.left = kept
	rig.Until(t, "what was acknowledged is completed", func() bool { return h.Pending(b.id) == len(b.left) })
}

// intact checks what a hub that has started knows of the box, and that its session is kept.
func (b *box) intact(t *testing.T, h *rig.Hub) {
	t.Helper()
	if got := h.Pending(b.id); got != len(b.left) {
		t.Fatalf("%d messages are pending, want %d", got, len(b.left))
	}
	l := h.Dial(t)
	if !l.Enter(b.id.Hello()) {
		t.Fatal("the session is gone")
	}
	var got []string
	for range b.left {
		got = append(got, l.Receive().Body)
	}
	if !slices.Equal(got, b.left) {
		t.Fatalf("received %v, want %v", got, b.left)
	}
	l.Conn.Close()
}

// hears completes one feedback message of those that wait, and notes what it tells. What is
// told twice is a failure.
func hears(t *testing.T, r *amqp.Receiver, told map[string]int) {
	t.Helper()
	m, records := take(t, r, rig.Within)
	if m == nil {
		t.Fatal("no feedback came")
	}
	if err := r.AcceptMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if told[record.OriginalMessageID]++; told[record.OriginalMessageID] > 1 {
			t.Errorf("the end of message %s is told again", record.OriginalMessageID)
		}
	}
}

// TestKillWhileStarting kills the hub again and again while it starts, at random moments
// between the first instant and readiness, with write-ahead logs to replay, retention to
// resume, messages that were locked, feedback that waits and sessions to come back to. When
// a start succeeds at last, nothing is lost and nothing comes again.
func TestKillWhileStarting(t *testing.T) {
	h := rig.Start(t, rig.Options{Config: scarce})
	all, parts := heavy(h), histories()
	b := &box{id: h.AddDevice("box")}
	told := map[string]int{}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var longest time.Duration
	for round := range storetest.Rounds(t, 5) {
		added := h.AddDevice(fmt.Sprintf("of-round-%d", round))
		b.busy(t, h, random)
		load(t, h, all, time.Duration(50+random.IntN(150))*time.Millisecond)
		for range stumbles {
			// Until the first start was seen whole nobody knows how long one takes.
			h.Stumble(time.Duration(random.Int64N(int64(max(longest, 200*time.Millisecond)))))
		}
		begun := time.Now()
		h.Start()
		longest = max(longest, time.Since(begun))
		recount(t, h, all, parts)
		b.intact(t, h)
		if got := h.Get(added); got.ETag != added.ETag || got.GenerationID != added.GenerationID {
			t.Fatalf("the device is %+v, it was %+v", got, added)
		}
		if b.ended > len(told) {
			hears(t, feedbackFrom(t, h), told)
		}
	}
	r := feedbackFrom(t, h)
	for len(told) < b.ended {
		hears(t, r, told)
	}
	t.Logf("%d messages completed; the longest start took %v", b.ended, longest)
}
