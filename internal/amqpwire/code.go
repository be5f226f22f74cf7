package amqpwire

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

	CodeSource              Code = 0x28
	CodeTarget              Code = 0x29
	CodeDeleteOnClose       Code = 0x2b
	CodeDeleteOnNoLinks     Code = 0x2c
	CodeDeleteOnNoMessages  Code = 0x2d
	CodeDeleteOnNoLinksMsgs Code = 0x2e
	CodeCoordinator         Code = 0x30
	CodeDeclared            Code = 0x33
	CodeTransactionalState  Code = 0x34

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
