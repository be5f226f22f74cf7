package c2d

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// late is how long after its time an expiry may be carried out.
const late = 2 * expireEvery

func TestMessagesExpire(t *testing.T) {
	bubble(t, func(c *Config) { c.DefaultTTL = 10 * time.Minute }, func(t *testing.T, r *rig) {
		r.send(dev1, "default")
		soon := message("soon", iot.AckFull)
		soon.Expiry = time.Now().Add(time.Minute)
		if err := r.Send(context.Background(), dev2, soon); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute - time.Millisecond)
		want(t, "not yet", r.pending(dev2), 1)
		sleep(late)
		want(t, "expired", r.pending(dev2), 0)
		want(t, "told", r.seen.all(), "sent, sent, Expired soon")
		sleep(9*time.Minute + late)
		want(t, "told", r.seen.all(), "sent, sent, Expired soon, gathered 1, Expired default")
		sleep(time.Second)
		want(t, "keys", len(r.keys(queueKeys))+len(r.keys(messageKeys)), 0)
	})
}

// A message whose time is over when it comes is taken, reaches nobody, and expires.
func TestExpiredOnArrival(t *testing.T) {
	for name, expiry := range map[string]time.Duration{"now": 0, "a minute ago": -time.Minute, "ten years ago": -87_600 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				sleep(time.Second) // what an earlier run left has been gathered by then
				e := r.listen(dev1)
				m := message("late", iot.AckNegative)
				m.Expiry = time.Now().Add(expiry)
				if err := r.Send(context.Background(), dev1, m); err != nil {
					t.Fatal(err)
				}
				want(t, "taken", len(e.take(1)), 0)
				sleep(late)
				want(t, "taken later", len(e.take(1)), 0)
				want(t, "told", r.seen.all(), "sent, Expired late")
				sleep(time.Second)
				want(t, "told", r.seen.all(), "sent, Expired late, gathered 1")
				want(t, "keys", len(r.keys(queueKeys))+len(r.keys(messageKeys)), 0)
				e.Close()
			})
		})
	}
}

// A message that a device holds does not expire under its hands; once the lock ends, it
// does.
func TestLockedMessageDoesNotExpire(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(e *ear, ms []*iot.LockedMessage)
		want string
	}{
		{"completed", func(e *ear, ms []*iot.LockedMessage) { e.settle(ms[0], device.Complete) }, "Success a"},
		{"abandoned", func(e *ear, ms []*iot.LockedMessage) { e.settle(ms[0], device.Abandon) }, "abandoned, Expired a"},
		{"lapsed", func(*ear, []*iot.LockedMessage) { sleep(iot.MessageLock) }, "Expired a"},
		{"closed", func(e *ear, _ []*iot.LockedMessage) { e.Close(); synctest.Wait() }, "Expired a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(c *Config) { c.DefaultTTL = time.Minute; c.FeedbackBatch = time.Hour }, func(t *testing.T, r *rig) {
				r.send(dev1, "a")
				sleep(30 * time.Second)
				e := r.listen(dev1)
				got := e.take(1)
				sleep(50 * time.Second)
				want(t, "held", r.seen.all(), "sent")
				c.then(e, got)
				want(t, "told", r.seen.all(), "sent, "+c.want)
				e.Close()
			})
		})
	}
}

// A second delivery that is marked already leaves no write behind when its holder goes;
// what expired meanwhile is found all the same.
func TestExpiredMessageOfSecondHolder(t *testing.T) {
	bubble(t, func(c *Config) { c.DefaultTTL = time.Minute }, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		e := r.listen(dev1)
		e.take(1)
		e.Close()
		sleep(30 * time.Second)
		e = r.listen(dev1)
		e.take(1)
		sleep(40 * time.Second)
		want(t, "held", r.seen.all(), "sent")
		e.Close()
		synctest.Wait()
		want(t, "told", r.seen.all(), "sent, Expired a")
	})
}

func TestExpiryIsFoundAfterARestart(t *testing.T) {
	bubble(t, func(c *Config) { c.DefaultTTL = time.Minute }, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		r.send(dev2, "b")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		next := openRig(t, r.engine.Restart(), r.dir, nil)
		sleep(late)
		// In either order, and made a feedback message of at once or later: what the last run
		// left is gathered at the start, which may come after this.
		for _, m := range []string{"Expired a", "Expired b"} {
			want(t, m, strings.Count(next.seen.all(), m), 1)
		}
		want(t, "close", next.Close(), error(nil))
	})
}

// Beyond one page, and with others that live: all that expire at one moment go, and no
// other.
func TestManyExpireAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newDirectory()
		const n = 3 * expirePage
		for i := range n {
			dir.set(iot.Identity{Device: fmt.Sprint(i)}, 7)
		}
		r := openRig(t, storetest.New(), dir, nil)
		end := time.Now().Add(time.Hour)
		for i := range n {
			m := message("m", iot.AckNone)
			m.Expiry = end
			if i%3 == 0 {
				m.Expiry = end.Add(time.Hour)
			}
			if err := r.Send(context.Background(), iot.Identity{Device: fmt.Sprint(i)}, m); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		sleep(5 * late)
		want(t, "left", len(r.keys(queueKeys)), n/3)
		time.Sleep(time.Hour)
		sleep(5 * late)
		want(t, "left", len(r.keys(queueKeys)), 0)
		want(t, "in memory", r.places(), 0)
		want(t, "close", r.Close(), error(nil))
	})
}

func TestExpiryIsTriedAgain(t *testing.T) {
	bubble(t, func(c *Config) { c.DefaultTTL = time.Minute }, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				return store.ErrFull
			}
			return nil
		})
		sleep(5 * time.Minute)
		want(t, "not told yet", r.seen.all(), "sent")
		r.engine.Fail(nil)
		sleep(retryEvery + late)
		want(t, "told", r.seen.all(), "sent, Expired a")
	})
}

// A wall clock that steps back makes no message live longer, and one that jumps ahead
// ends those whose time has come by it.
func TestClockSteps(t *testing.T) {
	var step atomic.Int64 // of the wall clock
	wall := func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Now = wall; c.FeedbackBatch = time.Hour })
		r.send(dev1, "a")
		sleep(30 * time.Minute)
		step.Store(int64(-12 * time.Hour))
		sleep(30*time.Minute + late)
		want(t, "told", r.seen.all(), "sent, Expired a")

		b := message("b", iot.AckFull) // an expiry in the terms of the clock as it is now
		b.Expiry = wall().Add(time.Minute)
		want(t, "send", r.Send(context.Background(), dev1, b), error(nil))
		sleep(time.Minute - time.Second)
		want(t, "not yet", r.pending(dev1), 1)
		sleep(time.Second + late)
		want(t, "told", r.seen.all(), "sent, Expired a, sent, Expired b")

		r.send(dev1, "c")
		step.Store(int64(12 * time.Hour))
		sleep(maxPause + late)
		want(t, "told", r.seen.all(), "sent, Expired a, sent, Expired b, sent, Expired c")
		want(t, "close", r.Close(), error(nil))
	})
}
