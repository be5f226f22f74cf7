package endpoint

// handles finds a session's links by the peer's handle. Clients count from 0, so the low
// handles are an array, as long as it needs to be.
type handles struct {
	low  []*Link
	high map[uint32]*Link
}

func (t *handles) get(h uint32) *Link {
	if h < uint32(len(t.low)) {
		return t.low[h]
	}
	return t.high[h]
}

// set notes the link of a handle, or with nil that there is none.
func (t *handles) set(h uint32, l *Link) {
	switch {
	case h < uint32(len(t.low)):
		t.low[h] = l
	case l == nil:
		delete(t.high, h)
	case h < lowHandles:
		t.low = append(t.low, make([]*Link, int(h)+1-len(t.low))...)
		t.low[h] = l
	default:
		if t.high == nil {
			t.high = make(map[uint32]*Link)
		}
		t.high[h] = l
	}
}
