package store

import (
	"context"
	"errors"

	"github.com/berth-iot/berth/internal/fault"
)

// Fault is what a refusal of the store is to whoever asked for op. A fault in
// err is given unchanged. A full disk, a hub that stops, a request given up and a conflict that does
// not end are ServiceUnavailable (try again later); all else is ServerError, and failed
// says what was not done.
func Fault(err error, op, failed string) *fault.Error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	switch {
	case errors.Is(err, ErrFull):
		return fault.Wrap(err, fault.ServiceUnavailable, op, "the hub's disk is full: %s; try again later", failed)
	case errors.Is(err, ErrClosed):
		return fault.Wrap(err, fault.ServiceUnavailable, op, "the hub is stopping")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.ServiceUnavailable, op, "the request was given up")
	case errors.Is(err, ErrConflict):
		return fault.Wrap(err, fault.ServiceUnavailable, op, "the same thing is being changed by too many at once; try again")
	}
	return fault.Wrap(err, fault.ServerError, op, "%s", failed)
}
