package iot

// MaxAuthorities is how many certificate authorities a hub keeps (service-rest E).
const MaxAuthorities = 25

// MaxAuthorityName is the longest name of a certificate authority, in characters
// of A-Z a-z 0-9 - . _.
const MaxAuthorityName = 64

// Authority is a certificate authority whose device certificates the hub accepts
// once it is verified. Certificates are public: nothing here is secret.
type Authority struct {
	Name             string `json:"name"`
	Subject          string `json:"subject"`
	Thumbprint       string `json:"thumbprint"` // SHA-256, upper-case hex
	NotBefore        Time   `json:"notBefore"`
	NotAfter         Time   `json:"notAfter"`
	Created          Time   `json:"created"`
	Updated          Time   `json:"updated"`
	IsVerified       bool   `json:"isVerified"`
	VerificationCode string `json:"verificationCode,omitempty"` // to be the CN of a certificate it signs; empty when none is open
	Certificate      string `json:"certificate"`                // PEM
	ETag             string `json:"etag"`
}

// ValidAuthorityName reports whether s may name a certificate authority.
func ValidAuthorityName(s string) bool {
	if len(s) == 0 || len(s) > MaxAuthorityName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.' && i > 0:
		default:
			return false
		}
	}
	return true
}
