package c2d

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// modelMessage is a message as the model knows it.
type modelMessage struct {
	id     string
	ack    iot.AckMode
	ends   time.Time // when it expires
	count  int
	number uint16
	holder *ear // nil: nobody
	until  time.Time
	given  bool // by what the process knows
	marked bool // by what the store knows
}

// modelGrant is a delivery that a consumer remembers, live or not.
type modelGrant struct {
	to      *ear
	message *iot.LockedMessage
	of      *modelMessage
}

// model plays a program on queues, and beside it on lists.
type model struct {
	t      *testing.T
	rig    *rig
	ears   map[iot.Identity]*ear
	queues map[iot.Identity][]*modelMessage
	grants []modelGrant
	next   int
	ended  []string // "id status" of those whose senders want to know
	wrong  string
}

// step is one thing of a program.
type step struct {
	what    string
	id      iot.Identity
	n       int
	outcome device.Outcome
}

const modelDeliveries = 3

// TestSimQueues plays random programs of sends, deliveries, outcomes, displacements, time,
// purges, restarts and crashes. After every step it asks what is pending and who is given
// what; at the end every message has exactly one outcome, and exactly that feedback that
// its sender wanted.
func TestSimQueues(t *testing.T) {
	want := 5_000
	if s := os.Getenv("BERTH_SIM_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("BERTH_SIM_STEPS: %v", err)
		}
		want = n
	}
	played := 0
	kinds := []string{
		"send", "send", "send", "burst", "take", "take", "take", "take", "settle", "settle", "settle", "settle", "race",
		"listen", "listen", "close", "sleep", "sleep", "sleep", "sleep", "purge", "restart", "crash", "forget",
	}
	for played < want && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			// The program is drawn first: rapid knows no bubbles.
			program := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
				return step{
					what: rapid.SampledFrom(kinds).Draw(rt, "what"), id: rapid.SampledFrom([]iot.Identity{dev1, dev1, mod1}).Draw(rt, "id"),
					n: rapid.IntRange(0, 60).Draw(rt, "n"), outcome: device.Outcome(rapid.IntRange(1, 3).Draw(rt, "outcome")),
				}
			}), 1, 60).Draw(rt, "program")
			played += len(program)
			var wrong string
			synctest.Test(t, func(t *testing.T) {
				wrong = play(t, program)
			})
			if wrong != "" {
				rt.Fatal(wrong)
			}
		})
	}
	t.Logf("%d steps", played)
}

func modelConfig(c *Config) {
	c.MaxDeliveries = modelDeliveries
	c.FeedbackTTL = 1000 * time.Hour
}

func play(t *testing.T, program []step) string {
	t.Helper()
	m := &model{
		t: t, rig: openRig(t, storetest.New(), newDirectory(dev1, mod1), modelConfig),
		ears: map[iot.Identity]*ear{}, queues: map[iot.Identity][]*modelMessage{},
	}
	for _, s := range program {
		m.play(s)
		m.check()
		if m.wrong != "" {
			break
		}
	}
	m.finish()
	for _, e := range m.ears {
		e.Close()
	}
	if err := m.rig.Close(); err != nil {
		t.Error(err)
	}
	return m.wrong
}

func (m *model) fail(format string, args ...any) {
	if m.wrong == "" {
		m.wrong = fmt.Sprintf(format, args...)
	}
}

func (m *model) play(s step) {
	switch s.what {
	case "send":
		m.send(s)
	case "burst":
		for range s.n / 2 {
			m.send(s)
		}
	case "take":
		m.take(s)
	case "settle":
		m.settle(s)
	case "race":
		m.race(s)
	case "listen":
		m.listen(s)
	case "close":
		if e := m.ears[s.id]; e != nil {
			held := 0
			for _, q := range m.queues[s.id] {
				if q.holder == e {
					held++
				}
			}
			if got := e.Close(); got != held {
				m.fail("close released %d locks, want %d", got, held)
			}
			m.unhold(s.id, true)
			delete(m.ears, s.id)
		}
	case "sleep":
		sleep([]time.Duration{7, 25, 61, 130}[s.n%4] * time.Second)
	case "purge":
		n, err := m.rig.Purge(context.Background(), s.id)
		if err != nil || n != len(m.queues[s.id]) {
			m.fail("purged %d, %v; want %d", n, err, len(m.queues[s.id]))
		}
		for _, q := range slices.Clone(m.queues[s.id]) {
			m.end(s.id, q, iot.FeedbackPurged)
		}
	case "forget":
		if s.n%4 == 0 { // seldom
			if err := m.rig.Forget(context.Background(), s.id); err != nil {
				m.fail("forget: %v", err)
			}
			m.queues[s.id] = nil
		}
	case "restart":
		for id, e := range m.ears {
			e.Close()
			m.unhold(id, true)
		}
		synctest.Wait()
		if err := m.rig.Close(); err != nil {
			m.fail("close: %v", err)
		}
		m.reopen()
	case "crash":
		for id := range m.queues {
			m.unhold(id, false)
			for _, q := range m.queues[id] {
				q.given = q.marked
			}
		}
		old := m.rig
		engine := old.engine.Restart()
		_ = old.Close() // its goroutines end; its store is closed already
		m.rig.engine = engine
		m.reopen()
	}
	synctest.Wait()
	m.pass()
}

