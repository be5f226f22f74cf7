package amqpwire

import "iter"

// SplitProto takes a protocol header from the front of b. ErrShort means that all is
// well so far.
func SplitProto(b []byte) (h ProtoHeader, n int, err error) { return h, 0, errProto }

// Supported says whether this package speaks what the header asks for.
func (h ProtoHeader) Supported() bool { return false }

// AppendProto writes the protocol header of version 1.0.0.
func AppendProto(b []byte, p Proto) []byte { return b }

// Split takes one whole frame from the front of b and says how many bytes it is. A
// frame of more than limit bytes, header included, is refused as soon as its length is
// known; ErrShort means that all is well so far. Nothing is allocated.
func Split(b []byte, limit int) (f Frame, n int, err error) { return f, 0, errTooLarge }

// Code says which body a frame has. An empty frame is an error: ask before.
func (f Frame) Code() (Code, error) { return 0, errBodyless }

// Decode reads the body of any AMQP frame. It boxes the value: a receiver of many
// messages asks Code and uses Transfer, Disposition and Flow.
func (f Frame) Decode() (Performative, error) { return nil, errPerformative }

// DecodeSASL reads the body of a SASL frame.
func (f Frame) DecodeSASL() (SASL, error) { return nil, errPerformative }

// Transfer reads the body of a transfer; nothing is allocated unless its state is a
// rejection.
func (f Frame) Transfer() (Transfer, error) { return Transfer{}, errPerformative }

// Disposition reads the body of a disposition, likewise.
func (f Frame) Disposition() (Disposition, error) { return Disposition{}, errPerformative }

// Flow reads the body of a flow.
func (f Frame) Flow() (Flow, error) { return Flow{}, errPerformative }

// AppendFrame writes a whole frame behind b.
func AppendFrame(b []byte, channel uint16, p Performative) []byte { return b }

// AppendSASL writes a whole SASL frame behind b.
func AppendSASL(b []byte, s SASL) []byte { return b }

// AppendEmpty writes the frame that only keeps alive.
func AppendEmpty(b []byte) []byte { return b }

// AppendFrame writes a whole frame with the payload behind b, boxing nothing.
func (t *Transfer) AppendFrame(b []byte, channel uint16) []byte { return b }

// AppendHeader writes frame header and performative for a payload of n bytes, which the
// caller puts behind it. t.Payload is not read.
func (t *Transfer) AppendHeader(b []byte, channel uint16, n int) []byte { return b }

// AppendPart writes one frame of at most maxFrame bytes that carries as much of payload
// as fits, and gives the rest. A rest that is not empty has set the frame's more flag;
// t itself is unchanged. The caller clears Tag, DeliveryID ... for the next part if it
// wants them gone.
func (t *Transfer) AppendPart(b []byte, channel uint16, maxFrame int, payload []byte) (out, rest []byte) {
	return b, nil
}

// AppendFrame writes a whole frame behind b, boxing nothing.
func (d *Disposition) AppendFrame(b []byte, channel uint16) []byte { return b }

// AppendFrame writes a whole frame behind b, boxing nothing.
func (f *Flow) AppendFrame(b []byte, channel uint16) []byte { return b }

// Append writes the performative behind b.
func (o Open) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (p Begin) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (a Attach) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (f Flow) Append(b []byte) []byte { return b }

// Append writes performative and payload behind b.
func (t Transfer) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (d Disposition) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (d Detach) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (e End) Append(b []byte) []byte { return b }

// Append writes the performative behind b.
func (c Close) Append(b []byte) []byte { return b }

// Append writes the mechanisms behind b, always as an array.
func (s SASLMechanisms) Append(b []byte) []byte { return b }

// Append writes the body behind b.
func (s SASLInit) Append(b []byte) []byte { return b }

// Append writes the body behind b.
func (s SASLChallenge) Append(b []byte) []byte { return b }

// Append writes the body behind b.
func (s SASLResponse) Append(b []byte) []byte { return b }

// Append writes the body behind b.
func (s SASLOutcome) Append(b []byte) []byte { return b }

// Append writes the state behind b.
func (s Received) Append(b []byte) []byte { return b }

// Append writes the state behind b.
func (Accepted) Append(b []byte) []byte { return b }

// Append writes the state behind b.
func (s Rejected) Append(b []byte) []byte { return b }

// Append writes the state behind b.
func (Released) Append(b []byte) []byte { return b }

