package amqpwire

import "encoding/binary"

// FrameType is what a frame's body is (AMQP 2.3.1).
type FrameType byte

// The frame types.
const (
	FrameAMQP FrameType = 0
	FrameSASL FrameType = 1
)

// FrameHeaderLen is how many bytes a frame header has that is not extended.
const FrameHeaderLen = 8

// Frame is one frame with its body unread.
type Frame struct {
	Type    FrameType
	Channel uint16 // 0 in a SASL frame, where it means nothing
	Body    []byte // borrowed from the input; empty in a frame that only keeps alive
}

// Split takes one whole frame from the front of b and says how many bytes it is. A
// frame of more than limit bytes, header included, is refused as soon as its length is
// known, and so is a header that no frame can have; ErrShort means that all is well so
// far. Nothing is allocated.
func Split(b []byte, limit int) (f Frame, n int, err error) {
	if len(b) < 4 {
		return Frame{}, 0, ErrShort
	}
	size := binary.BigEndian.Uint32(b)
	switch {
	case size < FrameHeaderLen:
		return Frame{}, 0, errTooSmall
	case int64(size) > int64(limit):
		return Frame{}, 0, errTooLarge
	case len(b) < FrameHeaderLen:
		return Frame{}, 0, ErrShort
	}
	start := 4 * int(b[4])
	switch {
	case start < FrameHeaderLen || start > int(size):
		return Frame{}, 0, errDoff
	case b[5] > byte(FrameSASL):
		return Frame{}, 0, errFrameType
	case len(b) < int(size):
		return Frame{}, 0, ErrShort
	}
	f = Frame{Type: FrameType(b[5]), Body: b[start:size:size]}
	if f.Type == FrameAMQP {
		f.Channel = binary.BigEndian.Uint16(b[6:])
	}
	return f, int(size), nil
}

// Code says what the body is, by its descriptor alone. A frame without a body is an
// error: whoever knows keep-alives asks for the length before.
func (f Frame) Code() (Code, error) {
	if len(f.Body) == 0 {
		return 0, errBodyless
	}
	c, _, err := takeCode(f.Body)
	switch {
	case err != nil:
		return 0, err
	case f.Type == FrameAMQP && c >= CodeOpen && c <= CodeClose, f.Type == FrameSASL && c >= CodeSASLMechanisms && c <= CodeSASLOutcome:
		return c, nil
	}
	return 0, errPerformative
}

// openFrame begins a frame behind b.
func openFrame(b []byte, t FrameType, channel uint16) (out []byte, at int) {
	return append(b, 0, 0, 0, 0, FrameHeaderLen/4, byte(t), byte(channel>>8), byte(channel)), len(b)
}

// closeFrame ends the frame that began at at, of which extra bytes are still to come.
func closeFrame(b []byte, at, extra int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at+extra))
	return b
}

// AppendFrame writes a whole frame behind b. It boxes the value: a sender of many uses
// the methods of Transfer, Disposition and Flow.
func AppendFrame(b []byte, channel uint16, p Performative) []byte {
	b, at := openFrame(b, FrameAMQP, channel)
	return closeFrame(p.Append(b), at, 0)
}

// AppendSASL writes a whole SASL frame behind b.
func AppendSASL(b []byte, s SASL) []byte {
	b, at := openFrame(b, FrameSASL, 0)
	return closeFrame(s.Append(b), at, 0)
}

// AppendEmpty writes the frame that only keeps alive.
func AppendEmpty(b []byte) []byte {
	b, at := openFrame(b, FrameAMQP, 0)
	return closeFrame(b, at, 0)
}
