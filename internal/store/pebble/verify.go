package pebble

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// Pebble's write-ahead logs and manifests are made of chunks, in blocks of 32 KiB that no
// chunk crosses; a block begins with one, and what is left at its end is zero. A chunk:
// u32 checksum of what follows the length, u16 length of the payload, u8 kind; in a log,
// u32 number of the log and u64 how far it was synced when the chunk was written; then the
// payload. All little-endian.
const (
	walBlock     = 32 << 10
	shortHeader  = 4 + 2 + 1
	logHeader    = shortHeader + 4
	syncHeader   = logHeader + 8
	kindFull     = 1 // of a manifest; a first, a middle and a last part follow
	kindLast     = 4
	kindLogFull  = 5 // of a log, as it marks its end
	kindLogLast  = 8
	kindSyncFull = 9 // of a log, everything else
	kindSyncLast = 12
)

// verify looks for damage in a log or manifest that is about to be read. A file that is
// merely torn at its end, as a loss of power leaves it, is sound.
func verify(f vfs.File, base string) error {
	number, isLog := strings.CutSuffix(base, ".log")
	isManifest := strings.HasPrefix(base, "MANIFEST-")
	if !isLog && !isManifest {
		return nil
	}
	v := verifier{file: f}
	if isLog {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil //nolint:nilerr // not a log of Pebble's
		}
		v.number, v.log = uint32(n), true
	}
	return v.run()
}

// verifier reads one file.
type verifier struct {
	// fixed

	file   vfs.File
	log    bool
	number uint32 // of the log

	// owned by run

	block []byte // as read; the last one is shorter
	start int64  // where it stands in the file
	buf   [walBlock]byte
}

// run reads chunk by chunk. Where one is not sound, the file ends, unless something behind
// it says that it once was.
func (v *verifier) run() error {
	for ok, err := v.load(0); ok || err != nil; ok, err = v.load(v.start + walBlock) {
		if err != nil {
			return err
		}
		for at := 0; at+shortHeader <= len(v.block); {
			size, end := v.chunk(at)
			switch {
			case end:
				return nil
			case size > 0:
				at += size
				continue
			case v.filler(at):
				at = len(v.block)
				continue
			}
			return v.judge(at)
		}
	}
	return nil
}

// load reads the block that begins at start; there is none behind the end of the file.
func (v *verifier) load(start int64) (bool, error) {
	n, err := v.file.ReadAt(v.buf[:], start)
	if err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt gives it bare
		return false, err
	}
	v.block, v.start = v.buf[:n], start
	return n > 0, nil
}

// chunk gives the size of the sound chunk at a place of the block, 0 if there is none. end
// says that it marks the end of the log.
func (v *verifier) chunk(at int) (size int, end bool) {
	b := v.block[at:]
	if len(b) < shortHeader {
		return 0, false
	}
	header := v.header(b[6])
	if header == 0 {
		return 0, false
	}
	size = header + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) || crc(b[6:size]) != binary.LittleEndian.Uint32(b) {
		return 0, false
	}
	if !v.log {
		return size, false
	}
	switch number := binary.LittleEndian.Uint32(b[shortHeader:]); number {
	case v.number:
		return size, false
	case v.number + 1:
		return size, true
	}
	return 0, false // of a log that had the file before
}

// header is the size of the header of a chunk of this kind, 0 if such a file has none.
func (v *verifier) header(kind byte) int {
	switch {
	case v.log && kind >= kindSyncFull && kind <= kindSyncLast:
		return syncHeader
	case v.log && kind >= kindLogFull && kind <= kindLogLast:
		return logHeader
	case !v.log && kind >= kindFull && kind <= kindLast:
		return shortHeader
	}
	return 0
}

// filler reports whether the rest of the block is the zeros behind its last chunk.
func (v *verifier) filler(at int) bool {
	if len(v.block) < walBlock || walBlock-at >= syncHeader {
		return false
	}
	return strings.Trim(string(v.block[at:]), "\x00") == ""
}

