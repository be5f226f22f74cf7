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

var kindNames = [...]string{ //nolint:gochecknoglobals // a table, never written
	KindNull:       "null",
	KindBool:       "boolean",
	KindUbyte:      "ubyte",
	KindUshort:     "ushort",
	KindUint:       "uint",
	KindUlong:      "ulong",
	KindByte:       "byte",
	KindShort:      "short",
	KindInt:        "int",
	KindLong:       "long",
	KindFloat:      "float",
	KindDouble:     "double",
	KindDecimal32:  "decimal32",
	KindDecimal64:  "decimal64",
	KindDecimal128: "decimal128",
	KindChar:       "char",
	KindTimestamp:  "timestamp",
	KindUUID:       "uuid",
	KindBinary:     "binary",
	KindString:     "string",
	KindSymbol:     "symbol",
	KindList:       "list",
	KindMap:        "map",
	KindArray:      "array",
	KindDescribed:  "described",
}

// String gives the standard's name of the type.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}
