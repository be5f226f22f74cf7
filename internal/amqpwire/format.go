package amqpwire

// The constructors of the standard (AMQP 1.6).
const (
	fmtDescribed  = 0x00
	fmtNull       = 0x40
	fmtTrue       = 0x41
	fmtFalse      = 0x42
	fmtUint0      = 0x43
	fmtUlong0     = 0x44
	fmtList0      = 0x45
	fmtUbyte      = 0x50
	fmtByte       = 0x51
	fmtSmallUint  = 0x52
	fmtSmallUlong = 0x53
	fmtSmallInt   = 0x54
	fmtSmallLong  = 0x55
	fmtBool       = 0x56
	fmtUshort     = 0x60
	fmtShort      = 0x61
	fmtUint       = 0x70
	fmtInt        = 0x71
	fmtFloat      = 0x72
	fmtChar       = 0x73
	fmtDecimal32  = 0x74
	fmtUlong      = 0x80
	fmtLong       = 0x81
	fmtDouble     = 0x82
	fmtTimestamp  = 0x83
	fmtDecimal64  = 0x84
	fmtDecimal128 = 0x94
	fmtUUID       = 0x98
	fmtBinary8    = 0xa0
	fmtString8    = 0xa1
	fmtSymbol8    = 0xa3
	fmtBinary32   = 0xb0
	fmtString32   = 0xb1
	fmtSymbol32   = 0xb3
	fmtList8      = 0xc0
	fmtMap8       = 0xc1
	fmtList32     = 0xd0
	fmtMap32      = 0xd1
	fmtArray8     = 0xe0
	fmtArray32    = 0xf0
)

// shape is how the bytes behind a constructor are laid out.
type shape byte

const (
	shapeNone shape = iota // no such constructor
	shapeFixed
	shapeVariable // size, content
	shapeCompound // size, count, values with constructors
	shapeArray    // size, count, constructor, values without
)

// format is what a constructor means.
type format struct {
	kind  Kind
	shape shape
	width uint8 // bytes of a fixed value, or of the size and of the count of another
}

var formats = [256]format{ //nolint:gochecknoglobals // a table, never written
	fmtNull:       {KindNull, shapeFixed, 0},
	fmtTrue:       {KindBool, shapeFixed, 0},
	fmtFalse:      {KindBool, shapeFixed, 0},
	fmtUint0:      {KindUint, shapeFixed, 0},
	fmtUlong0:     {KindUlong, shapeFixed, 0},
	fmtList0:      {KindList, shapeFixed, 0},
	fmtUbyte:      {KindUbyte, shapeFixed, 1},
	fmtByte:       {KindByte, shapeFixed, 1},
	fmtSmallUint:  {KindUint, shapeFixed, 1},
	fmtSmallUlong: {KindUlong, shapeFixed, 1},
	fmtSmallInt:   {KindInt, shapeFixed, 1},
	fmtSmallLong:  {KindLong, shapeFixed, 1},
	fmtBool:       {KindBool, shapeFixed, 1},
	fmtUshort:     {KindUshort, shapeFixed, 2},
	fmtShort:      {KindShort, shapeFixed, 2},
	fmtUint:       {KindUint, shapeFixed, 4},
	fmtInt:        {KindInt, shapeFixed, 4},
	fmtFloat:      {KindFloat, shapeFixed, 4},
	fmtChar:       {KindChar, shapeFixed, 4},
	fmtDecimal32:  {KindDecimal32, shapeFixed, 4},
	fmtUlong:      {KindUlong, shapeFixed, 8},
	fmtLong:       {KindLong, shapeFixed, 8},
	fmtDouble:     {KindDouble, shapeFixed, 8},
	fmtTimestamp:  {KindTimestamp, shapeFixed, 8},
	fmtDecimal64:  {KindDecimal64, shapeFixed, 8},
	fmtDecimal128: {KindDecimal128, shapeFixed, 16},
	fmtUUID:       {KindUUID, shapeFixed, 16},
	fmtBinary8:    {KindBinary, shapeVariable, 1},
	fmtString8:    {KindString, shapeVariable, 1},
	fmtSymbol8:    {KindSymbol, shapeVariable, 1},
	fmtBinary32:   {KindBinary, shapeVariable, 4},
	fmtString32:   {KindString, shapeVariable, 4},
	fmtSymbol32:   {KindSymbol, shapeVariable, 4},
	fmtList8:      {KindList, shapeCompound, 1},
	fmtMap8:       {KindMap, shapeCompound, 1},
	fmtList32:     {KindList, shapeCompound, 4},
	fmtMap32:      {KindMap, shapeCompound, 4},
	fmtArray8:     {KindArray, shapeArray, 1},
	fmtArray32:    {KindArray, shapeArray, 4},
}
