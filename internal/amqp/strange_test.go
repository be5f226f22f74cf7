package amqp

import (
	"testing"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/hubtest"
)

// Sessions and links of peers without a token cost more than the bytes that ask for them:
// together they are bounded. Who has no more than a client needs is never the one too many.
func TestStrangersHaveSoManySessionsTogether(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	const others, left = maxStrange - 10, 10
	const strangers = 32 // sessions that one of them may have
	w.server.strange.Store(others)
	p := w.dial(nil) // with a session
	sessions := 1
	var err error
	for ; sessions < strangers; sessions++ {
		if _, err = p.NewSession(t.Context(), nil); err != nil {
			break
		}
	}
	// The client may see the answer to the one too many, before it sees the close.
	if over := sessions - firstFew - left; over != 0 && over != 1 || condition(err) != amqpwire.CondResourceLimitExceeded {
		t.Fatalf("after %d sessions: %v, want %s after %d", sessions, err, amqpwire.CondResourceLimitExceeded, firstFew+left)
	}
	<-p.Done()
	w.server.strange.Add(left)

	honest := w.as(tokenFor("", "service"))
	for range 2 * firstFew {
		if _, err := honest.NewSession(t.Context(), nil); err != nil {
			t.Fatalf("with a token: %v", err)
		}
	}
	gone := w.dial(nil)
	for range firstFew {
		if _, err := gone.NewSession(t.Context(), nil); err != nil {
			break
		}
	}
	_ = gone.Close()
	w.until("who is gone is counted no more", func() bool { return w.server.strange.Load() == others+left })
}
