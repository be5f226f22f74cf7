package amqp

import (
	"fmt"
	"strings"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
)

// TestWhatAPeerNamesIsBounded: whatever is kept of a peer's words, as long as a link lives or
// until a reply is taken, has a length, and who exceeds it is told.
func TestWhatAPeerNamesIsBounded(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("devices/dev1", ""))
	long := strings.Repeat("x", 2000)
	for _, address := range []string{"$cbs", hubHost[:strings.IndexByte(hubHost, '.')] + "/$management"} {
		peer := p
		if address != "$cbs" {
			peer = w.as(tokenFor("", "service"))
		}
		_, err := peer.session.NewReceiver(t.Context(), address, &goamqp.ReceiverOptions{TargetAddress: long})
		if got := condition(err); got != "amqp:invalid-field" {
			t.Errorf("a target of 2,000 bytes beside %s: %v, want amqp:invalid-field", address, err)
		}
		s := peer.sender(address, nil)
		if s.MaxMessageSize() != maxRequest {
			t.Errorf("%s takes requests of %d bytes, want %d", address, s.MaxMessageSize(), maxRequest)
		}
		err = s.Send(t.Context(), &goamqp.Message{Value: "x", Properties: &goamqp.MessageProperties{MessageID: long}}, nil)
		if got := condition(err); got != "com.microsoft:argument-error" {
			t.Errorf("a message-id of 2,000 bytes to %s: %v, want com.microsoft:argument-error", address, err)
		}
	}
	err := p.sender("/devices/dev1/twin", nil).Send(t.Context(), &goamqp.Message{Data: [][]byte{nil}, Properties: &goamqp.MessageProperties{CorrelationID: long}}, nil)
	if got := condition(err); got != "com.microsoft:argument-error" {
		t.Errorf("a correlation-id of 2,000 bytes: %v, want com.microsoft:argument-error", err)
	}
	if status := p.login(tokenFor("devices/dev1", "")); status != 200 {
		t.Errorf("a token after all that: status %d", status)
	}
}

// TestLinksOfADeviceAreBounded: one device has a bounded number of links, and the next is
// refused while the others go on; one that was detached makes room.
func TestLinksOfADeviceAreBounded(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	p := w.as(tokenFor("devices/dev1", ""))
	var links []*goamqp.Sender
	for range maxLinks {
		links = append(links, p.sender("/devices/dev1/messages/events", nil))
	}
	_, err := p.session.NewReceiver(t.Context(), "/devices/dev1/messages/devicebound", nil)
	if got := condition(err); got != "amqp:resource-limit-exceeded" {
		t.Errorf("link %d: %v, want amqp:resource-limit-exceeded", maxLinks+1, err)
	}
	if err := links[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.receiver("/devices/dev1/messages/devicebound", nil)
	if err := links[1].Send(t.Context(), goamqp.NewMessage([]byte("x")), nil); err != nil {
		t.Errorf("send on another link: %v", err)
	}
}

// TestCommandsUnderWayAreBounded: a back-end that sends settled messages, which use up no
// credit, faster than they are stored, is not kept in memory without end.
func TestCommandsUnderWayAreBounded(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	release := make(chan struct{})
	w.sent.hold = func(iot.Identity, *iot.CloudMessage) { <-release }
	p := w.as(tokenFor("", "service"))
	s := p.sender("/messages/devicebound", nil)
	to := "/devices/dev1/messages/devicebound"
	m := &goamqp.Message{Data: [][]byte{make([]byte, iot.MaxCloudMessage)}, Properties: &goamqp.MessageProperties{To: &to}}
	encoded, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	want := maxQueueing / len(encoded)
	for range want + 100 {
		if err := s.Send(t.Context(), m, &goamqp.SendOptions{Settled: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Send(t.Context(), m, nil); !strings.Contains(fmt.Sprint(err), "429002") {
		t.Errorf("a message too many: %v, want 429002", err)
	}
	close(release)
	last := &goamqp.Message{Properties: &goamqp.MessageProperties{To: &to}}
	if err := s.Send(t.Context(), last, nil); err != nil {
		t.Errorf("a small message behind them: %v", err)
	}
	w.sent.mu.Lock()
	defer w.sent.mu.Unlock()
	if got := len(w.sent.sent); got != want+1 {
		t.Errorf("%d messages were queued, want %d", got, want+1)
	}
}

// TestConnectionsOfOneKeyAreBounded: a token claims nothing before a link is attached, so one
// key could hold any number of connections. The oldest go, but not the one that holds the
// identity, nor one that others share.
func TestConnectionsOfOneKeyAreBounded(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	token := tokenFor("devices/dev1", "")
	holder := w.as(token)
	s := holder.sender("/devices/dev1/messages/events", nil)
	shared := w.as(token)
	if status := shared.login(tokenFor("devices/dev2", "")); status != 200 {
		t.Fatalf("put-token: status %d", status)
	}
	var idle []*peer
	for range maxProofs + 3 {
		idle = append(idle, w.as(token))
	}
	const stay = maxProofs - 1 // and the holder
	gone := len(idle) - stay
	for i, p := range idle[:gone] {
		<-p.Done()
		if got := condition(p.Err()); got != "com.microsoft:device-container-throttled" {
			t.Errorf("connection %d ended with %v", i, p.Err())
		}
	}
	for i, p := range idle[gone:] {
		if status := p.login(token); status != 200 {
			t.Errorf("connection %d of those that may stay: status %d", i, status)
		}
	}
	if err := s.Send(t.Context(), goamqp.NewMessage([]byte("x")), nil); err != nil {
		t.Errorf("who holds the identity: %v", err)
	}
	shared.sender("/devices/dev2/messages/events", nil)
	for _, p := range append(idle[gone:], holder, shared) {
		_ = p.Close()
	}
	w.until("connections that are gone are forgotten", func() bool {
		w.server.proofs.mu.Lock()
		defer w.server.proofs.mu.Unlock()
		return len(w.server.proofs.of) == 0
	})
}

// TestDoneJobsAreForgotten: an idle connection does not keep what a burst of jobs needed.
func TestDoneJobsAreForgotten(t *testing.T) {
	const jobs = 3 * maxJobs
	m := mailbox{wake: func() {}}
	begun, work := make(chan struct{}, jobs), make(chan struct{})
	for range jobs {
		if err := m.do(func() func() { begun <- struct{}{}; <-work; return func() {} }); err != nil {
			t.Fatal(err)
		}
	}
	for range maxJobs {
		<-begun
	}
	all := m.waiting
	if len(all) != jobs-maxJobs {
		t.Fatalf("%d jobs wait, want %d", len(all), jobs-maxJobs)
	}
	close(work)
	m.jobs.Wait()
	for i, job := range all {
		if job != nil {
			t.Errorf("job %d that waited is kept", i)
		}
	}
	if _, done := m.collect(); len(done) != jobs || m.waiting != nil {
		t.Errorf("%d jobs are done, %d wait; want %d and none", len(done), len(m.waiting), jobs)
	}
}
