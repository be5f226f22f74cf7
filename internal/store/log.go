package store

import "time"

// Block is what one partition gathered since the last commit. Fill writes exactly
// Size bytes; the engine calls it once, so the bytes are copied once.
type Block struct {
	Partition uint32
	First     uint64 // sequence of its first message; the key
	Size      int
	Fill      func(dst []byte)
	Mark      *Mark // nil for most blocks
}

// Mark is a sparse signpost of a partition: a position and its time.
type Mark struct {
	Sequence uint64
	Offset   uint64
	Time     time.Time // millisecond precision
}

// Tail is the end of one partition: the last block it holds.
type Tail struct {
	Partition uint32
	Value     []byte // nil for a partition that was never written, and for a damaged block
	First     uint64 // 0 if even the key of a damaged block cannot be read
	Damage    error  // store.ErrCorrupt, with the file's name: the last block cannot be read
}

// Stored is one block read back. The slice belongs to the caller.
type Stored struct {
	First uint64
	Value []byte
}

// Log is the engine of the telemetry log: ordered blocks by partition.
type Log interface {
	// Commit writes the blocks and their marks with one flush; all or nothing. After a
	// failed flush it does not return: the process ends, because the page cache can no
	// longer be trusted (see pebble.Options.Fatal).
	Commit(blocks []Block) error
	// Read gives whole blocks from the one that holds sequence from (the last whose First
	// is not greater) on, at least one if there is any, and no more than maxBytes unless
	// the first alone is larger.
	Read(partition uint32, from uint64, maxBytes int) ([]Stored, error)
	// Next gives the First of the block that begins behind a sequence, reading no block; ok is
	// false if there is none. Damage of the keys themselves is store.ErrCorrupt.
	Next(partition uint32, behind uint64) (first uint64, ok bool, err error)
	// Trim forgets the blocks and marks whose First is less than before. It is not
	// durable at once: repeating it after a crash is harmless.
	Trim(partition uint32, before uint64) error
	// Tails gives every partition's last block. A damaged one is no error of the call.
	Tails(partitions uint32) ([]Tail, error)
	// Marks gives a partition's marks in order. Beside store.ErrCorrupt it gives those that
	// can be read.
	Marks(partition uint32) ([]Mark, error)
}
