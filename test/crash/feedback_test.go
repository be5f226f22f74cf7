package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/test/rig"
)

// feedbackFrom attaches a back-end to the feedback of messages.
func feedbackFrom(t *testing.T, h *rig.Hub) *amqp.Receiver {
	t.Helper()
	s := overAMQP(t, h, "iothubowner@sas.root.hub", h.OwnerToken())
	ctx, cancel := context.WithTimeout(t.Context(), rig.Within)
	defer cancel()
	// in this mode AcceptMessage waits until the hub has settled
	r, err := s.NewReceiver(ctx, "/messages/servicebound/feedback", &amqp.ReceiverOptions{SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// take waits for the next feedback message, nil if none comes within the time given, and
// gives its records.
func take(t *testing.T, r *amqp.Receiver, within time.Duration) (*amqp.Message, []iot.FeedbackRecord) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	m, err := r.Receive(ctx, nil)
	if ctx.Err() != nil {
		return nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var records []iot.FeedbackRecord
	if err := json.Unmarshal(m.GetData(), &records); err != nil {
		t.Fatalf("feedback %q: %v", m.GetData(), err)
	}
	return m, records
}

// TestKillBetweenOutcomeAndFeedback kills the hub when messages are completed, and again
// while a back-end holds their feedback: each outcome is told in one record of one
// feedback message, which comes until it is completed, and then no more.
func TestKillBetweenOutcomeAndFeedback(t *testing.T) {
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	told := map[string]int{}
	sent := 0
	for range 4 {
		for range 6 {
			h.SendTo(d, "x", "iothub-messageid", fmt.Sprint(sent), "iothub-ack", "full")
			sent++
		}
		l := h.Listen(t, d)
		for range 6 {
			l.Acknowledge(l.Receive())
		}
		rig.Until(t, "all messages are completed", func() bool { return h.Pending(d) == 0 })
		h.Kill()
		h.Start()
		if m, _ := take(t, feedbackFrom(t, h), rig.Within); m == nil { // held, and not completed
			t.Fatal("no feedback came after the kill")
		}
		h.Kill()
		h.Start()
		r := feedbackFrom(t, h)
		for len(told) < sent {
			m, records := take(t, r, rig.Within)
			if m == nil {
				t.Fatalf("%d of %d outcomes are told", len(told), sent)
			}
			for _, record := range records {
				told[record.OriginalMessageID]++
				if record.StatusCode != iot.FeedbackSuccess || record.DeviceID != d.DeviceID {
					t.Errorf("got %+v", record)
				}
			}
			if err := r.AcceptMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		h.Kill()
		h.Start()
	}
	if m, records := take(t, feedbackFrom(t, h), 2*time.Second); m != nil {
		t.Errorf("told once more: %+v", records)
	}
	for id, n := range told {
		if n != 1 {
			t.Errorf("the outcome of message %s is told %d times", id, n)
		}
	}
}
