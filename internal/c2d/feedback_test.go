package c2d

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestFeedbackAsDemanded(t *testing.T) {
	demands := []iot.AckMode{iot.AckUnset, iot.AckNone, iot.AckPositive, iot.AckNegative, iot.AckFull}
	for _, c := range []struct {
		status iot.FeedbackStatus
		end    func(t *testing.T, r *rig, e *ear, ms []*iot.LockedMessage)
		want   string // the messages of which feedback comes
	}{
		{iot.FeedbackSuccess, func(t *testing.T, _ *rig, e *ear, ms []*iot.LockedMessage) {
			t.Helper()
			for _, m := range ms {
				want(t, "complete", e.settle(m, device.Complete), error(nil))
			}
		}, "positive full"},
		{iot.FeedbackRejected, func(t *testing.T, _ *rig, e *ear, ms []*iot.LockedMessage) {
			t.Helper()
			for _, m := range ms {
				want(t, "reject", e.settle(m, device.Reject), error(nil))
			}
		}, "negative full"},
		{iot.FeedbackDeliveryCountExceeded, func(t *testing.T, _ *rig, e *ear, ms []*iot.LockedMessage) {
			t.Helper()
			for _, m := range ms {
				want(t, "abandon", e.settle(m, device.Abandon), error(nil))
			}
		}, "negative full"},
		{iot.FeedbackExpired, func(_ *testing.T, _ *rig, e *ear, _ []*iot.LockedMessage) { e.Close(); sleep(time.Hour) }, "negative full"},
		{iot.FeedbackPurged, func(t *testing.T, r *rig, _ *ear, _ []*iot.LockedMessage) {
			t.Helper()
			n, err := r.Purge(context.Background(), dev1)
			want(t, "purge", fmt.Sprint(n, err), "5 <nil>")
		}, "negative full"},
	} {
		t.Run(string(c.status), func(t *testing.T) {
			bubble(t, func(c *Config) { c.MaxDeliveries = 1 }, func(t *testing.T, r *rig) {
				for _, ack := range demands {
					if err := r.Send(context.Background(), dev1, message(ack.String(), ack)); err != nil {
						t.Fatal(err)
					}
				}
				e, d := r.listen(dev1), r.desk()
				c.end(t, r, e, e.take(len(demands)))
				ended := time.Now()
				sleep(defaultFeedbackBatch)
				got := d.take(2)
				if len(got) != 1 {
					t.Fatalf("%d feedback messages, want 1", len(got))
				}
				var ids []string
				for _, rec := range records(t, got[0]) {
					ids = append(ids, rec.OriginalMessageID)
					want(t, "status", rec.StatusCode, c.status)
					want(t, "description", rec.Description, string(c.status))
					want(t, "device", rec.DeviceID+rec.DeviceGenerationID, "dev17")
					if age := ended.Sub(rec.EnqueuedTimeUTC.Time); age < 0 || age > late {
						t.Errorf("ended %v before it was noticed", age)
					}
				}
				want(t, "records", strings.Join(ids, " "), c.want)
				e.Close()
				d.Close()
			})
		})
	}
}

// The form on the wire, member by member (amqp 5).
func TestFeedbackForm(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		r.send(mod1, "b")
		e, f := r.listen(dev1), r.listen(mod1)
		e.settle(e.take(1)[0], device.Complete)
		f.settle(f.take(1)[0], device.Complete)
		d := r.desk()
		sleep(defaultFeedbackBatch)
		m := d.take(1)[0]
		const at = "2000-01-01T00:00:00Z" // where the clock of a bubble begins
		want(t, "body", string(m.Body), `[{"originalMessageId":"a","description":"Success","deviceGenerationId":"7",`+
			`"deviceId":"dev1","enqueuedTimeUtc":"`+at+`","statusCode":"Success"},`+
			`{"originalMessageId":"b","description":"Success","deviceGenerationId":"7",`+
			`"deviceId":"dev1","moduleId":"m","enqueuedTimeUtc":"`+at+`","statusCode":"Success"}]`)
		want(t, "content type", m.ContentType, "application/vnd.microsoft.iothub.feedback.json")
		want(t, "user id", m.UserID, "hub")
		want(t, "enqueued", m.Enqueued, time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC))
		e.Close()
		f.Close()
		d.Close()
	})
}

