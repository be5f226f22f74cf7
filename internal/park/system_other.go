//go:build !linux

package park

import (
	"errors"
	"math"
)

// newSystem has nothing to offer: every connection takes the plain path.
func newSystem(func([]happening)) (system, error) { return nil, errors.ErrUnsupported }

// highest is unknown: descriptors are not bounded.
func highest() int { return math.MaxInt32 }
