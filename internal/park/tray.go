package park

// tray is the unread input of a parked connection while it has an owner. It lies in the
// desk's buffer, or in one of its own that grew with a large packet.
type tray struct {
	home []byte // the desk's buffer
	buf  []byte // home, or grown
	r, w int    // unread is buf[r:w]
}

// begin takes what an earlier owner kept.
func (t *tray) begin(kept []byte) {
	if len(kept) < len(t.home)/2 {
		t.buf, t.r, t.w = t.home, 0, copy(t.home, kept)
		return
	}
	t.buf, t.r, t.w = kept[:cap(kept)], 0, len(kept)
}

func (t *tray) unread() []byte { return t.buf[t.r:t.w] }

func (t *tray) consume(n int) { t.r += n }

// room gives where to read next, behind the unread bytes, which it moves or grows the
// buffer for; it fails when they have reached limit.
func (t *tray) room(limit int) ([]byte, error) {
	unread := t.w - t.r
	switch {
	case unread >= limit:
		return nil, ErrTooLarge
	case unread < len(t.home)/2: // a packet more, or what a large one left over
		t.w = copy(t.home, t.unread())
		t.buf, t.r = t.home, 0
	case t.r >= len(t.buf)/2:
		t.w = copy(t.buf, t.unread())
		t.r = 0
	case t.w == len(t.buf):
		next := make([]byte, min(2*len(t.buf), limit+smallBuffer))
		t.w = copy(next, t.unread())
		t.buf, t.r = next, 0
	}
	return t.buf[t.w:], nil
}

// landed notes n bytes more.
func (t *tray) landed(n int) { t.w += n }

// keep gives what the next owner begins with: a copy of its size, in old if that fits, or
// the buffer that grew.
func (t *tray) keep(old []byte) []byte {
	unread := t.unread()
	switch {
	case len(unread) == 0:
		return nil
	case len(unread) >= max(len(t.home)/2, len(t.buf)/4) && &t.buf[0] != &t.home[0] && t.r == 0:
		return unread // with the room behind it
	case cap(old) >= len(unread) && cap(old) <= 2*len(unread):
		return append(old[:0], unread...)
	}
	kept := make([]byte, len(unread))
	copy(kept, unread)
	return kept
}
