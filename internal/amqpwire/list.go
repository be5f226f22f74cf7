package amqpwire

// list writes a composite value, field by field. A field that is absent is put off:
// before one that is there it becomes null, behind the last it is left out.
type list struct {
	b      []byte
	at     int
	count  int // fields written
	absent int // fields put off
}

// openComposite begins a described list behind b.
func openComposite(b []byte, c Code) list {
	b, at := OpenList(appendCode(b, c))
	return list{b: b, at: at}
}

func (l *list) close() []byte { return CloseList(l.b, l.at, l.count) }

// whole ends a list that has every field, null for those behind the last that is there:
// Python's azure-eventhub takes the fields of a performative and of an error by their
// place, and fails at a list that ends before.
func (l *list) whole() []byte {
	l.count += l.absent
	for ; l.absent > 0; l.absent-- {
		l.b = append(l.b, fmtNull)
	}
	return l.close()
}

// skip leaves a field out.
func (l *list) skip() { l.absent++ }

// put makes room for a field that is there.
func (l *list) put() {
	l.count += l.absent + 1
	for ; l.absent > 0; l.absent-- {
		l.b = append(l.b, fmtNull)
	}
}

// flag writes a boolean whose absence means false.
func (l *list) flag(v bool) {
	if !v {
		l.skip()
		return
	}
	l.bool(v)
}

func (l *list) bool(v bool) {
	l.put()
	l.b = AppendBool(l.b, v)
}

func (l *list) optBool(v Opt[bool]) {
	if !v.Set {
		l.skip()
		return
	}
	l.bool(v.V)
}

func (l *list) ubyte(v uint8) {
	l.put()
	l.b = append(l.b, fmtUbyte, v)
}

func (l *list) uint(v uint32) {
	l.put()
	l.b = AppendUint(l.b, v)
}

func (l *list) optUint(v Opt[uint32]) {
	if !v.Set {
		l.skip()
		return
	}
	l.uint(v.V)
}

// uintBut writes a uint whose absence means something.
func (l *list) uintBut(v, absent uint32) {
	if v == absent {
		l.skip()
		return
	}
	l.uint(v)
}

func (l *list) ushort(v uint16) {
	l.put()
	l.b = append(l.b, fmtUshort, byte(v>>8), byte(v))
}

func (l *list) timestamp(v Opt[int64]) {
	if !v.Set {
		l.skip()
		return
	}
	l.put()
	l.b = AppendTimestamp(l.b, v.V)
}

// text writes a string or a symbol, by its short constructor.
func (l *list) text(code byte, v string) {
	l.put()
	l.b = appendVariable(l.b, code, v)
}

// optText writes a string or a symbol; empty is absent.
func (l *list) optText(code byte, v string) {
	if v == "" {
		l.skip()
		return
	}
	l.text(code, v)
}

// bytes writes a binary, string or symbol, by its short constructor; nil is absent.
func (l *list) bytes(code byte, v []byte) {
	if v == nil {
		l.skip()
		return
	}
	l.put()
	l.b = appendVariable(l.b, code, v)
}

// symbols writes a field of many symbols, always as an array: not everybody reads a
// symbol that stands alone (AMQP 1.4). None is absent.
func (l *list) symbols(vs []string) {
	if len(vs) == 0 {
		l.skip()
		return
	}
	l.put()
	l.b = AppendSymbols(l.b, vs)
}

func (l *list) value(v Value) {
	if v.IsNull() {
		l.skip()
		return
	}
	l.put()
	l.b = v.Append(l.b)
}

func (l *list) state(s State) {
	if s == nil {
		l.skip()
		return
	}
	l.put()
	l.b = s.Append(l.b)
}
