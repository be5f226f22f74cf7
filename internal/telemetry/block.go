package telemetry

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// The block format (docs/format.md): a header of 40 bytes, then messages one behind
// the other. All numbers are little-endian.
const (
	blockVersion = 1
	codecPlain   = 0 // 1 is kept for Zstd

	headerSize = 40
	// minMessage is the size of a message without ids, properties and body.
	minMessage = 4 + 1 + 1 + 1 + 1 + 8 + 1 + 1 + 2
)

// header is the head of a block.
type header struct {
	count  uint32 // messages
	first  uint64 // sequence of the first message
	time   int64  // enqueued, Unix milliseconds
	offset uint64 // offset of the first message
	length uint32 // bytes of messages
}

// end is the sequence behind the block.
func (h header) end() uint64 { return h.first + uint64(h.count) }

// block is one block taken apart.
type block struct {
	header
	body []byte
}

// castagnoli is the table of CRC-32C; the library makes it once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// seal writes the header of a block whose messages stand behind it in b.
func seal(b []byte, h header) {
	b[0], b[1] = blockVersion, codecPlain
	binary.LittleEndian.PutUint16(b[2:], 0)
	binary.LittleEndian.PutUint32(b[4:], h.count)
	binary.LittleEndian.PutUint64(b[8:], h.first)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.time))
	binary.LittleEndian.PutUint64(b[24:], h.offset)
	binary.LittleEndian.PutUint32(b[32:], h.length)
	binary.LittleEndian.PutUint32(b[36:], 0)
	binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b, castagnoli()))
}

// decodeBlock checks a stored block and takes it apart; the body is borrowed from b.
// Every error is store.ErrCorrupt, but for a block of a newer version, which is
// store.ErrFormat.
func decodeBlock(b []byte) (block, error) {
	if len(b) < headerSize {
		return block{}, fmt.Errorf("%w: a block of %d bytes", store.ErrCorrupt, len(b))
	}
	var zero [4]byte
	sum := crc32.Checksum(b[:36], castagnoli())
	sum = crc32.Update(sum, castagnoli(), zero[:])
	sum = crc32.Update(sum, castagnoli(), b[headerSize:])
	if sum != binary.LittleEndian.Uint32(b[36:]) {
		return block{}, fmt.Errorf("%w: the checksum of a block of %d bytes does not match", store.ErrCorrupt, len(b))
	}
	if b[0] != blockVersion || b[1] != codecPlain {
		return block{}, fmt.Errorf("%w: a block of version %d with codec %d", store.ErrFormat, b[0], b[1])
	}
	k := block{body: b[headerSize:]}
	k.count = binary.LittleEndian.Uint32(b[4:])
	k.first = binary.LittleEndian.Uint64(b[8:])
	k.time = int64(binary.LittleEndian.Uint64(b[16:]))
	k.offset = binary.LittleEndian.Uint64(b[24:])
	k.length = binary.LittleEndian.Uint32(b[32:])
	if int(k.length) != len(k.body) || k.count == 0 || uint64(k.count)*minMessage > uint64(k.length) || k.end() < k.first {
		return block{}, fmt.Errorf("%w: a block of %d bytes claims %d messages in %d", store.ErrCorrupt, len(b), k.count, k.length)
	}
	return k, nil
}

// stampBytes is the part of a message that is the same for all of one writer: u8 and
// device id, u8 and module id, u64 generation, u8 scope and kind of credential, u8 and
// model id.
func stampBytes(s iot.Stamp) []byte {
	model := s.ModelID[:min(len(s.ModelID), maxModel)]
	b := make([]byte, 0, 12+len(s.Identity.Device)+len(s.Identity.Module)+len(model))
	b = append(append(b, byte(len(s.Identity.Device))), s.Identity.Device...)
	b = append(append(b, byte(len(s.Identity.Module))), s.Identity.Module...)
	b = binary.LittleEndian.AppendUint64(b, s.Generation)
	b = append(b, byte(s.Scope)|byte(s.Auth)<<4)
	return append(append(b, byte(len(model))), model...)
}

// messageSize is what appendMessage will add.
func messageSize(stamp []byte, m *iot.Raw) int {
	return 4 + 2 + len(stamp) + 2 + len(m.Props) + len(m.Body)
}

// appendMessage adds one message. The caller has checked the lengths.
func appendMessage(dst, stamp []byte, m *iot.Raw) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(messageSize(stamp, m)-4))
	dst = append(dst, byte(m.Flags), byte(m.Source))
	dst = append(dst, stamp...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Props)))
	dst = append(dst, m.Props...)
	return append(dst, m.Body...)
}

// message is one message taken apart; everything is borrowed from the block.
type message struct {
	size  int // whole, with its length field
	stamp []byte
	raw   iot.Raw
}

// errMessage is the damage that a good checksum hides: the block was written wrong.
func errMessage() error {
	return fmt.Errorf("%w: a message does not fit its block", store.ErrCorrupt)
}

// sizeAt is the whole size of the message that b begins with.
func sizeAt(b []byte) (int, error) {
	if len(b) < minMessage {
		return 0, errMessage()
	}
	n := uint64(binary.LittleEndian.Uint32(b)) + 4
	if n < minMessage || n > uint64(len(b)) {
		return 0, errMessage()
	}
	return int(n), nil
}

// decodeMessage takes apart the message that b begins with.
func decodeMessage(b []byte) (message, error) {
	n, err := sizeAt(b)
	if err != nil {
		return message{}, err
	}
	m := message{size: n, raw: iot.Raw{Flags: iot.RawFlags(b[4]), Source: iot.Source(b[5])}}
	rest := b[6:n]
	at := 0
	for range 2 { // device id, module id
		if at >= len(rest) {
			return message{}, errMessage()
		}
		at += 1 + int(rest[at])
	}
	at += 8 + 1 // generation; scope and kind of credential
	if at >= len(rest) {
		return message{}, errMessage()
	}
	at += 1 + int(rest[at]) // model id
	if at+2 > len(rest) {
		return message{}, errMessage()
	}
	m.stamp = rest[:at:at]
	props := int(binary.LittleEndian.Uint16(rest[at:]))
	rest = rest[at+2:]
	if props > len(rest) {
		return message{}, errMessage()
	}
	m.raw.Props = rest[:props:props]
	m.raw.Body = rest[props:len(rest):len(rest)]
	return m, nil
}

// decodeStamp takes apart what stampBytes wrote and decodeMessage found.
func decodeStamp(b []byte) iot.Stamp {
	var s iot.Stamp
	text := func() string {
		n := int(b[0])
		t := string(b[1 : 1+n])
		b = b[1+n:]
		return t
	}
	s.Identity.Device = text()
	s.Identity.Module = text()
	s.Generation = binary.LittleEndian.Uint64(b)
	s.Scope, s.Auth = iot.Scope(b[8]&0x0f), iot.AuthType(b[8]>>4)
	b = b[9:]
	s.ModelID = text()
	return s
}
