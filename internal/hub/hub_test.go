package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/pebble"
	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/internal/telemetry"
)

// keyring lets everybody in whose token is "good", and tells what it was asked.
type keyring struct {
	mu     sync.Mutex
	barred map[iot.Identity]bool
	during func(iot.Identity) // called in the middle of a check
}

func (k *keyring) Authenticate(_ context.Context, id iot.Identity, _ string, cred device.Credential) (device.Proof, error) {
	k.mu.Lock()
	barred, during := k.barred[id], k.during
	k.mu.Unlock()
	if barred {
		return device.Proof{}, fault.New(fault.DeviceDisabled, "test", "barred")
	}
	if !strings.HasPrefix(cred.SAS, "good") {
		return device.Proof{}, fault.New(fault.IotHubUnauthorized, "test", "not good")
	}
	if during != nil {
		during(id)
	}
	return device.Proof{Stamp: iot.Stamp{Identity: id, Generation: 7}, Slot: "primary", TokenHash: uint64(len(cred.SAS))}, nil
}

// Generation lets messages be sent to everybody.
func (k *keyring) Generation(_ context.Context, id iot.Identity) (uint64, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return 7, !k.barred[id], nil
}

func (k *keyring) bar(id iot.Identity) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.barred[id] = true
}

// witness remembers what the sinks and refusals were told.
type witness struct {
	mu      sync.Mutex
	told    []string
	endings []device.Ending
	after   map[string][]device.Afterlife // by identity and epoch
	mail    []iot.MessageEnd
}

func (w *witness) outcome(e iot.MessageEnd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mail = append(w.mail, e)
}

// outcomes gives how messages ended.
func (r *rig) outcomes() []iot.MessageEnd {
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	return append([]iot.MessageEnd(nil), r.witness.mail...)
}

func (w *witness) Afterlife(id iot.Identity, epoch string, a device.Afterlife) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.after == nil {
		w.after = make(map[string][]device.Afterlife)
	}
	key := id.String() + " " + epoch
	w.after[key] = append(w.after[key], a)
}

func (w *witness) Connected(p device.Party) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, "connected "+p.Identity.String()+" "+p.Epoch)
}

func (w *witness) Ended(e device.Ending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("ended %s %s %d", e.Party.Identity, e.Party.Epoch, int(e.Code)))
	w.endings = append(w.endings, e)
}

func (w *witness) Refused(h device.Hello, err error, _ time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("refused %s %d", h.Identity, int(fault.Of(err))))
}

func (w *witness) ends() []device.Ending {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]device.Ending(nil), w.endings...)
}

// rig is a hub over an engine in memory.
type rig struct {
	*Hub

	keys    *keyring
	witness *witness
	log     *telemetry.Log
	mail    *c2d.Queues
	close   func()
}

// engine is what a hub is built over.
type engine interface {
	Records() store.Records
	Log() store.Log
	Claims() store.Claims
	Close() error
}

// newRig makes a hub over an engine, nil for one in memory.
func newRig(tb testing.TB, engine engine) *rig {
	tb.Helper()
	if engine == nil {
		engine = storetest.New()
	}
	r := &rig{keys: &keyring{barred: map[iot.Identity]bool{}}, witness: &witness{}}
	var err error
	if r.log, err = telemetry.Open(telemetry.Config{Log: engine.Log(), Partitions: 2}); err != nil {
		tb.Fatal(err)
	}
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	p, err := presence.New(presence.Config{
		Claims: engine.Claims(), Records: engine.Records(), Sink: Sinks{r.witness, metrics},
	})
	if err != nil {
		tb.Fatal(err)
	}
	r.mail, err = c2d.New(c2d.Config{Records: engine.Records(), Identities: r.keys, Generation: engine.Claims().Generation(), Observer: c2d.Observer{Ended: r.witness.outcome}})
	if err != nil {
		tb.Fatal(err)
	}
	r.Hub, err = New(Config{Keys: r.keys, Presence: p, Telemetry: r.log, Queues: r.mail, Refusals: r.witness, Afterlives: r.witness, Metrics: metrics})
	if err != nil {
		tb.Fatal(err)
	}
	var once sync.Once
	r.close = func() {
		once.Do(func() {
			r.Close()
			if err := errors.Join(p.Close(context.Background()), r.mail.Close(), r.log.Close(), engine.Close()); err != nil {
				tb.Error(err)
			}
		})
	}
	tb.Cleanup(r.close)
	return r
}

