package telemetry

import "sort"

// ringEntry is what a block in the ring costs beside its messages, in bytes: its
// header and its place. Without it, blocks of one small message would hide the cost.
const ringEntry = 128

// ring holds the recent blocks of one partition, oldest first, up to a budget. Blocks
// are never written again, so readers hold them uncounted. The partition's mutex
// guards it.
type ring struct {
	budget int
	blocks []block // from head on
	head   int
	bytes  int
}

// push adds the newest block and drops the oldest beyond the budget.
func (r *ring) push(b block) {
	cost := len(b.body) + ringEntry
	if cost > r.budget {
		// Not even this one fits: whoever wants it reads the store.
		r.clear()
		return
	}
	r.blocks = append(r.blocks, b)
	r.bytes += cost
	for r.bytes > r.budget {
		r.bytes -= len(r.blocks[r.head].body) + ringEntry
		r.blocks[r.head] = block{}
		r.head++
	}
	if r.head > len(r.blocks)/2 {
		n := copy(r.blocks, r.blocks[r.head:])
		clear(r.blocks[n:])
		r.blocks, r.head = r.blocks[:n], 0
	}
}

// clear drops everything.
func (r *ring) clear() { r.blocks, r.head, r.bytes = nil, 0, 0 }

// find gives the block that holds the sequence.
func (r *ring) find(sequence uint64) (block, bool) {
	live := r.blocks[r.head:]
	i := sort.Search(len(live), func(i int) bool { return live[i].end() > sequence })
	if i == len(live) || live[i].first > sequence {
		return block{}, false
	}
	return live[i], true
}
