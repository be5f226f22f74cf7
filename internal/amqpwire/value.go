package amqpwire

// Kind is a type of the standard (AMQP 1.6), whatever its encoding.
type Kind byte

// The types. A described value is a kind of its own.
const (
	KindNull Kind = iota
	KindBool
	KindUbyte
	KindUshort
	KindUint
	KindUlong
	KindByte
	KindShort
	KindInt
	KindLong
	KindFloat
	KindDouble
	KindDecimal32
	KindDecimal64
	KindDecimal128
	KindChar
	KindTimestamp
	KindUUID
	KindBinary
	KindString
	KindSymbol
	KindList
	KindMap
	KindArray
	KindDescribed
)

// Value is one value of any type, its type kept exactly. The zero Value is null.
//
// Numbers lie in the struct. Text, binary and what is composed lies in bytes that are
// borrowed from the input and were checked when the Value was decoded or made, so that
// reading from a Value cannot fail. Values are compared with Equal.
type Value struct {
	kind Kind
	code byte   // constructor of a list, map, array or described value
	num  uint64 // scalars, bit by bit
	raw  []byte // content of text, binary, uuid and decimals; what follows the constructor of the composed
}
