package amqpwire

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
