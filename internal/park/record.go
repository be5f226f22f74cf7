package park

import "encoding/binary"

// The header of a TLS record (RFC 8446 5.1): its type, two bytes of version, two of length.
const (
	recordHeader = 5
	firstRecord  = 20           // change_cipher_spec, alert, handshake,
	lastRecord   = 23           // application_data
	maxRecord    = 1<<14 + 2048 // what crypto/tls takes at most
)

// record gives the length of the TLS record that in begins with, all of in if that is
// something else, and 0 as long as the record is not whole.
func record(in []byte) int {
	if len(in) == 0 {
		return 0
	}
	if in[0] < firstRecord || in[0] > lastRecord {
		return len(in)
	}
	if len(in) < recordHeader {
		return 0
	}
	n := recordHeader + int(binary.BigEndian.Uint16(in[3:recordHeader]))
	switch {
	case n > recordHeader+maxRecord:
		return len(in)
	case len(in) < n:
		return 0
	}
	return n
}
