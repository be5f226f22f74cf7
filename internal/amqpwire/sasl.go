package amqpwire

// SASL is the body of a SASL frame as a value: one of the five types below. Text and
// bytes are their own.
//
//sumtype:decl
type SASL interface {
	// Append writes the body behind b.
	Append(b []byte) []byte
	sasl()
}

// SASLMechanisms is what a server offers (AMQP 5.3.3.1).
type SASLMechanisms struct {
	Mechanisms []string
}

// SASLInit is the mechanism that a client chose (AMQP 5.3.3.2).
type SASLInit struct {
	Mechanism       string
	InitialResponse []byte // nil if there is none, empty if it is; a secret
	Hostname        string
}

// String leaves the secret out.
func (s SASLInit) String() string { return "sasl-init " + s.Mechanism }

// SASLChallenge is a server's question (AMQP 5.3.3.3).
type SASLChallenge struct {
	Challenge []byte
}

// SASLResponse is a client's answer (AMQP 5.3.3.4).
type SASLResponse struct {
	Response []byte // a secret
}

// String leaves the secret out.
func (s SASLResponse) String() string { return "sasl-response" }

// SASLOutcome ends the SASL layer (AMQP 5.3.3.5).
type SASLOutcome struct {
	Code           SASLCode
	AdditionalData []byte // nil for none
}

// SASLCode is how the SASL layer ended (AMQP 5.3.3.6).
type SASLCode byte

// The ends of the SASL layer.
const (
	SASLOK SASLCode = iota
	SASLAuth
	SASLSys
	SASLSysPerm
	SASLSysTemp
)

func (SASLMechanisms) sasl() {}
func (SASLInit) sasl()       {}
func (SASLChallenge) sasl()  {}
func (SASLResponse) sasl()   {}
func (SASLOutcome) sasl()    {}

// DecodeSASL reads the body of a SASL frame.
func (f Frame) DecodeSASL() (SASL, error) {
	c, err := f.Code()
	if err != nil {
		return nil, err
	}
	switch c {
	case CodeSASLMechanisms:
		return readSASL(f, func(s *SASLMechanisms, in *fields) { s.Mechanisms = in.symbols() })
	case CodeSASLInit:
		return readSASL(f, func(s *SASLInit, in *fields) {
			s.Mechanism, s.InitialResponse, s.Hostname = in.must(KindSymbol), in.binary(), in.string()
		})
	case CodeSASLChallenge:
		return readSASL(f, func(s *SASLChallenge, in *fields) { s.Challenge = in.mustBinary() })
	case CodeSASLResponse:
		return readSASL(f, func(s *SASLResponse, in *fields) { s.Response = in.mustBinary() })
	case CodeSASLOutcome:
		return readSASL(f, func(s *SASLOutcome, in *fields) {
			s.Code, s.AdditionalData = SASLCode(in.mustUbyte(uint8(SASLSysTemp))), in.binary()
		})
	default:
		return nil, errWrongFrame
	}
}

func readSASL[S SASL](f Frame, fill func(*S, *fields)) (SASL, error) {
	var s S
	if err := readBody(f.Body, &s, fill); err != nil {
		return nil, err
	}
	return s, nil
}

// Append writes the body behind b, the mechanisms as an array even if there is one.
func (s SASLMechanisms) Append(b []byte) []byte {
	l := openComposite(b, CodeSASLMechanisms)
	l.put()
	l.b = AppendSymbols(l.b, s.Mechanisms)
	return l.close()
}

// Append writes the body behind b.
func (s SASLInit) Append(b []byte) []byte {
	l := openComposite(b, CodeSASLInit)
	l.text(fmtSymbol8, s.Mechanism)
	l.bytes(fmtBinary8, s.InitialResponse)
	l.optText(fmtString8, s.Hostname)
	return l.close()
}

// Append writes the body behind b.
func (s SASLChallenge) Append(b []byte) []byte {
	return appendSASLBinary(b, CodeSASLChallenge, s.Challenge)
}

// Append writes the body behind b.
func (s SASLResponse) Append(b []byte) []byte {
	return appendSASLBinary(b, CodeSASLResponse, s.Response)
}

func appendSASLBinary(b []byte, c Code, v []byte) []byte {
	l := openComposite(b, c)
	l.put()
	l.b = AppendBinary(l.b, v)
	return l.close()
}

// Append writes the body behind b.
func (s SASLOutcome) Append(b []byte) []byte {
	l := openComposite(b, CodeSASLOutcome)
	l.ubyte(uint8(s.Code))
	l.bytes(fmtBinary8, s.AdditionalData)
	return l.close()
}
