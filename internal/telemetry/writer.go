package telemetry

import (
	"sync/atomic"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Writer appends the messages of one session. Append is called by one owner at a time;
// Fence, Durable, Appended and Err by anybody.
type Writer struct {
	// fixed

	log       *Log
	partition *partition
	stamp     []byte
	wake      func()

	// guarded by partition.mu

	fenced  bool
	stalled bool // in the partition's list

	// shared

	appended atomic.Uint64
	durable  atomic.Uint64
	first    atomic.Uint64 // sequence of the first message, once Durable is not 0
	err      atomic.Pointer[fault.Error]
}

// Append copies a prefix of ms into the log and says how many; it allocates nothing
// per message. n < len(ms) with a nil error: no room, and wake is called when there is
// some. An error concerns ms[n] alone if it is fault.MessageTooLarge; any other ends
// the writer: ErrFenced, ErrClosed, or what Err gives.
func (w *Writer) Append(ms []iot.Raw) (int, error) {
	n, err := w.append(ms)
	if n > 0 {
		w.log.nudge()
	}
	return n, err
}

func (w *Writer) append(ms []iot.Raw) (int, error) {
	p := w.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := w.ended(); err != nil {
		return 0, err
	}
	for i := range ms {
		m := &ms[i]
		if m.Size() > iot.MaxMessageSize || len(m.Props) > maxProps {
			w.appended.Add(uint64(i))
			return i, tooLarge(m)
		}
		if p.bytes >= maxPending {
			if !w.stalled {
				w.stalled = true
				p.stalled = append(p.stalled, w)
			}
			w.appended.Add(uint64(i))
			return i, nil
		}
		p.append(w, m)
	}
	w.appended.Add(uint64(len(ms)))
	return len(ms), nil
}

// ended says why the writer takes nothing any more. The caller holds partition.mu.
func (w *Writer) ended() error {
	switch {
	case w.fenced:
		return ErrFenced
	case w.partition.closed:
		return ErrClosed
	}
	return w.Err()
}

func tooLarge(m *iot.Raw) error {
	if len(m.Props) > maxProps {
		return fault.New(fault.MessageTooLarge, "telemetry.append", "the properties take %d bytes, at most %d are possible", len(m.Props), maxProps)
	}
	return fault.New(fault.MessageTooLarge, "telemetry.append", "the message has %d bytes, at most %d are possible", m.Size(), iot.MaxMessageSize)
}

// Fence ends the writer: nothing it appends afterwards has effect, and what it had
// appended commits. last, if not nil, is appended as the final act, whatever waits
// before it; a last message that is too large is left out. Only the first Fence acts.
func (w *Writer) Fence(last *iot.Raw) {
	if w.fence(last) {
		w.log.nudge()
	}
}

// fence reports whether it appended.
func (w *Writer) fence(last *iot.Raw) bool {
	p := w.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	fit := last != nil && last.Size() <= iot.MaxMessageSize && len(last.Props) <= maxProps
	ok := fit && w.ended() == nil
	w.fenced = true
	if ok {
		p.append(w, last)
		w.appended.Add(1)
	}
	return ok
}

// Durable counts the messages on stable storage, in Append order.
func (w *Writer) Durable() uint64 { return w.durable.Load() }

// Appended counts the messages taken, the last one of Fence included.
func (w *Writer) Appended() uint64 { return w.appended.Load() }

// Err is nil until a commit fails; then it is a fault.Error that says why the messages
// beyond Durable were not stored. The writer takes no more.
func (w *Writer) Err() error {
	if e := w.err.Load(); e != nil {
		return e
	}
	return nil
}
