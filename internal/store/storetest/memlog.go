package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/store"
)

// memLog is store.Log in memory.
type memLog struct {
	// fixed

	faults *faults

	// guarded by mu

	mu         sync.Mutex
	partitions map[uint32]*memPartition
}

type memPartition struct {
	blocks []memBlock // by First
	marks  []store.Mark
	lost   map[uint64]bool // marks that cannot be read, by sequence
}

type memBlock struct {
	store.Stored
	damaged bool
}

// Damage makes the stored block unreadable: a read that begins at it is refused with
// store.ErrCorrupt.
func (m *Memory) Damage(partition uint32, first uint64) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if i, ok := m.log.partitions[partition].find(first); ok {
		m.log.partitions[partition].blocks[i].damaged = true
	}
}

// DamageMark makes a stored mark unreadable.
func (m *Memory) DamageMark(partition uint32, sequence uint64) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	p := m.log.partition(partition)
	if p.lost == nil {
		p.lost = map[uint64]bool{}
	}
	p.lost[sequence] = true
}

// Alter changes a stored block behind the engine's back.
func (m *Memory) Alter(partition uint32, first uint64, change func(value []byte)) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if i, ok := m.log.partitions[partition].find(first); ok {
		change(m.log.partitions[partition].blocks[i].Value)
	}
}

// find gives the place of the block that begins at first, or where it would stand.
func (p *memPartition) find(first uint64) (int, bool) {
	if p == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(p.blocks, first, func(b memBlock, first uint64) int {
		switch {
		case b.First < first:
			return -1
		case b.First > first:
			return 1
		}
		return 0
	})
}

func (l *memLog) partition(id uint32) *memPartition {
	p := l.partitions[id]
	if p == nil {
		p = &memPartition{}
		l.partitions[id] = p
	}
	return p
}

// Commit implements store.Log.
func (l *memLog) Commit(blocks []store.Block) error {
	if err := l.faults.meet(LogCommit); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range blocks {
		value := make([]byte, b.Size)
		b.Fill(value)
		p := l.partition(b.Partition)
		stored := memBlock{Stored: store.Stored{First: b.First, Value: value}}
		if i, ok := p.find(b.First); ok {
			p.blocks[i] = stored
		} else {
			p.blocks = slices.Insert(p.blocks, i, stored)
		}
		if b.Mark != nil {
			p.mark(*b.Mark)
		}
	}
	return nil
}

func (p *memPartition) mark(m store.Mark) {
	i := slices.IndexFunc(p.marks, func(o store.Mark) bool { return o.Sequence >= m.Sequence })
	switch {
	case i < 0:
		p.marks = append(p.marks, m)
	case p.marks[i].Sequence == m.Sequence:
		p.marks[i] = m
	default:
		p.marks = slices.Insert(p.marks, i, m)
	}
}

// Read implements store.Log.
func (l *memLog) Read(partition uint32, from uint64, maxBytes int) ([]store.Stored, error) {
	if err := l.faults.meet(LogRead); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	if p == nil {
		return nil, nil
	}
	i, exact := p.find(from)
	if !exact && i > 0 {
		i--
	}
	var out []store.Stored
	size := 0
	for _, b := range p.blocks[i:] {
		if b.damaged {
			if len(out) == 0 {
				return nil, fmt.Errorf("%w: partition %d, block %d", store.ErrCorrupt, partition, b.First)
			}
			break
		}
		if len(out) > 0 && size+len(b.Value) > maxBytes {
			break
		}
		size += len(b.Value)
		out = append(out, store.Stored{First: b.First, Value: bytes.Clone(b.Value)})
	}
	return out, nil
}

// Next implements store.Log.
func (l *memLog) Next(partition uint32, behind uint64) (first uint64, ok bool, err error) {
	if err := l.faults.meet(LogNext); err != nil {
		return 0, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	i, exact := p.find(behind)
	if exact {
		i++
	}
	if p == nil || i == len(p.blocks) {
		return 0, false, nil
	}
	return p.blocks[i].First, true, nil
}

// Trim implements store.Log.
func (l *memLog) Trim(partition uint32, before uint64) error {
	if err := l.faults.meet(LogTrim); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partition(partition)
	p.blocks = slices.DeleteFunc(p.blocks, func(b memBlock) bool { return b.First < before })
	p.marks = slices.DeleteFunc(p.marks, func(m store.Mark) bool { return m.Sequence < before })
	return nil
}

// Tails implements store.Log.
func (l *memLog) Tails(partitions uint32) ([]store.Tail, error) {
	if err := l.faults.meet(LogTails); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tails := make([]store.Tail, 0, partitions)
	for id := range partitions {
		t := store.Tail{Partition: id}
		if p := l.partitions[id]; p != nil && len(p.blocks) > 0 {
			last := p.blocks[len(p.blocks)-1]
			if t.First = last.First; last.damaged {
				t.Damage = fmt.Errorf("%w: partition %d, block %d", store.ErrCorrupt, id, last.First)
			} else {
				t.Value = append(make([]byte, 0, len(last.Value)), last.Value...)
			}
		}
		tails = append(tails, t)
	}
	return tails, nil
}

// Marks implements store.Log.
func (l *memLog) Marks(partition uint32) ([]store.Mark, error) {
	if err := l.faults.meet(LogMarks); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.partitions[partition]
	if p == nil {
		return nil, nil
	}
	lost := func(m store.Mark) bool { return p.lost[m.Sequence] }
	marks := slices.DeleteFunc(slices.Clone(p.marks), lost)
	if slices.ContainsFunc(p.marks, lost) {
		return marks, fmt.Errorf("%w: partition %d, marks", store.ErrCorrupt, partition)
	}
	return marks, nil
}

// take moves what o holds into l.
func (l *memLog) take(o *memLog) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, p := range o.partitions {
		l.partitions[id] = &memPartition{blocks: slices.Clone(p.blocks), marks: slices.Clone(p.marks), lost: p.lost}
	}
}