// end makes n messages end, with feedback.
func (r *rig) end(n int) {
	e := r.listen(dev1)
	for i := range n {
		r.send(dev1, fmt.Sprint(i))
		e.Settle(uint64(1_000_000+i), e.take(1)[0].Lock, device.Complete)
	}
	synctest.Wait()
	e.Close()
}

func TestFeedbackIsGathered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.desk()
		d.Take(make([]device.Delivery, 1), device.Room{Messages: 10, Bytes: 1})
		r.end(2*iot.MaxFeedbackRecords + 5)
		want(t, "full messages at once", len(r.keys(noticeKeys)), 2)
		want(t, "the rest waits", len(r.keys(feedbackKeys)), 5)
		sleep(defaultFeedbackBatch)
		want(t, "woken", d.woken() > 0, true)
		got := d.take(5)
		var sizes []int
		var ids []string
		for _, m := range got {
			list := records(t, m)
			sizes = append(sizes, len(list))
			for _, rec := range list {
				ids = append(ids, rec.OriginalMessageID)
			}
		}
		want(t, "messages", fmt.Sprint(sizes), "[64 64 5]")
		var all []string
		for i := range 133 {
			all = append(all, fmt.Sprint(i))
		}
		if diff := cmp.Diff(all, ids); diff != "" {
			t.Error(diff)
		}
		for _, m := range got {
			want(t, "complete", d.settle(m, device.Complete), error(nil))
		}
		want(t, "keys", len(r.keys("c2d/")), 0)
		d.Close()
	})
}

func TestFeedbackOfTheLastRunIsGathered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.end(70)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		next := openRig(t, r.engine.Restart(), r.dir, nil)
		d := next.desk()
		synctest.Wait()
		n := 0
		for _, m := range d.take(4) {
			n += len(records(t, m))
		}
		want(t, "records", n, 70)
		d.Close()
		want(t, "close", next.Close(), error(nil))
	})
}

func TestReceiversCompete(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.end(4 * iot.MaxFeedbackRecords)
		a, b := r.desk(), r.desk()
		first, second := a.take(2), b.take(5)
		want(t, "a", len(first), 2)
		want(t, "b", len(second), 2)
		seen := map[uint64]bool{}
		for _, m := range append(first, second...) {
			want(t, "twice", seen[m.Sequence], false)
			seen[m.Sequence] = true
		}
		wantCode(t, "another's", b.settle(first[0], device.Complete), fault.DeviceMessageLockLost)
		a.Close()
		synctest.Wait()
		again := b.take(5)
		want(t, "released in order", again[0].Sequence < again[1].Sequence, true)
		want(t, "released", len(again), 2)
		b.Close()
	})
}

func TestFeedbackLockAndDeliveries(t *testing.T) {
	bubble(t, func(c *Config) { c.FeedbackMax = 3 }, func(t *testing.T, r *rig) {
		r.end(1)
		d := r.desk()
		sleep(time.Second)
		m := d.take(1)[0]
		sleep(defaultFeedbackLock)
		wantCode(t, "late", d.settle(m, device.Complete), fault.DeviceMessageLockLost)
		for i := range 3 {
			m = d.take(1)[0]
			want(t, "count", int(m.DeliveryCount), i)
			want(t, "abandon", d.settle(m, device.Abandon), error(nil))
		}
		want(t, "given up", len(d.take(1)), 0)
		want(t, "keys", len(r.keys("c2d/")), 0)
		n, err := r.engine.Records().Counter(context.Background(), r.feedback.counter())
		want(t, "counter", fmt.Sprint(n, err), "0 <nil>")
		d.Close()
	})
}