// bell is a wake that a test can wait for.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// until waits for cond, looking again at each ring.
func (b bell) until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	for !cond() {
		select {
		case <-b:
		case <-late.C:
			tb.Fatalf("waited 10 s in vain: %s", what)
		}
	}
}

func hello(id iot.Identity, transport device.Transport) device.Hello {
	return device.Hello{
		Identity: id, Host: "hub", Credential: device.Credential{SAS: "good"},
		Conn: &device.Conn{Transport: transport},
	}
}

func (r *rig) open(tb testing.TB, h device.Hello) (device.Session, bell) {
	tb.Helper()
	b := newBell()
	s, err := r.Open(tb.Context(), h, b.ring)
	if err != nil {
		tb.Fatal(err)
	}
	return s, b
}

func publish(tb testing.TB, s device.Session, bodies ...string) {
	tb.Helper()
	for _, body := range bodies {
		n, err := s.Append([]iot.Raw{{Source: iot.SourceBag, Body: []byte(body)}})
		if n != 1 || err != nil {
			tb.Fatalf("append %q: %d, %v", body, n, err)
		}
	}
}

// bodies reads back what a device's partition holds, n events from the start.
func (r *rig) bodies(tb testing.TB, id string, n int) []string {
	tb.Helper()
	reader, err := r.log.Reader(r.log.Partition(id), device.Start{})
	if err != nil {
		tb.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	var got []string
	for len(got) < n {
		events, err := reader.Next(ctx)
		if err != nil {
			tb.Fatalf("read %d of %d events: %v", len(got), n, err)
		}
		for _, e := range events {
			got = append(got, string(e.Raw.Body))
		}
	}
	return got
}

var dev1 = iot.Identity{Device: "dev1"}

func TestTakeoverFencesOldSession(t *testing.T) {
	r := newRig(t, nil)
	h := hello(dev1, device.MQTT)
	h.Will = &iot.Raw{Source: iot.SourceBag, Body: []byte("will")}
	old, bellOld := r.open(t, h)
	publish(t, old, "a", "b")
	young, bellYoung := r.open(t, hello(dev1, device.MQTT))

	if got := fault.Of(old.Err()); got != fault.ConnectionForcefullyClosedOnNewConnection {
		t.Errorf("the old session ended with %v, want 400027", got)
	}
	if n, err := old.Append([]iot.Raw{{Source: iot.SourceBag, Body: []byte("late")}}); n != 0 || fault.Of(err) != fault.ConnectionForcefullyClosedOnNewConnection {
		t.Errorf("an append after the fence: %d, %v", n, err)
	}
	bellOld.until(t, "what was appended before the fence commits", func() bool { return old.Durable() >= 2 })
	publish(t, young, "c")
	bellYoung.until(t, "the newcomer's message commits", func() bool { return young.Durable() == 1 })
	got := r.bodies(t, "dev1", 4)
	want := []string{"a", "b", "will", "c"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the log holds %v, want %v", got, want)
	}

	old.Close(device.Goodbye{Kind: device.GoodbyeClean}) // a late goodbye
	if err := young.Err(); err != nil {
		t.Errorf("a stale goodbye ended the newcomer: %v", err)
	}
	ends := r.witness.ends()
	if len(ends) != 1 || ends[0].By == nil || !ends[0].Will || ends[0].By.Epoch == ends[0].Party.Epoch {
		t.Errorf("endings %+v, want one, with the will sent and the newcomer named", ends)
	}
}

// The loser of a conflict is told with the token that was in force, not the one that it came
// with; a refused one changes nothing.
func TestRenewedTokenIsTheLosers(t *testing.T) {
	r := newRig(t, nil)
	s, b := r.open(t, hello(dev1, device.AMQP))
	if err := subscribe(t, s, b, 1, device.Renew{Credential: device.Credential{SAS: "good anew"}}); err != nil {
		t.Fatal(err)
	}
	if err := subscribe(t, s, b, 2, device.Renew{Credential: device.Credential{SAS: "bad"}}); fault.Of(err) != fault.IotHubUnauthorized {
		t.Fatalf("a bad token gave %v", err)
	}
	r.open(t, hello(dev1, device.AMQP))
	ends := r.witness.ends()
	if len(ends) != 1 || ends[0].Party.Proof.TokenHash != uint64(len("good anew")) || ends[0].By.Proof.TokenHash != uint64(len("good")) {
		t.Errorf("endings %+v", ends)
	}
}

// What was seen of a connection after its displacement is passed on once, and of no other
// connection; its kernel is asked when the fence falls, and only then.
func TestAfterlifeOfADisplacement(t *testing.T) {
	r := newRig(t, nil)
	asked := 0
	kernel := func() device.TCP { asked++; return device.TCP{State: 1, Retransmits: 3} }
	first, second := hello(dev1, device.MQTT), hello(dev1, device.MQTT)
	first.Conn.ID, first.Conn.Kernel = 1, kernel
	second.Conn.ID, second.Conn.Kernel = 2, kernel
	old, _ := r.open(t, first)
	young, _ := r.open(t, second)
	old.Close(device.Goodbye{Kind: device.GoodbyeEnded})
	seen := device.Afterlife{Kind: device.AfterlifeReset, After: time.Millisecond}
	old.Afterlife(seen)
	old.Afterlife(device.Afterlife{Kind: device.AfterlifeSilent})
	young.Afterlife(seen) // it lives
	young.Close(device.Goodbye{Kind: device.GoodbyeLost})
	young.Afterlife(seen) // and was not displaced

	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	ends := r.witness.endings
	want := map[string][]device.Afterlife{"dev1 " + ends[0].Party.Epoch: {seen}}
	if diff := cmp.Diff(want, r.witness.after); diff != "" {
		t.Error(diff)
	}
	if len(ends) != 2 || ends[0].TCP != kernel() || ends[1].TCP.Known() || asked != 2 {
		t.Errorf("endings %+v with the kernel asked %d times, want it told of the displacement only", ends, asked-1)
	}
}

func TestLoserOnAMQPIsTold409002(t *testing.T) {
	r := newRig(t, nil)
	old, _ := r.open(t, hello(dev1, device.AMQP))
	r.open(t, hello(dev1, device.MQTT))
	if got := fault.Of(old.Err()); got != fault.LinkCreationConflict {
		t.Errorf("got %v, want 409002", got)
	}
}

func TestDeviceAndModuleDoNotCollide(t *testing.T) {
	r := newRig(t, nil)
	a, _ := r.open(t, hello(dev1, device.MQTT))
	b, _ := r.open(t, hello(iot.Identity{Device: "dev1", Module: "m"}, device.MQTT))
	if a.Err() != nil || b.Err() != nil {
		t.Errorf("device: %v, module: %v, want both alive", a.Err(), b.Err())
	}
}

func TestRefusalCostsTheHolderNothing(t *testing.T) {
	r := newRig(t, nil)
	s, _ := r.open(t, hello(dev1, device.MQTT))
	bad := hello(dev1, device.MQTT)
	bad.Credential.SAS = "bad"
	if _, err := r.Open(t.Context(), bad, func() {}); fault.Of(err) != fault.IotHubUnauthorized {
		t.Errorf("got %v, want 401003", err)
	}
	if s.Err() != nil {
		t.Errorf("a refused newcomer ended the holder: %v", s.Err())
	}
}

func TestGoodbyes(t *testing.T) {
	cases := []struct {
		why  device.GoodbyeKind
		code fault.Code
		will bool
	}{
		{device.GoodbyeClean, 0, false},
		{device.GoodbyeLost, fault.DeviceConnectionClosedRemotely, true},
		{device.GoodbyeIdle, fault.DeviceConnectionClosedRemotely, true},
		{device.GoodbyeProtocol, fault.GenericBadRequest, true},
		{device.GoodbyeShutdown, fault.ConnectionForcefullyClosed, true},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.why), func(t *testing.T) {
			r := newRig(t, nil)
			h := hello(dev1, device.MQTT)
			h.Will = &iot.Raw{Source: iot.SourceBag, Body: []byte("will")}
			s, _ := r.open(t, h)
			s.Close(device.Goodbye{Kind: c.why})
			s.Close(device.Goodbye{Kind: device.GoodbyeLost}) // closing again changes nothing
			ends := r.witness.ends()
			if len(ends) != 1 || ends[0].Code != c.code || ends[0].Will != c.will {
				t.Fatalf("got %+v, want one ending with code %d, will %v", ends, c.code, c.will)
			}
			if c.will {
				if got := r.bodies(t, "dev1", 1); got[0] != "will" {
					t.Errorf("the log holds %v, want the will", got)
				}
			}
		})
	}
}