// listen makes a new consumer; the old one may say goodbye after it.
func (m *model) listen(s step) {
	m.unhold(s.id, true)
	e := m.rig.listen(s.id)
	if old := m.ears[s.id]; old != nil && s.n%2 == 0 {
		old.Close()
	}
	m.ears[s.id] = e
}

// race completes what a consumer holds while the store is slow, and displaces the
// consumer meanwhile: the outcome stands, and nobody else is given the message.
func (m *model) race(s step) {
	i := slices.IndexFunc(m.queues[s.id], func(q *modelMessage) bool { return q.holder != nil })
	if i < 0 {
		return
	}
	q := m.queues[s.id][i]
	old := q.holder
	gate := m.rig.gate(false)
	old.tag++
	old.Settle(old.tag, m.live(q), device.Complete)
	m.listen(s)
	if got := m.ears[s.id].take(1 + s.n%3); slices.ContainsFunc(got, func(l *iot.LockedMessage) bool { return l.MessageID == q.id }) {
		m.fail("%s was given to another while it was completed", q.id)
	}
	close(gate)
	synctest.Wait()
	if err := old.results[old.tag]; err != nil {
		m.fail("completed %s while displaced: %v", q.id, err)
	}
	m.end(s.id, q, iot.FeedbackSuccess)
	m.unhold(s.id, true)
	m.listen(s) // whatever the first newcomer was given
}

// reopen makes queues over what the store holds.
func (m *model) reopen() {
	engine := m.rig.engine
	if engine.Claims().Generation() == m.generation() {
		engine = engine.Restart()
	}
	m.rig = openRig(m.t, engine, m.rig.dir, modelConfig)
	m.ears = map[iot.Identity]*ear{}
	synctest.Wait()
}

func (m *model) generation() uint64 { return m.rig.sequence.Load() >> sequenceBits }

// unhold ends the locks of an identity's messages.
func (m *model) unhold(id iot.Identity, marked bool) {
	for _, q := range m.queues[id] {
		q.holder = nil
		q.marked = q.marked || marked && q.given
	}
}

func (m *model) send(s step) {
	m.next++
	q := &modelMessage{
		id: fmt.Sprintf("%d", m.next), ack: iot.AckMode(s.n % 5),
		ends: time.Now().Add([]time.Duration{40, 90, 600, 3600}[s.n%4]*time.Second + 500*time.Millisecond),
	}
	msg := message(q.id, q.ack)
	msg.Expiry = q.ends
	err := m.rig.Send(context.Background(), s.id, msg)
	switch full := len(m.queues[s.id]) >= iot.MaxPendingMessages; {
	case full && fault.Of(err) != fault.DeviceMaximumQueueDepthExceeded:
		m.fail("send to a full queue: %v", err)
	case !full && err != nil:
		m.fail("send: %v", err)
	case !full:
		m.queues[s.id] = append(m.queues[s.id], q)
	}
}

