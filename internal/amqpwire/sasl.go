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

// SASLChallenge is a server's question (AMQP 5.3.3.3).
type SASLChallenge struct {
	Challenge []byte
}

// SASLResponse is a client's answer (AMQP 5.3.3.4).
type SASLResponse struct {
	Response []byte // a secret
}

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
