package presence

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// wall is a wall clock that can be set.
type wall struct{ ahead atomic.Int64 }

func (w *wall) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())).Round(0) }

func TestTokenExpiry(t *testing.T) {
	const life, grace = 10 * time.Minute, 2 * time.Minute
	tests := []struct {
		name string
		step time.Duration // of the wall clock, at half the life of the token
		want time.Duration // after connecting
	}{
		{"the token ends and then the grace", 0, life + grace},
		{"a wall clock that steps back, and then ahead again, extends neither", -3 * time.Hour, life + grace},
		{"a wall clock that steps ahead brings the end of the token nearer", 3 * time.Minute, life - 3*time.Minute + grace},
		{"a wall clock that steps beyond the token begins the grace", 5 * time.Hour, life/2 + grace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var clock wall
				r := newRig(t, func(c *Config) { c.Now, c.Grace = clock.now, grace })
				f := newFake(dev("d"), device.MQTT)
				f.party.Proof.Expires = clock.now().Add(life)
				start := time.Now()
				r.claim(t, f)
				time.Sleep(life / 2)
				clock.ahead.Store(int64(test.step))
				if test.step < 0 {
					time.Sleep(life / 4)
					clock.ahead.Add(int64(time.Hour))
				}
				<-f.fenced
				if got := time.Since(start); got < test.want || got > test.want+2*sweepEvery {
					t.Errorf("fenced after %v, want %v", got, test.want)
				}
				if e := f.ended.Load(); e.Code != fault.IotHubUnauthorized || e.By != nil {
					t.Errorf("ended with %+v", e)
				}
				synctest.Wait()
				r.ear.check(t, 0)
				if n := r.places(); n != 0 {
					t.Errorf("%d things are kept", n)
				}
				r.stopForTest()
			})
		})
	}
}

// TestStepBackDuringGrace: the grace is a duration.
func TestStepBackDuringGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock wall
		r := newRig(t, func(c *Config) { c.Now = clock.now })
		f := newFake(dev("d"), device.MQTT)
		f.party.Proof.Expires = clock.now().Add(time.Minute)
		start := time.Now()
		r.claim(t, f)
		time.Sleep(2 * time.Minute)
		clock.ahead.Store(int64(-time.Hour))
		time.Sleep(time.Minute)
		clock.ahead.Store(int64(time.Hour))
		<-f.fenced
		if got, want := time.Since(start), time.Minute+DefaultGrace; got < want || got > want+2*sweepEvery {
			t.Errorf("fenced after %v, want %v", got, want)
		}
		r.stopForTest()
	})
}

func TestRenewedSessionOutlivesTheOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 5 { // a client that renews its token in time
			f := newFake(dev("d"), device.MQTT)
			f.party.Proof.Expires = time.Now().Add(5 * time.Minute)
			r.claim(t, f)
			time.Sleep(4 * time.Minute)
			if f.code() != -1 {
				t.Fatalf("ended with %v before its token did", f.code())
			}
		}
		x509 := r.connect(t, dev("x"), device.MQTT) // no expiry
		time.Sleep(time.Hour)
		if x509.code() != -1 {
			t.Errorf("a session without a token ended with %v", x509.code())
		}
		if n := r.places(); n != 1 {
			t.Errorf("%d things are kept, want one place", n)
		}
		r.stopForTest()
	})
}

func TestTakeoversLeaveNoDeadlines(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		f := newFake(dev([]string{"a", "b"}[i%2]), device.MQTT)
		f.party.Proof.Expires = time.Now().Add(time.Duration(i*37%100+1) * time.Hour)
		r.claim(t, f)
	}
	if n := r.places(); n != 4 {
		t.Errorf("%d things are kept, want two places and two deadlines", n)
	}
}