func TestChangedCredentialEndsTheSession(t *testing.T) {
	for change, code := range map[registry.Change]fault.Code{
		registry.Disabled:           fault.DeviceDisabled,
		registry.Deleted:            fault.DeviceNotFound,
		registry.CredentialsChanged: fault.IotHubUnauthorized,
	} {
		t.Run(change.String(), func(t *testing.T) {
			r := newRig(t, nil)
			s, bell := r.open(t, hello(dev1, device.MQTT))
			other, _ := r.open(t, hello(iot.Identity{Device: "dev2"}, device.MQTT))
			r.Changed(dev1, change)
			bell.until(t, "the session ends", func() bool { return s.Err() != nil })
			if got := fault.Of(s.Err()); got != code {
				t.Errorf("got %v, want %v", got, code)
			}
			if other.Err() != nil {
				t.Errorf("another device was ended: %v", other.Err())
			}
		})
	}
}

// TestChangeBetweenCheckAndClaim: a device that is disabled after its token was
// checked and before it holds the identity does not get in.
func TestChangeBetweenCheckAndClaim(t *testing.T) {
	r := newRig(t, nil)
	r.keys.during = func(id iot.Identity) {
		r.keys.bar(id)
		r.Changed(id, registry.Disabled)
	}
	s, err := r.Open(t.Context(), hello(dev1, device.MQTT), func() {})
	if fault.Of(err) != fault.DeviceDisabled {
		t.Errorf("got session %v, error %v, want 403012", s, err)
	}
}

