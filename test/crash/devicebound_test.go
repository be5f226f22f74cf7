package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/test/rig"
)

// TestKillBetweenLockAndSettlement kills the hub while a device holds messages: those it
// had completed do not come again, and those it had not come in order.
func TestKillBetweenLockAndSettlement(t *testing.T) {
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	next := 0
	var left []string
	for round := range 5 {
		for range 6 {
			body := strconv.Itoa(next)
			next++
			h.SendTo(d, body)
			left = append(left, body)
		}
		l := h.Listen(t, d)
		held := make([]rig.Message, len(left))
		for i, want := range left {
			if held[i] = l.Receive(); held[i].Body != want {
				t.Fatalf("round %d: received %q as number %d, want %q", round, held[i].Body, i, want)
			}
		}
		var kept []string
		for i, m := range held {
			if i%2 == round%2 {
				l.Acknowledge(m)
			} else {
				kept = append(kept, m.Body)
			}
		}
		left = kept
		rig.Until(t, "what was acknowledged is completed", func() bool { return h.Pending(d) == len(left) })
		h.Kill()
		h.Start()
		if got := h.Pending(d); got != len(left) {
			t.Fatalf("round %d: %d messages are pending after the kill, want %d", round, got, len(left))
		}
	}
}

// inbox is one device that is sent messages: what was sent, and what it received.
type inbox struct {
	id    rig.Identity
	sent  []int // messages that the hub took, in order
	tried int
	seen  map[int]int
	first []int // in the order of their first delivery
}

// TestKillUnderMessages kills the hub again and again while messages are sent, received
// and completed. Every message that the hub took is received, in order, and what was
// received twice was not known to be completed.
func TestKillUnderMessages(t *testing.T) {
	h := rig.Start(t, rig.Options{})
	const receivers = 8
	boxes := make([]*inbox, receivers)
	for i := range boxes {
		boxes[i] = &inbox{id: h.AddDevice(fmt.Sprintf("dev%d", i)), seen: map[int]int{}}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	owner := h.OwnerToken()
	for range max(storetest.Rounds(t, usually)/4, 1) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, b := range boxes {
			l := h.Listen(t, b.id)
			wg.Go(func() { b.receive(l) })
			wg.Go(func() { b.send(ctx, h, owner) })
		}
		timer := time.NewTimer(100*time.Millisecond + time.Duration(random.IntN(400))*time.Millisecond)
		<-timer.C
		h.Kill()
		cancel()
		wg.Wait()
		h.Start()
	}
	taken, again := 0, 0
	for _, b := range boxes {
		l := h.Listen(t, b.id)
		rig.Until(t, "all that is left is received and completed", func() bool {
			for {
				m, ok := l.TryReceive(50 * time.Millisecond)
				if !ok {
					break
				}
				b.note(t, m)
				l.Acknowledge(m)
			}
			return h.Pending(b.id) == 0
		})
		b.check(t)
		taken += len(b.sent)
		for _, n := range b.seen {
			again += n - 1
		}
	}
	t.Logf("%d messages taken, %d received again", taken, again)
	if taken < receivers {
		t.Errorf("only %d messages were taken: that was no load", taken)
	}
}

// send sends messages until the hub is gone. A message whose answer did not come may be
// there or not.
func (b *inbox) send(ctx context.Context, h *rig.Hub, owner string) {
	for ctx.Err() == nil {
		n := b.tried
		b.tried++
		res, err := h.TryRequest(ctx, owner, http.MethodPost, b.id.Path()+"/messages/deviceBound", strconv.Itoa(n))
		if err == nil && res.Status == http.StatusNoContent {
			b.sent = append(b.sent, n)
		}
	}
}

// receive takes messages and acknowledges two of three, until the hub is gone.
func (b *inbox) receive(l *rig.Link) {
	for {
		p, err := l.TryRead(rig.Within)
		if err != nil {
			return
		}
		if p.Type != rig.Publish {
			continue
		}
		m := rig.ParseMessage(p)
		n, err := strconv.Atoi(m.Body)
		if err != nil {
			continue
		}
		b.seen[n]++
		if b.seen[n] == 1 {
			b.first = append(b.first, n)
		}
		if n%3 != 0 || b.seen[n] > 1 {
			if l.TrySend(rig.AckBytes(m.ID)) != nil {
				return
			}
		}
	}
}

func (b *inbox) note(tb testing.TB, m rig.Message) {
	tb.Helper()
	n, err := strconv.Atoi(m.Body)
	if err != nil {
		tb.Fatalf("%s received %q", b.id.DeviceID, m.Body)
	}
	b.seen[n]++
	if b.seen[n] == 1 {
		b.first = append(b.first, n)
	}
}

// check says what was broken.
func (b *inbox) check(tb testing.TB) {
	tb.Helper()
	for _, n := range b.sent {
		if b.seen[n] == 0 {
			tb.Errorf("%s: message %d was taken and never received", b.id.DeviceID, n)
		}
	}
	last := -1
	for _, n := range b.first {
		if n <= last || n >= b.tried {
			tb.Errorf("%s: received %v for the first time, which is not the order in which they were sent", b.id.DeviceID, b.first)
			return
		}
		last = n
	}
}
