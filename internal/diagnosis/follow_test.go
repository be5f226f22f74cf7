package diagnosis

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

var errEnough = errors.New("enough")

func TestConnectionsAreFollowedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storetest.New()
		last := ""
		for range 2 { // the second run's numbers are greater
			r := newRig(t, engine)
			r.holder = map[iot.Identity]device.Party{}
			got := make(chan []iot.ConnectionEvent)
			go func() {
				var l []iot.ConnectionEvent
				err := r.FollowConnections(t.Context(), iot.ConnectionQuery{Device: "dev1"}, func(e iot.ConnectionEvent) error {
					if l = append(l, e); len(l) == 5 {
						return errEnough
					}
					return nil
				})
				if !errors.Is(err, errEnough) {
					t.Errorf("follow: %v", err)
				}
				got <- l
			}()
			synctest.Wait()
			r.connect(iot.Identity{Device: "dev2"}, node(1, home))
			r.duel(dev1, 3, time.Second)
			l := <-got
			var kinds []string
			for _, e := range l {
				kinds = append(kinds, e.Event)
				if len(e.SequenceNumber) != 64 || e.SequenceNumber <= last {
					t.Errorf("sequence number %s after %s", e.SequenceNumber, last)
				}
				last = e.SequenceNumber
				if (e.By != nil) != (e.Code == 400027) || e.Peer == nil {
					t.Errorf("got %+v", e)
				}
			}
			want := []string{iot.DeviceConnected, iot.DeviceDisconnected, iot.DeviceConnected, iot.DeviceDisconnected, iot.DeviceConnected}
			if diff := cmp.Diff(want, kinds); diff != "" {
				t.Error(diff)
			}
			r.close()
			engine = engine.Restart()
		}
	})
}

func TestSlowFollowerIsToldWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		const n = maxFollow + 1000
		gate, counted := make(chan struct{}), make(chan [2]uint64)
		go func() {
			var given, lost uint64
			err := r.FollowConnections(t.Context(), iot.ConnectionQuery{}, func(e iot.ConnectionEvent) error {
				<-gate
				if e.Lost > 0 {
					lost += e.Lost
				} else {
					given++
				}
				if given+lost == n {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				t.Errorf("follow: %v", err)
			}
			counted <- [2]uint64{given, lost}
		}()
		synctest.Wait()
		for i := range n {
			r.Connected(device.Party{Identity: dev1, Opened: time.Now()})
			if i == 0 {
				synctest.Wait() // the follower has the first one in hand, and nothing else
			}
		}
		synctest.Wait()
		close(gate)
		if c := <-counted; c != [2]uint64{1 + maxFollow, n - 1 - maxFollow} {
			t.Errorf("given %d, lost %d", c[0], c[1])
		}
	})
}

func TestConflictsAreFollowedAsTheirVerdictsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		var got []iot.Verdict
		ended := make(chan error)
		go func() {
			ended <- r.FollowConflicts(t.Context(), iot.ConflictQuery{}, func(s iot.ConflictSummary) error {
				got = append(got, s.Verdict)
				return nil
			})
		}()
		synctest.Wait()
		r.duel(dev1, 20, 500*time.Millisecond)
		r.close()
		if err := <-ended; err != nil {
			t.Errorf("follow: %v", err)
		}
		if len(got) < 2 || len(got) > 14 || got[0] != iot.VerdictUndecided || got[len(got)-1] != iot.VerdictTwoClients {
			t.Errorf("got %v", got)
		}
	})
}
