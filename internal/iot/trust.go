package iot

// Trust says whether a certificate authority must still prove that its key is in the
// hands of whoever registers it.
type Trust uint8

// The ways to register a certificate authority.
const (
	// ProvePossession: the authority counts once it has signed a certificate whose
	// common name is the verification code.
	ProvePossession Trust = iota
	// TrustFile: the authority counts at once.
	TrustFile
)
