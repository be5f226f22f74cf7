package park

import "sync"

// input is the unread bytes of one connection and the room behind them. While the
// reader holds the room, only consume and unread may be called.
type input struct {
	// fixed

	pool *sync.Pool
	max  int

	// owned by the owner

	buf    []byte // small, a pooled buffer, or one grown for a large packet
	pooled *[bigBuffer]byte
	r, w   int  // unread is buf[r:w]
	last   int  // what the last read brought
	filled bool // and that it took all it was offered
	small  [smallBuffer]byte
}

func (in *input) unread() []byte { return in.buf[in.r:in.w] }

func (in *input) consume(n int) { in.r += n }

// room gives where to read next: behind the unread bytes. It moves or grows the buffer
// as needed, and fails when the unread bytes have reached the limit.
func (in *input) room() ([]byte, error) {
	unread := in.w - in.r
	switch {
	case unread >= in.max:
		return nil, ErrTooLarge
	case unread == 0 && !in.filled && in.last < smallBuffer:
		in.adopt(in.small[:], nil) // quiet: give back what a burst needed
	case unread == 0 && len(in.buf) >= bigBuffer:
		in.r, in.w = 0, 0
	case in.w < len(in.buf) && !in.filled:
		// room is left behind what is there
	case unread < bigBuffer/2:
		if in.pooled == nil {
			big := in.pool.Get().(*[bigBuffer]byte) // the pool holds nothing else
			in.adopt(big[:], big)
		} else {
			in.shift()
		}
	case in.r >= len(in.buf)/2:
		in.shift()
	case in.w == len(in.buf):
		in.adopt(make([]byte, min(2*len(in.buf), in.max+smallBuffer)), nil)
	}
	return in.buf[in.w:], nil
}

// landed notes what a read into the room brought.
func (in *input) landed(n int) {
	in.last, in.filled = n, n == len(in.buf)-in.w
	in.w += n
}

// shift moves the unread bytes to the front.
func (in *input) shift() {
	n := copy(in.buf, in.buf[in.r:in.w])
	in.r, in.w = 0, n
}

// adopt moves the unread bytes to the front of next and gives back what was pooled.
func (in *input) adopt(next []byte, pooled *[bigBuffer]byte) {
	n := copy(next, in.unread())
	old := in.pooled
	in.buf, in.pooled, in.r, in.w = next, pooled, 0, n
	if old != nil && old != pooled {
		in.pool.Put(old)
	}
}

// release gives back what was pooled; the input is not used again.
func (in *input) release() {
	in.r, in.w = 0, 0
	in.adopt(nil, nil)
}
