// Package fault is the hub's one error: a six-digit code with Azure's name, a
// detail for the device's author, and a cause for the operator.
//
// Its one invariant: number and name come from one table, because Azure's SDKs
// compare the number in an HTTP body with the name in the iothub-errorcode header.
// The first three digits of a code are its HTTP status.
package fault

import (
	"errors"
	"fmt"
)

// Code is a six-digit error code of Azure IoT Hub, or one of Berth's own where
// Azure has none.
type Code int

// Status is the HTTP status of the code: its first three digits.
func (c Code) Status() int { return int(c) / 1000 }

// Name is Azure's name of the code, as in iothub-errorcode and resultDescription.
func (c Code) Name() string { return row(c).name }

// String gives "404001 DeviceNotFound".
func (c Code) String() string { return fmt.Sprintf("%06d %s", int(c), c.Name()) }

// Scope says what dies with an error.
type Scope uint8

// The scopes, narrowest first.
const (
	ScopeOperation Scope = iota // the request; the link and the session live on
	ScopeLink
	ScopeSession
	ScopeConnection
)

// Scope is what an error of this code ends.
func (c Code) Scope() Scope { return row(c).scope }

// Condition is the AMQP error condition symbol of the code.
func (c Code) Condition() string { return row(c).condition }

// ConnAck is the MQTT 3.1.1 CONNACK return code of the code (device-mqtt-http 2.4):
// 5 for refusals, 3 for what a client should retry: the hub's own troubles, and a
// newcomer that an even newer one displaced before it was answered.
func (c Code) ConnAck() byte { return row(c).connack }

// Error is the hub's error.
type Error struct {
	Code   Code
	Op     string // "registry.get": package and operation
	Detail string // the device may read it; never a secret
	Err    error  // the cause; only the operator's log may read it
}

// New makes an Error without a cause.
func New(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Detail: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error with a cause.
func Wrap(err error, code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Detail: fmt.Sprintf(format, args...), Err: err}
}

// Error is the operator's text: code, operation, detail and cause.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Code.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches another Error of the same code, so errors.Is(err, &Error{Code: c}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Of gives the code of err: the outermost Error's, or ServerError for anything
// unclassified, so that an unclassified error is always an internal one.
func Of(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ServerError
}

// Detail gives what a device may read of err: the outermost Error's detail, and
// nothing of an unclassified one.
func Detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return ""
}

// Broken reports a broken invariant in pure code by panicking; the owner of the
// connection recovers, logs the stack and drops that connection only.
func Broken(format string, args ...any) {
	panic(fmt.Sprintf("broken invariant: "+format, args...)) //nolint:forbidigo // the one place that may
}
