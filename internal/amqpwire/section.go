package amqpwire

// takeSection takes one whole section from the front of b, checked: its type, and how
// long descriptor and whole are.
func takeSection(b []byte) (c Code, descriptor, n int, err error) {
	c, descriptor, err = takeCode(b)
	switch {
	case err != nil:
		return 0, 0, 0, err
	case c < CodeHeader || c > CodeFooter:
		return 0, 0, 0, errSection
	case descriptor == len(b):
		return 0, 0, 0, errTruncated
	}
	value := b[descriptor:]
	kind := formats[value[0]].kind
	switch c {
	case CodeValue:
		n, err = check(value, 0)
	case CodeData:
		if kind != KindBinary {
			return 0, 0, 0, errSectionType
		}
		n, err = check(value, 0)
	case CodeHeader, CodeProperties, CodeSequence:
		if kind != KindList {
			return 0, 0, 0, errSectionType
		}
		n, err = check(value, 0)
	default:
		if kind != KindMap {
			return 0, 0, 0, errSectionType
		}
		n, err = checkSectionMap(c, value)
	}
	if err != nil {
		return 0, 0, 0, err
	}
	return c, descriptor, descriptor + n, nil
}

// checkSectionMap is check, for a map whose keys are strings in application-properties
// (AMQP 3.2.5) and symbols or ulongs elsewhere (AMQP 3.2.10), where strings are let pass
// as well: rhea writes them in footers, and uamqp in annotations if its user does.
func checkSectionMap(c Code, b []byte) (n int, err error) {
	width := formats[b[0]].width
	content, n, err := sized(b[1:], width)
	if err != nil {
		return 0, err
	}
	count, m, err := number(content, width)
	switch {
	case err != nil:
		return 0, err
	case uint64(count) > uint64(len(content)-m):
		return 0, errCount
	case count%2 != 0:
		return 0, errOdd
	}
	content = content[m:]
	for i := range count {
		if i%2 == 0 && (len(content) == 0 || !isKey(c, formats[content[0]].kind)) {
			return 0, errKeyType
		}
		if m, err = check(content, 1); err != nil {
			return 0, err
		}
		content = content[m:]
	}
	if len(content) > 0 {
		return 0, errSize
	}
	return 1 + n, nil
}

func isKey(c Code, k Kind) bool {
	if c == CodeApplicationProperties {
		return k == KindString
	}
	return k == KindSymbol || k == KindUlong || k == KindString
}

// enterSection reads into a section that is a list; an empty one has no fields.
func (f *fields) enterSection(b []byte, c Code) error {
	if len(b) == 0 {
		return nil
	}
	got, n, err := f.enter(b)
	switch {
	case err != nil:
		return err
	case got != c:
		return errSection
	case n != len(b):
		return errSize
	}
	return nil
}

// DecodeAnnotations reads a section of delivery-annotations, message-annotations or
// footer: a map whose keys are symbols (or ulongs, or strings), borrowed; null if b is
// empty.
func DecodeAnnotations(b []byte) (Value, error) {
	return decodeMap(b, func(c Code) bool {
		return c == CodeDeliveryAnnotations || c == CodeMessageAnnotations || c == CodeFooter
	})
}

// DecodeApplicationProperties reads the section of that name: a map whose keys are
// strings, borrowed; null if b is empty. Values of any type are let pass.
func DecodeApplicationProperties(b []byte) (Value, error) {
	return decodeMap(b, func(c Code) bool { return c == CodeApplicationProperties })
}

func decodeMap(b []byte, is func(Code) bool) (Value, error) {
	if len(b) == 0 {
		return Value{}, nil
	}
	c, descriptor, n, err := takeSection(b)
	switch {
	case err != nil:
		return Value{}, err
	case !is(c):
		return Value{}, errSection
	case n != len(b):
		return Value{}, errSize
	}
	v, _ := parse(b[descriptor:])
	return v, nil
}

// AppendSection begins a section behind b; the caller appends its value: a list, a map
// (OpenMap), a binary, or any.
func AppendSection(b []byte, c Code) []byte { return appendCode(b, c) }

// AppendData writes a data section behind b.
func AppendData(b, data []byte) []byte { return AppendBinary(appendCode(b, CodeData), data) }
