package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/amqpwire"
)

func TestPublishOverAMQPCountsWhatWasAccepted(t *testing.T) {
	for name, k := range map[string]*container{"credit for all": {}, "credit for less than the window": {credit: 3}} {
		r, err := Publish{Devices: 3, Inflight: 8, Size: 100, Messages: 1000, Workers: 2}.Run(t.Context(), k.start(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Done != 3000 || r.Latency.Count != 3000 || r.Failed != 0 || r.Protocol != "AMQP" {
			t.Errorf("%s: got %d done, %d measured, failures %v; want 3000", name, r.Done, r.Latency.Count, r.Failures)
		}
		if diff := cmp.Diff(map[string]int{"t/a": 1000, "t/b": 1000, "t/c": 1000}, k.sent); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPublishOverAMQPEndsWithItsTime(t *testing.T) {
	for _, rate := range []float64{0, 2000} {
		k := &container{}
		r, err := Publish{Devices: 2, Rate: rate, Inflight: 4, Size: 10, Duration: 50 * time.Millisecond, Workers: 2}.Run(t.Context(), k.start(t))
		if err != nil {
			t.Fatal(err)
		}
		k.mu.Lock()
		sent := uint64(k.sent["t/a"] + k.sent["t/b"])
		k.mu.Unlock()
		if r.Failed != 0 || r.Done == 0 || r.Done > sent {
			t.Errorf("rate %g: got %d of %d, failures %v", rate, r.Done, sent, r.Failures)
		}
	}
}

// TestPublishOverAMQPTellsWhatWentWrong: what is not accepted once is a failure, and so is
// silence.
func TestPublishOverAMQPTellsWhatWentWrong(t *testing.T) {
	full := amqpwire.Rejected{Error: &amqpwire.Error{Condition: amqpwire.CondResourceLimitExceeded, Description: "full"}}
	for want, k := range map[string]*container{
		"resource-limit-exceeded: full": {answer: func(uint32) amqpwire.State { return full }},
		"which are not in flight":       {answer: func(uint32) amqpwire.State { return amqpwire.Accepted{} }, twice: true},
		"did not acknowledge":           {silentAt: 10},
	} {
		plan := Publish{Devices: 1, Inflight: 1, Size: 10, Duration: 20 * time.Millisecond, Workers: 1, Drain: 20 * time.Millisecond}
		r, err := plan.Run(t.Context(), k.start(t))
		if err != nil {
			t.Fatal(err)
		}
		if r.Failed != 1 || !strings.Contains(r.Failures[0], want) {
			t.Errorf("got %v, want %q", r.Failures, want)
		}
	}
}

func TestRefusalsOverAMQPAreNamed(t *testing.T) {
	for want, k := range map[string]*container{
		"SASL code 1":                     {refuse: true},
		"amqp:not-found: there is no t/a": {closed: &amqpwire.Error{Condition: amqpwire.CondNotFound, Description: "there is no t/a"}},
	} {
		_, err := Publish{Devices: 1, Inflight: 1, Messages: 1, Workers: 1}.Run(t.Context(), k.start(t))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestAcceptancesMayComeInAnyOrder: a range, the last first, and one that was accepted.
func TestAcceptancesMayComeInAnyOrder(t *testing.T) {
	c := &conn{Conn: discard{}, peer: &peer{next: firstTransfer, window: 100, outlet: &outlet{credit: 100}}}
	w := newTransfers(Publish{Inflight: 8, Size: 1}, c)
	if err := w.send(c, 0, 8); err != nil {
		t.Fatal(err)
	}
	h := new(histogram)
	accept := func(first, last uint32) (int, error) {
		b := amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: firstTransfer + first, Last: firstTransfer + last, Settled: true, State: amqpwire.Accepted{}}.AppendFrame(nil, 0)
		_, acks, err := w.acked(b, time.Second, h, true)
		return acks, err
	}
	for _, step := range []struct{ first, last, acks, room int }{{6, 7, 2, 2}, {0, 2, 3, 5}, {3, 5, 3, 8}} {
		acks, err := accept(uint32(step.first), uint32(step.last))
		if err != nil || acks != step.acks || w.room() != step.room {
			t.Errorf("%d to %d: %d accepted, room for %d, %v; want %+v", step.first, step.last, acks, w.room(), err, step)
		}
	}
	if !w.idle() {
		t.Error("something is in flight")
	}
	if err := w.send(c, 0, 2); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ first, last uint32 }{{7, 8}, {8, 10}, {9, 8}, {8, 7}} {
		if _, err := accept(bad.first, bad.last); err == nil {
			t.Errorf("deliveries %d to %d were accepted while 8 and 9 were in flight", bad.first, bad.last)
		}
	}
}

func TestFramesAreNumberedTransfers(t *testing.T) {
	f := newFrames(1, 5, 3)
	var got []uint32
	for b := f.number(70_000, 3); len(b) > 0; {
		frame, n, err := amqpwire.Split(b, 100)
		if err != nil {
			t.Fatal(err)
		}
		transfer, err := frame.Transfer()
		if err != nil {
			t.Fatal(err)
		}
		m, err := amqpwire.ScanMessage(transfer.Payload)
		if err != nil {
			t.Fatal(err)
		}
		for data := range m.Data() {
			if len(data) != 5 || transfer.Handle != 1 || len(transfer.Tag) != 4 {
				t.Errorf("got %+v", transfer)
			}
		}
		got, b = append(got, transfer.DeliveryID.V), b[n:]
	}
	if diff := cmp.Diff([]uint32{70_000, 70_001, 70_002}, got); diff != "" {
		t.Error(diff)
	}
	if f := newFrames(0, 1000, 500); len(f.buf) > batchBytes || f.batch < 2 {
		t.Errorf("got %d frames in %d bytes", f.batch, len(f.buf))
	}
}

func TestPublishOverAMQPAllocatesNothingPerMessage(t *testing.T) {
	c := &conn{Conn: discard{}, peer: &peer{next: firstTransfer, window: 1 << 20, outlet: &outlet{credit: 1 << 20}}}
	w := newTransfers(Publish{Inflight: 64, Size: 100}, c)
	h := new(histogram)
	answer := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		first := c.peer.next
		if err := w.send(c, 0, w.size); err != nil {
			t.Fatal(err)
		}
		answer = amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: first, Last: first + 63, Settled: true, State: amqpwire.Accepted{}}.AppendFrame(answer[:0], 0)
		if used, n, err := w.acked(answer, time.Millisecond, h, true); used != len(answer) || n != 64 || err != nil {
			t.Fatal(used, n, err)
		}
	}); n != 0 {
		t.Errorf("got %.1f allocations for 64 messages", n)
	}
}

func TestOtherRunsNeedTheirProtocol(t *testing.T) {
	amqp := &Target{Address: "127.0.0.1:1", Protocol: AMQP, Account: func(int) (Account, error) { return Account{}, nil }}
	mqtt := &Target{Address: "127.0.0.1:1", Account: amqp.Account}
	for name, run := range map[string]func() (*Report, error){
		"connect":  func() (*Report, error) { return Connect{Devices: 1, Workers: 1}.Run(t.Context(), amqp) },
		"takeover": func() (*Report, error) { return Takeover{Devices: 1, Workers: 1, Rounds: 1}.Run(t.Context(), amqp) },
		"c2d": func() (*Report, error) {
			return Devicebound{Devices: 1, Size: 16, Workers: 1, Messages: 1}.Run(t.Context(), mqtt)
		},
	} {
		if _, err := run(); err == nil || !strings.Contains(err.Error(), "this run needs") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := (Devicebound{Devices: 1, Size: 16, Workers: 1, Messages: 1}).Run(t.Context(), amqp); err == nil || !strings.Contains(err.Error(), "login of a back-end") {
		t.Errorf("without a back-end: %v", err)
	}
	if _, err := (Devicebound{Devices: 1, Size: 15, Workers: 1}).Run(t.Context(), amqp); err == nil {
		t.Error("a body that does not hold the numbers, and no end")
	}
}

func TestMultiplexedDevicesAreAlive(t *testing.T) {
	full := amqpwire.Rejected{Error: &amqpwire.Error{Condition: amqpwire.CondResourceLimitExceeded, Description: "full"}}
	for name, test := range map[string]struct {
		server *container
		alive  int
		failed uint64
	}{
		"all":        {server: &container{}, alive: 5},
		"one by one": {server: &container{credit: 1}, alive: 5},
		"none":       {server: &container{answer: func(uint32) amqpwire.State { return full }}, failed: 1},
		"those before d": {server: &container{answer: func(id uint32) amqpwire.State {
			if id >= firstTransfer+3 {
				return full
			}
			return amqpwire.Accepted{}
		}}, alive: 3, failed: 1},
	} {
		r, err := Multiplex{Devices: 5, Hold: time.Millisecond}.Run(t.Context(), test.server.start(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Done != 5 || *r.Alive != test.alive || r.Failed != test.failed || r.Latency.Count != 5 {
			t.Errorf("%s: got %+v, %d alive", name, r, *r.Alive)
		}
	}
	closed := (&container{closed: &amqpwire.Error{Condition: amqpwire.CondUnauthorizedAccess}}).start(t)
	if _, err := (Multiplex{Devices: 2}).Run(t.Context(), closed); err == nil || !strings.Contains(err.Error(), "attach t/a: the server sent amqp:detach:list: amqp:unauthorized-access") {
		t.Errorf("refused: got %v", err)
	}
	if _, err := (Multiplex{Devices: 1000}).Run(t.Context(), closed); err == nil {
		t.Error("more devices than a connection carries")
	}
}
