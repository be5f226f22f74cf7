package device

import "github.com/berth-iot/berth/internal/iot"

// Grant is what the token of a shared access policy permits, once it was verified: the
// policy's rights, on what the token covers, until it ends.
type Grant struct {
	Policy string
	Rights iot.Right
	SAS    iot.SAS
}
