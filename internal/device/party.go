package device

import (
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Proof is how a session proved its identity. It never holds a secret.
type Proof struct {
	Stamp      iot.Stamp
	Policy     string    // shared access policy that signed the token, empty for the identity's own key
	Slot       string    // "primary" or "secondary", empty for a CA-signed certificate
	Thumbprint string    // SHA-256 of the leaf, hex, empty for a token
	Authority  string    // the registered CA that vouched for the leaf, empty otherwise
	TokenHash  uint64    // keyed hash of the token text, for "the same token again?"; 0 for certificates
	Expires    time.Time // the token's se, or zero
}

// Party is one side of a connection's story: a session, and what is known of it
// that cannot be had later.
type Party struct {
	Identity iot.Identity
	Epoch    string // as store.Epoch prints it
	Opened   time.Time
	Clean    bool
	Client   Client
	Proof    Proof
	Conn     *Conn // never nil; Traffic goes on counting until the socket is closed
}

// Ending is how a session ended: who, why, and for a displacement, by whom.
type Ending struct {
	Party   Party
	At      time.Time
	Code    fault.Code // 0 for a clean goodbye
	Reason  string     // a sentence for the log
	By      *Party     // the newcomer, for a displacement
	Unacked uint64     // messages appended and not yet acknowledged when the fence fell
	// Released is how many cloud-to-device messages the client held, delivered and not
	// settled, that went back to its queue.
	Released uint64
	Will     bool // a will was appended
	TCP      TCP  // the kernel's view of the connection at this moment
}
