package amqp

import (
	"context"
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
)

// hubHost is the name of every test's hub.
const hubHost = "hub.example.org"

// someKey is the key of every policy and device.
var someKey = []byte("0123456789abcdef0123456789abcdef")

// world is a server on hubtest.Core, with real sockets and without TLS.
type world struct {
	t      *testing.T
	core   *hubtest.Core
	server *Server
	events *memory
	sent   *outbox
	queue  *stock
	addr   string
}

func newWorld(t *testing.T, script hubtest.Script) *world {
	t.Helper()
	w := &world{t: t, core: hubtest.NewCore(script), events: newMemory(2), sent: &outbox{}, queue: newStock()}
	lot := park.New(park.Config{})
	door, err := park.NewDoor(park.DoorConfig{Lot: lot})
	if err != nil {
		t.Fatal(err)
	}
	w.server, err = New(Config{
		Core: w.core, Gate: fakeGate{}, Door: door, Hosts: iot.NewHosts(hubHost), Port: 5671, Commands: w.sent, Queues: w.queue,
		Events: w.events, Groups: fakeGroups{}, Created: time.UnixMilli(1000),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	var peers sync.WaitGroup
	peers.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			peers.Go(func() {
				facts := &device.Conn{Transport: device.AMQP, Remote: netip.MustParseAddrPort(nc.RemoteAddr().String()), Accepted: time.Now()}
				w.server.Serve(context.Background(), park.Peer{Conn: nc, Facts: facts, Admitted: func() {}})
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		_ = lot.Shutdown(context.Background())
		peers.Wait()
	})
	return w
}

// fakeGate knows every device and five policies, all with the same key.
type fakeGate struct{}

func (fakeGate) Grant(token, _ string) (device.Grant, error) {
	refused := fault.New(fault.IotHubUnauthorizedAccess, "test.grant", "the token is not good")
	sas, err := iot.ParseSAS(token)
	if err != nil || !sas.Verify(someKey) && !sas.Verify(base64.StdEncoding.AppendEncode(nil, someKey)) {
		return device.Grant{}, refused
	}
	rights := map[string]iot.Right{"iothubowner": iot.AllRights, "service": iot.ServiceConnect, "device": iot.DeviceConnect}[sas.Policy]
	if rights == 0 {
		return device.Grant{}, refused
	}
	return device.Grant{Policy: sas.Policy, Rights: rights, SAS: sas}, nil
}

func (fakeGate) Authenticate(_ context.Context, id iot.Identity, _ string, cred device.Credential) (device.Proof, error) {
	sas, err := iot.ParseSAS(cred.SAS)
	if err != nil || !sas.Verify(someKey) || strings.HasPrefix(id.Device, "unknown") {
		return device.Proof{}, fault.New(fault.IotHubUnauthorized, "test.authenticate", "the token is not good")
	}
	return device.Proof{Expires: sas.Expiry}, nil
}

type fakeGroups struct{}

func (fakeGroups) Has(name string) bool { return strings.EqualFold(name, "$Default") || name == "g1" }

// tokenFor signs a token for a resource below the hub.
func tokenFor(resource, policy string) string {
	return iot.SignSAS(strings.TrimSuffix(hubHost+"/"+resource, "/"), policy, someKey, time.Now().Add(time.Hour))
}

// peer is a connection of a real client.
type peer struct {
	*goamqp.Conn

	t       *testing.T
	session *goamqp.Session
}

// dial connects a real client.
func (w *world) dial(opts *goamqp.ConnOptions) *peer {
	w.t.Helper()
	if opts == nil {
		opts = &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous()}
	}
	opts.HostName = hubHost
	c, err := goamqp.Dial(w.t.Context(), "amqp://"+w.addr, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.peerOf(c)
}

// peerOf begins a session on a connection, which ends with the test.
func (w *world) peerOf(c *goamqp.Conn) *peer {
	w.t.Helper()
	w.t.Cleanup(func() { _ = c.Close() })
	s, err := c.NewSession(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &peer{Conn: c, t: w.t, session: s}
}

// login puts a token, and gives the status of the answer.
func (p *peer) login(token string) int {
	p.t.Helper()
	ctx := p.t.Context()
	sender, err := p.session.NewSender(ctx, "$cbs", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	receiver, err := p.session.NewReceiver(ctx, "$cbs", &goamqp.ReceiverOptions{TargetAddress: "cbs-reply"})
	if err != nil {
		p.t.Fatal(err)
	}
	defer sender.Close(ctx)
	defer receiver.Close(ctx)
	replyTo, id := "cbs-reply", "request 1"
	err = sender.Send(ctx, &goamqp.Message{
		Value:                 token,
		Properties:            &goamqp.MessageProperties{MessageID: id, ReplyTo: &replyTo},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "whatever"},
	}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := receiver.Receive(ctx, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if m.Properties.CorrelationID != any(id) {
		p.t.Errorf("the answer's correlation-id is %v, want %q", m.Properties.CorrelationID, id)
	}
	status, ok := m.ApplicationProperties["status-code"].(int32)
	if !ok {
		p.t.Errorf("status-code is %T, want an int", m.ApplicationProperties["status-code"])
	}
	return int(status)
}

// until waits until something has come true; a test that waits for long has failed.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	late, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-late:
			w.t.Fatalf("not in ten seconds: %s", what)
		case <-tick.C:
		}
	}
}

// readers counts who has a place among the readers of partitions.
func (w *world) readers() (n int) {
	rs := &w.server.receivers
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, c := range rs.at {
		n += len(c.members)
	}
	return n
}

// as connects and logs in.
func (w *world) as(token string) *peer {
	w.t.Helper()
	p := w.dial(nil)
	if status := p.login(token); status != 200 {
		w.t.Fatalf("put-token: status %d", status)
	}
	return p
}

func (p *peer) sender(address string, opts *goamqp.SenderOptions) *goamqp.Sender {
	p.t.Helper()
	s, err := p.session.NewSender(p.t.Context(), address, opts)
	if err != nil {
		p.t.Fatalf("sender to %s: %v", address, err)
	}
	return s
}

func (p *peer) receiver(address string, opts *goamqp.ReceiverOptions) *goamqp.Receiver {
	p.t.Helper()
	r, err := p.session.NewReceiver(p.t.Context(), address, opts)
	if err != nil {
		p.t.Fatalf("receiver from %s: %v", address, err)
	}
	return r
}

// memory is events in memory.
type memory struct {
	mu         sync.Mutex
	partitions [][]iot.Event
	changed    chan struct{}
}

func newMemory(partitions int) *memory {
	return &memory{partitions: make([][]iot.Event, partitions), changed: make(chan struct{})}
}

// add appends an event of dev1; its sequence is its place.
func (m *memory) add(partition int, body string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := uint64(len(m.partitions[partition]))
	m.partitions[partition] = append(m.partitions[partition], iot.Event{
		Partition: partition, Sequence: n, Offset: 100 * n, Enqueued: time.UnixMilli(1_000_000 + int64(n)).UTC(),
		Stamp: iot.Stamp{Identity: iot.Identity{Device: "dev1"}}, Raw: iot.Raw{Source: iot.SourceBag, Body: []byte(body)},
	})
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) Partitions() []device.Partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]device.Partition, len(m.partitions))
	for i, events := range m.partitions {
		if n := len(events); n == 0 {
			all[i].Empty = true
		} else {
			last := events[n-1]
			all[i] = device.Partition{Last: last.Sequence, LastOffset: last.Offset, LastEnqueued: last.Enqueued}
		}
	}
	return all
}

