package amqpwire

import "encoding/binary"

// Code is the numeric descriptor of a composite type of the standard (its domain,
// 0x00000000, is left out).
type Code byte

// The descriptors of the standard.
const (
	CodeOpen        Code = 0x10
	CodeBegin       Code = 0x11
	CodeAttach      Code = 0x12
	CodeFlow        Code = 0x13
	CodeTransfer    Code = 0x14
	CodeDisposition Code = 0x15
	CodeDetach      Code = 0x16
	CodeEnd         Code = 0x17
	CodeClose       Code = 0x18
	CodeError       Code = 0x1d

	CodeReceived Code = 0x23
	CodeAccepted Code = 0x24
	CodeRejected Code = 0x25
	CodeReleased Code = 0x26
	CodeModified Code = 0x27

	CodeSource                    Code = 0x28
	CodeTarget                    Code = 0x29
	CodeDeleteOnClose             Code = 0x2b // the lifetime policies of a dynamic node
	CodeDeleteOnNoLinks           Code = 0x2c
	CodeDeleteOnNoMessages        Code = 0x2d
	CodeDeleteOnNoLinksOrMessages Code = 0x2e
	CodeCoordinator               Code = 0x30
	CodeDeclare                   Code = 0x31
	CodeDischarge                 Code = 0x32
	CodeDeclared                  Code = 0x33
	CodeTransactionalState        Code = 0x34

	CodeSASLMechanisms Code = 0x40
	CodeSASLInit       Code = 0x41
	CodeSASLChallenge  Code = 0x42
	CodeSASLResponse   Code = 0x43
	CodeSASLOutcome    Code = 0x44

	CodeHeader                Code = 0x70
	CodeDeliveryAnnotations   Code = 0x71
	CodeMessageAnnotations    Code = 0x72
	CodeProperties            Code = 0x73
	CodeApplicationProperties Code = 0x74
	CodeData                  Code = 0x75
	CodeSequence              Code = 0x76
	CodeValue                 Code = 0x77
	CodeFooter                Code = 0x78
)

// codeNames holds the symbolic descriptors, which a peer may use as well (AMQP 1.3).
var codeNames = [...]string{ //nolint:gochecknoglobals // a table, never written
	CodeOpen:                      "amqp:open:list",
	CodeBegin:                     "amqp:begin:list",
	CodeAttach:                    "amqp:attach:list",
	CodeFlow:                      "amqp:flow:list",
	CodeTransfer:                  "amqp:transfer:list",
	CodeDisposition:               "amqp:disposition:list",
	CodeDetach:                    "amqp:detach:list",
	CodeEnd:                       "amqp:end:list",
	CodeClose:                     "amqp:close:list",
	CodeError:                     "amqp:error:list",
	CodeReceived:                  "amqp:received:list",
	CodeAccepted:                  "amqp:accepted:list",
	CodeRejected:                  "amqp:rejected:list",
	CodeReleased:                  "amqp:released:list",
	CodeModified:                  "amqp:modified:list",
	CodeSource:                    "amqp:source:list",
	CodeTarget:                    "amqp:target:list",
	CodeDeleteOnClose:             "amqp:delete-on-close:list",
	CodeDeleteOnNoLinks:           "amqp:delete-on-no-links:list",
	CodeDeleteOnNoMessages:        "amqp:delete-on-no-messages:list",
	CodeDeleteOnNoLinksOrMessages: "amqp:delete-on-no-links-or-messages:list",
	CodeCoordinator:               "amqp:coordinator:list",
	CodeDeclare:                   "amqp:declare:list",
	CodeDischarge:                 "amqp:discharge:list",
	CodeDeclared:                  "amqp:declared:list",
	CodeTransactionalState:        "amqp:transactional-state:list",
	CodeSASLMechanisms:            "amqp:sasl-mechanisms:list",
	CodeSASLInit:                  "amqp:sasl-init:list",
	CodeSASLChallenge:             "amqp:sasl-challenge:list",
	CodeSASLResponse:              "amqp:sasl-response:list",
	CodeSASLOutcome:               "amqp:sasl-outcome:list",
	CodeHeader:                    "amqp:header:list",
	CodeDeliveryAnnotations:       "amqp:delivery-annotations:map",
	CodeMessageAnnotations:        "amqp:message-annotations:map",
	CodeProperties:                "amqp:properties:list",
	CodeApplicationProperties:     "amqp:application-properties:map",
	CodeData:                      "amqp:data:binary",
	CodeSequence:                  "amqp:amqp-sequence:list",
	CodeValue:                     "amqp:amqp-value:*",
	CodeFooter:                    "amqp:footer:map",
}

// String gives the symbolic descriptor.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return "unknown"
}

// Code says which type of the standard a described value is, in either form of its
// descriptor; false if it is none.
func (v Value) Code() (Code, bool) {
	if v.kind != KindDescribed {
		return 0, false
	}
	d, _ := parse(v.raw)
	var c Code
	switch d.kind {
	case KindUlong:
		c = known(d.num)
	case KindSymbol:
		c = named(d.raw)
	default:
	}
	return c, c != 0
}

// known gives the code of a numeric descriptor; 0 if the standard has no such.
func known(v uint64) Code {
	if v < uint64(len(codeNames)) && codeNames[v] != "" {
		return Code(v)
	}
	return 0
}

// named gives the code of a symbolic descriptor; 0 if the standard has no such.
func named(symbol []byte) Code {
	for c, name := range codeNames {
		if name != "" && string(symbol) == name {
			return Code(c)
		}
	}
	return 0
}

// takeCode takes the descriptor from the front of a described value. A descriptor that
// the standard does not know is 0 and no error.
func takeCode(b []byte) (c Code, n int, err error) {
	if len(b) > 2 && b[0] == fmtDescribed && b[1] == fmtSmallUlong { // as nearly everybody writes it
		return known(uint64(b[2])), 3, nil
	}
	if len(b) == 0 || b[0] != fmtDescribed {
		return 0, 0, errNotDescribed
	}
	n, err = check(b[1:], 1)
	if err != nil {
		return 0, 0, err
	}
	d := b[1 : 1+n]
	switch d[0] {
	case fmtUlong:
		c = known(binary.BigEndian.Uint64(d[1:]))
	case fmtSymbol8, fmtSymbol32:
		v, _ := parse(d)
		c = named(v.raw)
	}
	return c, 1 + n, nil
}

// appendCode writes a descriptor.
func appendCode(b []byte, c Code) []byte { return append(b, fmtDescribed, fmtSmallUlong, byte(c)) }
