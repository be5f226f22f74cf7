package amqpwire

import "errors"

// ErrShort says that the input ends before the frame or the protocol header does: call
// again with more.
var ErrShort = errors.New("amqpwire: need more input")

// DecodeError is input that breaks the standard, or a bound of this package.
type DecodeError struct {
	Condition string // what to tell the peer: CondDecodeError, CondFramingError ...
	Text      string
}

// Error gives the text and the condition.
func (e *DecodeError) Error() string { return e.Text + " [" + e.Condition + "]" }

// The errors of frames: what follows on this connection cannot be read.
var (
	errTooLarge   = &DecodeError{CondFramingError, "frame is larger than the receiver allows"}
	errTooSmall   = &DecodeError{CondFramingError, "frame is shorter than its header"}
	errDoff       = &DecodeError{CondFramingError, "frame body begins outside of the frame"}
	errFrameType  = &DecodeError{CondFramingError, "frame is neither AMQP nor SASL"}
	errBodyless   = &DecodeError{CondFramingError, "frame has no body"}
	errTrailing   = &DecodeError{CondFramingError, "bytes are left behind the performative"}
	errProto      = &DecodeError{CondFramingError, "no AMQP protocol header"}
	errWrongFrame = &DecodeError{CondFramingError, "frame of this type cannot carry this body"}
)

// The errors of what a frame or a message holds.
var (
	errTruncated    = &DecodeError{CondDecodeError, "a value runs past the end of its bytes"}
	errConstructor  = &DecodeError{CondDecodeError, "no type has this constructor"}
	errDepth        = &DecodeError{CondDecodeError, "values are nested too deeply"}
	errCount        = &DecodeError{CondDecodeError, "more elements than bytes for them"}
	errSize         = &DecodeError{CondDecodeError, "elements do not fill their list, map or array"}
	errOdd          = &DecodeError{CondDecodeError, "map has a key without a value"}
	errBool         = &DecodeError{CondDecodeError, "boolean is neither 0 nor 1"}
	errChar         = &DecodeError{CondDecodeError, "char is no Unicode scalar value"}
	errUTF8         = &DecodeError{CondDecodeError, "string is not well-formed UTF-8"}
	errASCII        = &DecodeError{CondDecodeError, "symbol is not ASCII"}
	errPerformative = &DecodeError{CondDecodeError, "unknown performative"}
	errNotDescribed = &DecodeError{CondDecodeError, "a described value was expected"}
	errNotList      = &DecodeError{CondDecodeError, "described value is not a list"}
	errMandatory    = &DecodeError{CondDecodeError, "a mandatory field is absent"}
	errFieldType    = &DecodeError{CondDecodeError, "a field has the wrong type"}
	errFieldValue   = &DecodeError{CondDecodeError, "a field has a value that the standard does not know"}
	errSection      = &DecodeError{CondDecodeError, "unknown message section"}
	errSectionType  = &DecodeError{CondDecodeError, "message section has the wrong type"}
	errSectionOrder = &DecodeError{CondDecodeError, "message sections are out of order"}
	errKeyType      = &DecodeError{CondDecodeError, "map key has the wrong type"}
)