func (m *model) take(s step) {
	e := m.ears[s.id]
	if e == nil {
		return
	}
	n := 1 + s.n%7
	got := e.take(n)
	var want []string
	at := 0
	for _, q := range m.queues[s.id] {
		if len(want) == n || q.holder != nil {
			continue
		}
		want = append(want, fmt.Sprintf("%s/%d/%t", q.id, q.count, q.given))
		if at < len(got) {
			if q.number != 0 && q.number != got[at].Number {
				m.fail("message %s has the number %d, had %d", q.id, got[at].Number, q.number)
			}
			q.number, q.holder, q.until, q.given = got[at].Number, e, time.Now().Add(iot.MessageLock), true
			m.grants = append(m.grants, modelGrant{e, got[at], q})
		}
		at++
	}
	var had []string
	for _, g := range got {
		had = append(had, fmt.Sprintf("%s/%d/%t", g.MessageID, g.DeliveryCount, g.Again))
	}
	if fmt.Sprint(had) != fmt.Sprint(want) {
		m.fail("given %v, want %v", had, want)
	}
}

func (m *model) settle(s step) {
	if len(m.grants) == 0 {
		return
	}
	i := len(m.grants) - 1 - min(s.n/4, len(m.grants)-1) // mostly late ones
	g := m.grants[i]
	for id, queue := range m.queues {
		for _, q := range queue {
			if q != g.of || q.holder != g.to || m.live(q) != g.message.Lock {
				continue
			}
			if err := g.to.settle(g.message, s.outcome); err != nil {
				m.fail("settle %s: %v", q.id, err)
			}
			q.holder = nil
			switch s.outcome {
			case device.Complete:
				m.end(id, q, iot.FeedbackSuccess)
			case device.Reject:
				m.end(id, q, iot.FeedbackRejected)
			default:
				q.count++
				q.marked = true
				if q.count >= modelDeliveries {
					m.end(id, q, iot.FeedbackDeliveryCountExceeded)
				} else if !q.ends.After(time.Now()) {
					m.end(id, q, iot.FeedbackExpired)
				}
			}
			return
		}
	}
	if err := g.to.settle(g.message, s.outcome); err == nil {
		m.fail("%s was settled by one who does not hold it", g.message.MessageID)
	}
}

// live gives the lock under which a message is held.
func (m *model) live(q *modelMessage) iot.LockToken {
	for _, g := range slices.Backward(m.grants) {
		if g.of == q {
			return g.message.Lock
		}
	}
	return iot.LockToken{}
}

// end takes a message out of the model.
func (m *model) end(id iot.Identity, q *modelMessage, status iot.FeedbackStatus) {
	m.queues[id] = slices.DeleteFunc(slices.Clone(m.queues[id]), func(o *modelMessage) bool { return o == q })
	if q.ack.Wants(status) {
		m.ended = append(m.ended, q.id+" "+string(status))
	}
}

// pass ends what time has ended.
func (m *model) pass() {
	now := time.Now()
	for id := range m.queues {
		for _, q := range m.queues[id] {
			if q.holder != nil && !q.until.After(now) {
				q.holder = nil
			}
			if q.holder == nil && !q.ends.After(now) {
				m.end(id, q, iot.FeedbackExpired)
			}
		}
	}
}

func (m *model) check() {
	for _, id := range []iot.Identity{dev1, mod1} {
		want := 0
		for _, q := range m.queues[id] {
			if q.ends.After(time.Now()) {
				want++
			}
		}
		if got := m.rig.pending(id); got != want {
			m.fail("%d messages are pending for %s, want %d", got, id, want)
		}
	}
}

// finish lets everything end, and compares the feedback.
func (m *model) finish() {
	for id, e := range m.ears {
		e.Close()
		m.unhold(id, true)
	}
	m.ears = map[iot.Identity]*ear{}
	sleep(2 * time.Hour)
	m.pass()
	sleep(2 * time.Second)
	d := m.rig.desk()
	var got []string
	for {
		ms := d.take(4)
		for _, notice := range ms {
			for _, rec := range records(m.t, notice) {
				got = append(got, rec.OriginalMessageID+" "+string(rec.StatusCode))
			}
		}
		if len(ms) < 4 {
			break
		}
	}
	d.Close()
	sort.Strings(got)
	sort.Strings(m.ended)
	if g, w := strings.Join(got, ", "), strings.Join(m.ended, ", "); g != w {
		m.fail("feedback\n %s\nwant\n %s", g, w)
	}
	if keys := append(m.rig.keys(queueKeys), m.rig.keys(messageKeys)...); len(keys) > 0 {
		m.fail("left in the store: %v", keys)
	}
	if n, err := m.rig.Depth(context.Background()); n != 0 || err != nil {
		m.fail("the counter of pending messages is %d, %v", n, err)
	}
	if n := m.rig.places(); n > 0 {
		m.fail("%d identities are left in memory", n)
	}
}
