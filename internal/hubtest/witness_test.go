package hubtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// spell is one session of an identity, as the hub tells of it.
type spell struct {
	party device.Party
	end   *device.Ending // nil: it lives
}

// witness hears what the hub tells of connections and messages, and what it tells its
// operator: an error there is a fault here, and so is a panic, which is told as one.
type witness struct {
	mu     sync.Mutex
	spells map[iot.Identity][]*spell // in order
	mail   map[string][]iot.MessageEnd
	faults []string
	deaf   bool // to what the operator is told
}

func newWitness() *witness {
	return &witness{spells: map[iot.Identity][]*spell{}, mail: map[string][]iot.MessageEnd{}}
}

// Connected implements presence.Sink.
func (w *witness) Connected(p device.Party) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.last(p.Identity); last != nil && last.end == nil {
		w.fault("connection %d holds %s while %d still does", p.Conn.ID, p.Identity, last.party.Conn.ID)
	}
	w.spells[p.Identity] = append(w.spells[p.Identity], &spell{party: p})
}

// Ended implements presence.Sink.
func (w *witness) Ended(e device.Ending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.last(e.Party.Identity)
	if last == nil || last.party.Epoch != e.Party.Epoch || last.end != nil {
		w.fault("the end of connection %d as %s is told, which holds nothing", e.Party.Conn.ID, e.Party.Identity)
		return
	}
	last.end = &e
	if e.By == nil {
		return
	}
	want := fault.ConnectionForcefullyClosedOnNewConnection
	if e.Party.Conn.Transport == device.AMQP {
		want = fault.LinkCreationConflict
	}
	if e.Code != want {
		w.fault("connection %d over %s was displaced with code %d, want %d", e.Party.Conn.ID, e.Party.Conn.Transport, e.Code, want)
	}
}

func (w *witness) messageEnded(e iot.MessageEnd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mail[e.MessageID] = append(w.mail[e.MessageID], e)
}

// last is the newest session of an identity, nil if there was none; mu is held.
func (w *witness) last(id iot.Identity) *spell {
	if all := w.spells[id]; len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// fault notes what must not be; mu is held.
func (w *witness) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// deafen makes it ignore what the operator is told.
func (w *witness) deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = true
}

// complaints gives what was noted, once.
func (w *witness) complaints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.faults
	w.faults = nil
	return all
}

// ofConn gives the newest session of an identity on a connection, and whether it lives.
func (w *witness) ofConn(id iot.Identity, conn uint64) (s *spell, lives bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.spells[id] {
		if o.party.Conn.ID == conn {
			s = o
		}
	}
	return s, s != nil && s.end == nil
}

// held reports whether somebody holds an identity.
func (w *witness) held(id iot.Identity) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.last(id)
	return last != nil && last.end == nil
}

// over reports whether a session has ended.
func (w *witness) over(s *spell) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.end != nil
}

// displaced reports whether a session was ended by a newcomer.
func (w *witness) displaced(s *spell) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.end != nil && s.end.By != nil
}

// ends gives how a message ended; at most one is right.
func (w *witness) ends(message string) []iot.MessageEnd {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mail[message]
}

// Enabled implements slog.Handler.
func (w *witness) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle implements slog.Handler.
func (w *witness) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s", a)
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf {
		return nil
	}
	w.fault("the hub calls its operator: %s%s", r.Message, b.String())
	return nil
}

// WithAttrs implements slog.Handler.
func (w *witness) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w *witness) WithGroup(string) slog.Handler { return w }