// Append writes the state behind b.
func (s Modified) Append(b []byte) []byte { return b }

// Append writes the state behind b.
func (s Other) Append(b []byte) []byte { return b }

// Append writes the source behind b.
func (s *Source) Append(b []byte) []byte { return b }

// Append writes the target behind b.
func (n *Node) Append(b []byte) []byte { return b }

// Append writes the target behind b.
func (c *Coordinator) Append(b []byte) []byte { return b }

// DecodeValue takes one value of any type from the front of b and says how many bytes
// it was. The value borrows from b; nothing is allocated.
func DecodeValue(b []byte) (v Value, n int, err error) { return v, 0, errTruncated }

// The makers of values. Binary borrows, text is copied.
// Bool makes a boolean.
func Bool(v bool) Value { return Value{} }

// Ubyte makes a ubyte; the others likewise.
func Ubyte(v uint8) Value { return Value{} }

// Ushort makes a ushort.
func Ushort(v uint16) Value { return Value{} }

// Uint makes a uint.
func Uint(v uint32) Value { return Value{} }

// Ulong makes a ulong.
func Ulong(v uint64) Value { return Value{} }

// Byte makes a byte.
func Byte(v int8) Value { return Value{} }

// Short makes a short.
func Short(v int16) Value { return Value{} }

// Int makes an int.
func Int(v int32) Value { return Value{} }

// Long makes a long.
func Long(v int64) Value { return Value{} }

// Float makes a float.
func Float(v float32) Value { return Value{} }

// Double makes a double.
func Double(v float64) Value { return Value{} }

// Decimal32 makes a decimal32 of its bytes.
func Decimal32(v [4]byte) Value { return Value{} }

// Decimal64 makes a decimal64 of its bytes.
func Decimal64(v [8]byte) Value { return Value{} }

// Decimal128 makes a decimal128 of its bytes.
func Decimal128(v [16]byte) Value { return Value{} }

// Char makes a char.
func Char(v rune) Value { return Value{} }

// Timestamp makes a timestamp of milliseconds since 1970.
func Timestamp(ms int64) Value { return Value{} }

// UUID makes a uuid.
func UUID(v [16]byte) Value { return Value{} }

// Binary makes a binary that borrows v.
func Binary(v []byte) Value { return Value{} }

// String makes a string.
func String(v string) Value { return Value{} }

// Symbol makes a symbol.
func Symbol(v string) Value { return Value{} }

// List makes a list.
func List(vs ...Value) Value { return Value{} }

// Map makes a map of key, value, key, value ...; the order is kept.
func Map(kv ...Value) Value { return Value{} }

// Array makes an array of elements of one kind, which is that of vs[0], or null.
func Array(vs ...Value) Value { return Value{} }

// Described makes a described value.
func Described(descriptor, v Value) Value { return Value{} }

// Kind is the type.
func (v Value) Kind() Kind { return v.kind }

// IsNull says whether the value is null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// AsBool gives a boolean.
func (v Value) AsBool() (x, ok bool) { return false, false }

// AsInt gives an integer of any width, signed or not, if it fits.
func (v Value) AsInt() (x int64, ok bool) { return 0, false }

// AsUint gives an integer of any width, signed or not, if it fits.
func (v Value) AsUint() (x uint64, ok bool) { return 0, false }

// AsFloat gives a float or double.
func (v Value) AsFloat() (x float64, ok bool) { return 0, false }

// AsTimestamp gives milliseconds since 1970.
func (v Value) AsTimestamp() (ms int64, ok bool) { return 0, false }

// AsChar gives a char.
func (v Value) AsChar() (x rune, ok bool) { return 0, false }

// AsUUID gives a uuid.
func (v Value) AsUUID() (x [16]byte, ok bool) { return x, false }

// AsBinary gives a binary, borrowed.
func (v Value) AsBinary() (x []byte, ok bool) { return nil, false }

// AsText gives a string or a symbol, copied.
func (v Value) AsText() (x string, ok bool) { return "", false }

// Raw gives the content of a string, symbol, binary, uuid or decimal, borrowed; nil of others.
func (v Value) Raw() []byte { return nil }

// Len is how many elements a list or array has, or how many pairs a map has.
func (v Value) Len() int { return 0 }

// Elements gives the elements of a list or array in order.
func (v Value) Elements() iter.Seq[Value] { return nil }

