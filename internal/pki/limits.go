package pki

import "time"

const (
	// caLife is how long the private CA is valid: longer than the devices that trust it.
	caLife = 20 * 365 * 24 * time.Hour
	// leafLife is how long a server certificate is valid: the most that strict
	// clients accept (825 days).
	leafLife = 820 * 24 * time.Hour
	// leafRenew is how long before its end a server certificate is issued anew.
	leafRenew = 90 * 24 * time.Hour
	// backdate is how far before now a certificate begins, for devices whose clock lags.
	backdate = 24 * time.Hour
	// rsaBits is the size of the RSA key, the least that is still accepted.
	rsaBits = 2048
	// handshakeTimeout is how long a handshake may take (architecture 6: an
	// unauthenticated peer costs 30 s at most).
	handshakeTimeout = 30 * time.Second
	// maxHandshakeInput is how many bytes a peer may send before the handshake is done: of
	// the 32 KiB it may send before its CONNECT is answered (threat classes), room for a
	// chain of certificates, and 8 KiB left for the CONNECT.
	maxHandshakeInput = 24 << 10
)
