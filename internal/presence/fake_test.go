package presence

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// fake is a session that does what a session does: it ends once, for whoever comes
// first.
type fake struct {
	party  device.Party
	seat   *Seat
	once   sync.Once
	fences atomic.Int32
	ended  atomic.Pointer[device.Ending]
	fenced chan struct{} // closed by Fence
}

func newFake(id iot.Identity, tr device.Transport) *fake {
	return &fake{
		party: device.Party{
			Identity: id, Opened: time.Now(),
			Conn: &device.Conn{Transport: tr, Remote: netip.MustParseAddrPort("10.1.2.3:4")},
		},
		fenced: make(chan struct{}),
	}
}

func (f *fake) Fence(code fault.Code, reason string, by *device.Party) device.Ending {
	e := f.end(device.Ending{Code: code, Reason: reason, By: by})
	if f.fences.Add(1) == 1 {
		close(f.fenced)
	}
	return e
}

func (f *fake) end(e device.Ending) device.Ending {
	f.once.Do(func() {
		e.Party, e.At = f.party, time.Now()
		f.ended.Store(&e)
	})
	return *f.ended.Load()
}

// goodbye ends the session by itself, as a transport does when its peer leaves.
func (f *fake) goodbye() { f.seat.Release(f.end(device.Ending{})) }

// code gives why the session ended, -1 while it lives.
func (f *fake) code() fault.Code {
	if e := f.ended.Load(); e != nil {
		return e.Code
	}
	return -1
}

// ear is a Sink that checks that announcements alternate, each pair with one epoch.
type ear struct {
	mu     sync.Mutex
	online map[iot.Identity]string
	ends   []device.Ending
	starts int
	wrong  []string
}

func newEar() *ear { return &ear{online: make(map[iot.Identity]string)} }

func (r *ear) Connected(p device.Party) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.online[p.Identity]; ok {
		r.wrong = append(r.wrong, fmt.Sprintf("%v connected with %s while %s was online", p.Identity, p.Epoch, old))
	}
	r.online[p.Identity] = p.Epoch
	r.starts++
}

func (r *ear) Ended(e device.Ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.online[e.Party.Identity]; !ok || old != e.Party.Epoch {
		r.wrong = append(r.wrong, fmt.Sprintf("%v ended with %s while %q was online", e.Party.Identity, e.Party.Epoch, old))
	}
	delete(r.online, e.Party.Identity)
	r.ends = append(r.ends, e)
}

func (r *ear) check(t interface {
	Helper()
	Errorf(string, ...any)
}, online int,
) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.wrong {
		t.Errorf("%s", w)
	}
	if len(r.online) != online {
		t.Errorf("%d identities stand online, want %d", len(r.online), online)
	}
	if r.starts != len(r.ends)+online {
		t.Errorf("%d began and %d ended with %d online", r.starts, len(r.ends), online)
	}
}

func (r *ear) last() device.Ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) == 0 {
		return device.Ending{}
	}
	return r.ends[len(r.ends)-1]
}

// rig is a Presence over an engine in memory.
type rig struct {
	*Presence
	engine *storetest.Memory
	ear    *ear
}

func newRig(tb testing.TB, change ...func(*Config)) *rig {
	tb.Helper()
	return rigOver(tb, storetest.New(), change...)
}

func rigOver(tb testing.TB, engine *storetest.Memory, change ...func(*Config)) *rig {
	tb.Helper()
	r := openRig(tb, engine, change...)
	tb.Cleanup(r.stopForTest)
	return r
}

// openRig makes a rig that the test stops.
func openRig(tb testing.TB, engine *storetest.Memory, change ...func(*Config)) *rig {
	tb.Helper()
	r := &rig{engine: engine, ear: newEar()}
	cfg := Config{Claims: engine.Claims(), Records: engine.Records(), Sink: r.ear}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	r.Presence = p
	return r
}

// stopForTest ends the sweeper of a Presence that a test did not close.
func (p *Presence) stopForTest() {
	p.closing.Do(func() { close(p.quit) })
	p.swept.Wait()
}

// connect claims for a new session, which must succeed.
func (r *rig) connect(tb testing.TB, id iot.Identity, tr device.Transport) *fake {
	tb.Helper()
	f := newFake(id, tr)
	r.claim(tb, f)
	return f
}

func (r *rig) claim(tb testing.TB, f *fake) {
	tb.Helper()
	seat, err := r.Claim(context.Background(), &f.party, f, f.party.Conn.Transport)
	if err != nil {
		tb.Fatalf("claim of %v: %v", f.party.Identity, err)
	}
	f.seat = seat
}

// places counts the identities that presence remembers in memory.
func (r *rig) places() (n int) {
	for _, sh := range r.shards {
		sh.mu.Lock()
		n += len(sh.places) + len(sh.modules) + len(sh.expiry)
		sh.mu.Unlock()
	}
	return n
}

// holdApply makes the next write wait until the channel is closed.
func (r *rig) holdApply() (gate chan struct{}) {
	gate = make(chan struct{})
	var first atomic.Bool
	r.engine.Fail(func(op storetest.Op) error {
		if op == storetest.RecordsApply && first.CompareAndSwap(false, true) {
			<-gate
		}
		return nil
	})
	return gate
}

// slowClaims makes the claims of one identity wait.
type slowClaims struct {
	store.Claims
	identity string
	entered  chan struct{}
	gate     chan struct{}
}

func (c *slowClaims) Claim(ctx context.Context, identity string) (store.Epoch, error) {
	if identity == c.identity {
		c.entered <- struct{}{}
		<-c.gate
	}
	return c.Claims.Claim(ctx, identity)
}

func dev(name string) iot.Identity { return iot.Identity{Device: name} }