// Pairs gives the pairs of a map in order.
func (v Value) Pairs() iter.Seq2[Value, Value] { return nil }

// Get gives the value that a map has for a key, which is a string or a symbol; null if
// there is none.
func (v Value) Get(key string) Value { return Value{} }

// AsDescribed gives the parts of a described value.
func (v Value) AsDescribed() (descriptor, inner Value, ok bool) { return v, v, false }

// Descriptor of an array of described values: null if they are not described. Elements
// gives what is described.
func (v Value) Descriptor() Value { return Value{} }

// Clone gives a value that borrows from nobody.
func (v Value) Clone() Value { return v }

// Equal says whether two values have the same type and content, whatever their encoding.
func (v Value) Equal(w Value) bool { return false }

// Append writes the value behind b: scalars and text in their shortest encoding, what is
// composed as it came.
func (v Value) Append(b []byte) []byte { return b }

// AppendNull writes null; the others likewise, each in its shortest encoding.
func AppendNull(b []byte) []byte { return b }

// AppendBool writes a boolean.
func AppendBool(b []byte, v bool) []byte { return b }

// AppendUbyte writes a ubyte.
func AppendUbyte(b []byte, v uint8) []byte { return b }

// AppendUint writes a uint.
func AppendUint(b []byte, v uint32) []byte { return b }

// AppendUlong writes a ulong.
func AppendUlong(b []byte, v uint64) []byte { return b }

// AppendInt writes an int.
func AppendInt(b []byte, v int32) []byte { return b }

// AppendLong writes a long.
func AppendLong(b []byte, v int64) []byte { return b }

// AppendTimestamp writes a timestamp.
func AppendTimestamp(b []byte, ms int64) []byte { return b }

// AppendUUID writes a uuid.
func AppendUUID(b []byte, v [16]byte) []byte { return b }

// AppendBinary writes a binary.
func AppendBinary(b, v []byte) []byte { return b }

// AppendString writes a string.
func AppendString[T string | []byte](b []byte, v T) []byte { return b }

// AppendSymbol writes a symbol.
func AppendSymbol[T string | []byte](b []byte, v T) []byte { return b }

// AppendSymbols writes an array of symbols.
func AppendSymbols(b []byte, vs []string) []byte { return b }

// OpenMap begins a map behind b, whose keys and values the caller appends; CloseMap ends
// it, given where it began.
func OpenMap(b []byte) (out []byte, at int) { return b, 0 }

// CloseMap ends a map of so many pairs.
func CloseMap(b []byte, at, pairs int) []byte { return b }

// OpenList begins a list, likewise.
func OpenList(b []byte) (out []byte, at int) { return b, 0 }

// CloseList ends a list of so many elements.
func CloseList(b []byte, at, elements int) []byte { return b }

// AppendSection begins a section behind b: its value is to follow.
func AppendSection(b []byte, c Code) []byte { return b }

// AppendData writes a data section.
func AppendData(b, data []byte) []byte { return b }

// ScanMessage checks a whole message and cuts it into its sections. Nothing is
// allocated. A message without a body is let pass, as devices send it.
func ScanMessage(b []byte) (Message, error) { return Message{}, errSection }

// Data gives the contents of the body's data sections in order, borrowed; nothing if
// the body is none.
func (m *Message) Data() iter.Seq[[]byte] { return nil }

// Value gives the body's amqp-value; null if there is none.
func (m *Message) Value() Value { return Value{} }

// DecodeHeader reads a header section; the zero Header if b is empty.
func DecodeHeader(b []byte) (Header, error) { return Header{}, nil }

// DecodeProperties reads a properties section; the zero Properties if b is empty.
// Nothing is allocated.
func DecodeProperties(b []byte) (Properties, error) { return Properties{}, nil }

// DecodeAnnotations reads a section of annotations or a footer: a map with symbol (or
// ulong) keys; null if b is empty.
func DecodeAnnotations(b []byte) (Value, error) { return Value{}, nil }

// DecodeApplicationProperties reads the section of that name: a map with string keys;
// null if b is empty.
func DecodeApplicationProperties(b []byte) (Value, error) { return Value{}, nil }

// Append writes the section behind b; nothing if every field is absent.
func (h Header) Append(b []byte) []byte { return b }

// Append writes the section behind b; nothing if every field is absent.
func (p *Properties) Append(b []byte) []byte { return b }