func subscribe(tb testing.TB, s device.Session, b bell, tag uint64, op device.Operation) error {
	tb.Helper()
	if err := s.Do(device.Op{Tag: tag, What: op}); err != nil {
		tb.Fatal(err)
	}
	var got []device.Delivery
	dst := make([]device.Delivery, 4)
	b.until(tb, "the operation ends", func() bool {
		got = append(got, s.Take(dst, device.Room{Messages: 4})...)
		return len(got) > 0
	})
	if len(got) != 1 || got[0].Tag != tag {
		tb.Fatalf("got %+v, want one result for tag %d", got, tag)
	}
	return got[0].Err
}

// onDisk opens the real engine on a file system.
func onDisk(t *testing.T, fs vfs.FS) engine {
	t.Helper()
	e, err := pebble.Open(pebble.Options{Dir: "data", FS: fs, Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSubscriptionsSurviveARestart(t *testing.T) {
	fs := vfs.NewMem()
	r := newRig(t, onDisk(t, fs))
	s, b := r.open(t, hello(dev1, device.MQTT))
	if _, present := s.Resumed(); present {
		t.Error("a first session is present already")
	}
	subs := []device.Subscription{
		{To: device.CloudToDevice, Filter: "devices/dev1/messages/devicebound/#", QoS: 1},
		{To: device.Methods, Filter: "$iothub/methods/POST/#", QoS: 0},
	}
	if err := subscribe(t, s, b, 1, device.Subscribe{Subs: subs}); err != nil {
		t.Fatal(err)
	}
	if err := subscribe(t, s, b, 2, device.Unsubscribe{Filters: []string{"$iothub/methods/POST/#", "never/was"}}); err != nil {
		t.Fatal(err)
	}
	s.Close(device.Goodbye{Kind: device.GoodbyeLost})
	r.close()

	r = newRig(t, onDisk(t, fs))
	s, _ = r.open(t, hello(dev1, device.MQTT))
	got, present := s.Resumed()
	if !present || fmt.Sprint(got) != fmt.Sprint(subs[:1]) {
		t.Errorf("resumed %v, present %v, want %v", got, present, subs[:1])
	}
	clean := hello(dev1, device.MQTT)
	clean.Clean = true
	s, _ = r.open(t, clean)
	if got, present := s.Resumed(); present || len(got) != 0 {
		t.Errorf("a clean session resumed %v, present %v", got, present)
	}
	s, _ = r.open(t, hello(dev1, device.MQTT))
	if got, present := s.Resumed(); present || len(got) != 0 {
		t.Errorf("after a clean session, resumed %v, present %v", got, present)
	}
}

func TestOperationsAreBoundedAndAnswered(t *testing.T) {
	r := newRig(t, nil)
	s, b := r.open(t, hello(dev1, device.MQTT))
	if err := subscribe(t, s, b, 1, device.TwinRead{}); fault.Of(err) != fault.GenericNotImplemented {
		t.Errorf("a twin read gave %v, want 501000", err)
	}
	many := make([]device.Subscription, maxSubscriptions+1)
	for i := range many {
		many[i] = device.Subscription{To: device.CloudToDevice, Filter: fmt.Sprint(i)}
	}
	if err := subscribe(t, s, b, 2, device.Subscribe{Subs: many}); fault.Of(err) != fault.InvalidOperation {
		t.Errorf("too many subscriptions gave %v, want 400003", err)
	}
}
