package pebble

import "encoding/binary"

// The key spaces of the records instance (docs/format.md).
const (
	spaceRecord  = 'r' // r key → revision, index keys, value
	spaceIndex   = 'i' // i escaped index key, 0x00 0x01, record key → nothing
	spaceCounter = 'c' // c key → sum
	spaceMeta    = 'm' // m name → the engine's own
)

// metaGeneration holds the generation of the last start.
const metaGeneration = "generation"

func spaceKey(space byte, key string) []byte {
	return append(append(make([]byte, 0, 1+len(key)), space), key...)
}

// after gives the least key greater than key: where a scan behind key begins.
func after(space byte, key string) []byte {
	return append(spaceKey(space, key), 0)
}

// above gives the least key greater than every key with the prefix; prefix is never
// all 0xff, because it begins with a space.
func above(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// escape writes s so that its end can be marked and the order is kept: 0x00 becomes
// 0x00 0xff, and 0x00 0x01 ends it.
func escape(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return dst
}

// indexKey is the key of one index entry.
func indexKey(index, key string) []byte {
	b := make([]byte, 0, 3+len(index)+len(key)+4)
	b = append(escape(append(b, spaceIndex), index), 0, 1)
	return append(b, key...)
}

// splitIndex takes an index entry apart; ok is false for a key that escape did not
// write.
func splitIndex(b []byte) (index, key string, ok bool) {
	b = b[1:]
	plain := make([]byte, 0, len(b))
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			plain = append(plain, b[i])
			continue
		}
		switch b[i+1] {
		case 0xff:
			plain = append(plain, 0)
			i++
		case 1:
			return string(plain), string(b[i+2:]), true
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// The key spaces of the log instance: t/ blocks, m/ marks; then the partition and the
// first sequence, both big-endian; d/ a note that a partition's end was lost; and one key
// of the engine's own.
const (
	prefixBlock   = "t/"
	prefixMark    = "m/"
	prefixNote    = "d/"
	keyGeneration = "g/generation"
	logKeySize    = 2 + 4 + 8
)

func putLogKey(dst []byte, prefix string, partition uint32, sequence uint64) {
	copy(dst, prefix)
	binary.BigEndian.PutUint32(dst[2:], partition)
	binary.BigEndian.PutUint64(dst[6:], sequence)
}

func logKey(prefix string, partition uint32, sequence uint64) []byte {
	b := make([]byte, logKeySize)
	putLogKey(b, prefix, partition, sequence)
	return b
}

// logSequence reads the sequence out of a key of the log.
func logSequence(key []byte) uint64 { return binary.BigEndian.Uint64(key[6:]) }

// partitionEnd is the least key behind a partition.
func partitionEnd(prefix string, partition uint32) []byte {
	b := logKey(prefix, partition, ^uint64(0))
	return append(b, 0)
}
