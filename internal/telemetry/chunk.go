package telemetry

// chunk is memory that the blocks of one partition are cut from, one behind the other. A
// chunk that no reader can see is written again once its blocks are durable: two of them
// then take turns and stay in the processor's cache, where fresh memory would cost a fault
// for every page. The partition's mutex guards it, but the bytes of a sealed block are the
// committer's.
type chunk struct {
	buf  []byte // what follows len is free
	live int    // blocks that are sealed and not yet durable
	kept bool   // the ring was given a block of it: its bytes stay as they are
}

// roomFor makes room for a block's next n bytes. The caller holds mu.
func (p *partition) roomFor(n int) {
	if c := p.open.chunk; c != nil && n <= cap(c.buf)-len(c.buf) {
		return
	}
	p.seal()
	p.open.chunk = nil
	p.turn()
	if p.open.chunk == nil {
		p.open.chunk = &chunk{buf: make([]byte, 0, chunkSize)}
	}
}

// turn goes on in an idle chunk, if there is one. There must be no block under
// construction; the caller holds mu.
func (p *partition) turn() {
	if n := len(p.idleChunks); n > 0 {
		p.open.chunk = p.idleChunks[n-1]
		p.idleChunks = p.idleChunks[:n-1]
	}
}

// settle notes that a block of c is durable, or given up. The caller holds mu.
func (p *partition) settle(c *chunk) {
	c.live--
	switch {
	case c.live > 0 || c.kept:
	case c != p.open.chunk:
		if len(p.idleChunks) < maxIdleChunks {
			c.buf = c.buf[:0]
			p.idleChunks = append(p.idleChunks, c)
		}
	case p.open.count == 0:
		c.buf = c.buf[:0]
	}
}