func (m *memory) Reader(partition int, start device.Start) (device.EventReader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &reader{from: m, partition: partition}
	for _, e := range m.partitions[partition] {
		before := start.At == device.StartSequence && e.Sequence < start.Sequence || start.At == device.StartOffset && e.Offset < start.Offset ||
			start.At == device.StartTime && e.Enqueued.Before(start.Time) || start.At == device.StartEnd
		if before {
			r.next++
		}
	}
	return r, nil
}

type reader struct {
	from      *memory
	partition int
	next      int
}

func (r *reader) Next(ctx context.Context) ([]iot.Event, error) {
	for {
		r.from.mu.Lock()
		events, changed := r.from.partitions[r.partition][r.next:], r.from.changed
		r.from.mu.Unlock()
		if len(events) > 0 {
			r.next += len(events)
			return events, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (*reader) Close() {}

// outbox is messages to devices in memory.
type outbox struct {
	hold func(id iot.Identity, m *iot.CloudMessage) // if set, called before a message is taken

	mu   sync.Mutex
	sent []iot.CloudMessage
	to   []iot.Identity
}

func (o *outbox) Send(_ context.Context, id iot.Identity, m *iot.CloudMessage) error {
	if o.hold != nil {
		o.hold(id, m)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case id.Device == "unknown":
		return fault.New(fault.DeviceNotFound, "test.send", "device 'unknown' is not registered")
	case id.Device == "full":
		return fault.New(fault.DeviceMaximumQueueDepthExceeded, "test.send", "50 messages are waiting")
	case len(m.Body) > iot.MaxCloudMessage:
		return fault.New(fault.MessageTooLarge, "test.send", "too large")
	}
	o.to, o.sent = append(o.to, id), append(o.sent, *m)
	return nil
}

// stock is a queue of the hub's own messages in memory, for one receiver.
type stock struct {
	mu      sync.Mutex
	waiting []*iot.LockedMessage
	locked  map[iot.LockToken]*iot.LockedMessage
	settled []device.Outcome
	results []device.Delivery
	wake    func()
	closed  int
}

func newStock() *stock { return &stock{locked: make(map[iot.LockToken]*iot.LockedMessage)} }

func (s *stock) Feedback(wake func()) (device.Receiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = wake
	return s, nil
}

func (s *stock) FileNotifications(wake func()) (device.Receiver, error) { return s.Feedback(wake) }

// closings counts the receivers that have ended.
func (s *stock) closings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// add queues a message.
func (s *stock) add(body string) {
	s.mu.Lock()
	m := &iot.LockedMessage{Enqueued: time.UnixMilli(5000).UTC()}
	m.Lock[0] = byte(len(body))
	m.Body, m.ContentType, m.UserID = []byte(body), iot.FeedbackContentType, "hub"
	s.waiting = append(s.waiting, m)
	wake := s.wake
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

func (s *stock) Take(dst []device.Delivery, room device.Room) []device.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(dst, s.results)
	s.results = s.results[n:]
	for ; n < len(dst) && room.Messages > 0 && len(s.waiting) > 0; n++ {
		m := s.waiting[0]
		s.waiting, s.locked[m.Lock] = s.waiting[1:], m
		dst[n] = device.Delivery{Message: m}
		room.Messages--
	}
	return dst[:n]
}

func (s *stock) Do(op device.Op) error {
	s.mu.Lock()
	settle, _ := op.What.(device.Settle)
	s.settled = append(s.settled, settle.Outcome)
	var err error
	if s.locked[settle.Lock] == nil {
		err = fault.New(fault.DeviceMessageLockLost, "test.settle", "the lock has ended")
	} else if settle.Outcome == device.Abandon {
		s.waiting = append(s.waiting, s.locked[settle.Lock])
	}
	delete(s.locked, settle.Lock)
	s.results = append(s.results, device.Delivery{Tag: op.Tag, Err: err})
	wake := s.wake
	s.mu.Unlock()
	wake()
	return nil
}

func (s *stock) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}
