package park

import (
	"sync"
	"time"
)

// packet is the length of every packet in these tests.
const packet = 4

// talk is a conversation that a test scripts with functions; nil ones do the obvious:
// packets of four bytes are echoed.
type talk struct {
	turn   func(t *Turn) error
	closed chan error // receives what ended it

	mu    sync.Mutex
	turns int
	woken int
	seen  []byte
}

func newTalk(turn func(t *Turn) error) *talk {
	return &talk{turn: turn, closed: make(chan error, 2)}
}

func (k *talk) Turn(t *Turn) error {
	k.mu.Lock()
	k.turns++
	if t.Woken {
		k.woken++
	}
	k.mu.Unlock()
	if k.turn != nil {
		return k.turn(t)
	}
	k.echo(t)
	return nil
}

func (k *talk) echo(t *Turn) {
	t.Used = len(t.In) / packet * packet
	t.Out = append(t.Out, t.In[:t.Used]...)
	k.mu.Lock()
	k.seen = append(k.seen, t.In[:t.Used]...)
	k.mu.Unlock()
}

func (k *talk) Closed(_ time.Time, why error) { k.closed <- why }

func (k *talk) counts() (turns, woken int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.turns, k.woken
}

// tally is a Meter.
type tally struct{ in, out int }

func (m *tally) In(_ time.Time, n int)  { m.in += n }
func (m *tally) Out(_ time.Time, n int) { m.out += n }