// judge decides whether the chunk at a place, which is not sound, was whole once: if one
// bit of it makes the difference, or if a chunk behind it says so. In its own block the
// next one may begin anywhere.
func (v *verifier) judge(at int) error {
	bad := v.start + int64(at)
	if v.oneBit(at) {
		return damage(bad, "one bit of a record has changed")
	}
	for from := at + 1; from+shortHeader <= len(v.block); from++ {
		if v.vouches(from, bad) {
			return v.lost(bad, from)
		}
	}
	for {
		if ok, err := v.load(v.start + walBlock); !ok || err != nil {
			return err
		}
		for from := 0; ; {
			size, end := v.chunk(from)
			if size == 0 || end {
				break
			}
			if v.vouches(from, bad) {
				return v.lost(bad, from)
			}
			from += size
		}
	}
}

// lost says that a record was on stable storage, as a sound one behind it shows.
func (v *verifier) lost(bad int64, by int) error {
	return damage(bad, fmt.Sprintf("a record is not sound, and the one at byte %d was written after it was safe", v.start+int64(by)))
}

func damage(at int64, what string) error {
	return fmt.Errorf("%w: byte %d: %s", store.ErrCorrupt, at, what)
}

// vouches reports whether a sound chunk at a place shows that what stands at bad was on
// stable storage: a log says so, and a manifest has no record begun before the one before
// it was synced.
func (v *verifier) vouches(at int, bad int64) bool {
	kind := v.block[at+6]
	if v.log {
		return kind >= kindSyncFull && kind <= kindSyncLast && at+syncHeader <= len(v.block) &&
			binary.LittleEndian.Uint32(v.block[at+shortHeader:]) == v.number &&
			binary.LittleEndian.Uint64(v.block[at+logHeader:]) > uint64(bad) && v.sound(at)
	}
	return (kind == kindFull || kind == kindFull+1) && v.sound(at)
}

func (v *verifier) sound(at int) bool {
	size, end := v.chunk(at)
	return size > 0 && !end
}

// oneBit reports whether a chunk would be sound if one of its bits were the other way. One
// that is torn lacks more than that, but for one chance in millions.
func (v *verifier) oneBit(at int) bool {
	b := v.block[at:]
	if len(b) < shortHeader {
		return false
	}
	for bit := range 6 * 8 { // of the checksum or the length
		if v.soundWith(at, bit) {
			return true
		}
	}
	headers := []int{shortHeader}
	if v.log {
		headers = []int{logHeader, syncHeader} // the kind, which says which, may be what has changed
	}
	for _, header := range headers {
		size := header + int(binary.LittleEndian.Uint16(b[4:]))
		if size > len(b) {
			continue
		}
		if bit, ok := flipped(b[6:size], binary.LittleEndian.Uint32(b)); ok && v.soundWith(at, 6*8+bit) {
			return true
		}
	}
	return false
}

// soundWith reports whether a chunk is sound with one bit the other way.
func (v *verifier) soundWith(at, bit int) bool {
	v.block[at+bit/8] ^= 1 << (bit % 8)
	ok := v.sound(at)
	v.block[at+bit/8] ^= 1 << (bit % 8)
	return ok
}

// flipped gives the bit of b that must be the other way for b to have the checksum. A
// checksum is linear: what one bit changes in it depends only on how many bytes follow.
func flipped(b []byte, checksum uint32) (bit int, ok bool) {
	table := crc32.MakeTable(crc32.Castagnoli)
	stored := checksum - crcDelta
	stored = stored<<15 | stored>>17
	difference := stored ^ crc32.Checksum(b, table)
	var change [8]uint32 // what each bit of a byte changes, with the bytes behind it
	for i := range change {
		change[i] = table[1<<i]
	}
	for at := range slices.Backward(b) {
		for i, c := range change {
			if c == difference {
				return 8*at + i, true
			}
			change[i] = table[byte(c)] ^ c>>8
		}
	}
	return 0, false
}

// crcDelta is what is added to a checksum to mask it.
const crcDelta = 0xa282ead8

// crc is Pebble's checksum: CRC-32C, masked as LevelDB does.
func crc(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + crcDelta
}