func TestFeedbackExpires(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.end(2 * iot.MaxFeedbackRecords)
		d := r.desk()
		sleep(defaultFeedbackTTL - time.Minute/2)
		got := d.take(1) // one is held when its time comes
		sleep(time.Minute/2 + late)
		want(t, "left", len(r.keys(noticeKeys)), 1)
		want(t, "nothing else", len(d.take(1)), 0)
		want(t, "what is held can be settled", d.settle(got[0], device.Complete), error(nil))
		want(t, "keys", len(r.keys("c2d/")), 0)
		d.Close()
	})
}

func TestHeldFeedbackExpiresWithItsLock(t *testing.T) {
	for name, let := range map[string]func(d *desk){
		"lapsed": func(*desk) { sleep(defaultFeedbackLock) },
		"closed": func(d *desk) { d.Close(); sleep(late) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				r.end(1)
				d := r.desk()
				sleep(defaultFeedbackTTL - 10*time.Second)
				want(t, "taken", len(d.take(1)), 1)
				sleep(20 * time.Second)
				want(t, "held", len(r.keys(noticeKeys)), 1)
				let(d)
				want(t, "gone", len(r.keys(noticeKeys)), 0)
				d.Close()
			})
		})
	}
}

// A receiver without room holds nothing, also if it once had some.
func TestReceiverWithoutRoomHoldsNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		idle := r.desk()
		room := device.Room{Messages: 4, Bytes: 1 << 20}
		dst := make([]device.Delivery, 8)
		idle.Take(dst, room)
		r.end(2 * iot.MaxFeedbackRecords)
		idle.Take(dst, device.Room{})
		other := r.desk()
		want(t, "the other's", len(other.take(2)), 2)
		idle.Close()
		other.Close()
	})
}

func TestFeedbackWaitsForTheDisk(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.end(3)
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				return store.ErrFull
			}
			return nil
		})
		sleep(10 * time.Second)
		want(t, "waiting", len(r.keys(feedbackKeys)), 3)
		r.engine.Fail(nil)
		sleep(2 * retryEvery)
		want(t, "gathered", len(r.keys(noticeKeys)), 1)
		d := r.desk()
		m := d.take(1)[0]
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				return store.ErrFull
			}
			return nil
		})
		wantCode(t, "settle", d.settle(m, device.Complete), fault.ServiceUnavailable)
		r.engine.Fail(nil)
		want(t, "it is there again", len(d.take(1)), 1)
		d.Close()
	})
}

func TestReceiverLimits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		d := r.desk()
		for range maxResults {
			if err := d.Do(device.Op{What: device.Settle{Outcome: device.Complete}}); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, "settlements", d.Do(device.Op{What: device.Settle{Outcome: device.Complete}}), fault.ThrottleBacklogLimitExceeded)
		wantCode(t, "another operation", d.Do(device.Op{What: device.TwinRead{}}), fault.InvalidOperation)
		d.Close()
		d.Close()
		wantCode(t, "closed", d.Do(device.Op{What: device.Settle{Outcome: device.Complete}}), fault.ServiceUnavailable)
		for range maxReceivers {
			defer r.desk().Close()
		}
		_, err := r.Feedback(func() {})
		wantCode(t, "receivers", err, fault.ThrottlingException)
		files, err := r.FileNotifications(func() {})
		want(t, "files", err, error(nil))
		want(t, "nothing yet", len(files.Take(make([]device.Delivery, 1), device.Room{Messages: 1, Bytes: 1})), 0)
		files.Close()
	})
}

func TestOldestFeedbackGoesWhenThereIsTooMuch(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.end(iot.MaxFeedbackRecords)
		before := r.keys(noticeKeys)
		if _, err := r.engine.Records().Apply(context.Background(), store.Batch{
			Deltas: []store.Delta{{Key: r.feedback.counter(), N: maxNotices}},
		}); err != nil {
			t.Fatal(err)
		}
		r.end(iot.MaxFeedbackRecords)
		after := r.keys(noticeKeys)
		want(t, "messages", len(after), 1)
		want(t, "the oldest is gone", after[0] == before[0], false)
	})
}
