package amqp

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
)

// tracker makes tracking ids: a random half for the connection, a counter for the rest.
type tracker struct {
	base  uint64
	count uint64
}

// next gives "<32 hex>-TimeStamp:<time>" (connections-errors-logs 1.5).
func (k *tracker) next(now time.Time) string {
	k.count++
	return fmt.Sprintf("%016x%016x-TimeStamp:%s", k.base, k.count, now.UTC().Format("01/02/2006 15:04:05"))
}

// The entries of an error's info.
const (
	infoTracking = "com.microsoft:tracking-id"
	infoCode     = "com.microsoft:error-code"
)

// condition is an error as AMQP carries it: the code's condition, a sentence, and code
// and tracking id in the info. Java and Node need an error with every refusal (amqp 10).
func (c *conn) condition(err error) *amqpwire.Error {
	code := fault.Of(err)
	text := fault.Detail(err)
	if text == "" {
		text = code.Name()
	}
	tracking := c.tracking.next(c.now)
	return &amqpwire.Error{
		Condition:   code.Condition(),
		Description: fmt.Sprintf("%s (%s, TrackingId:%s)", text, code, tracking),
		Info: amqpwire.Map(
			amqpwire.Symbol(infoTracking), amqpwire.String(tracking),
			amqpwire.Symbol(infoCode), amqpwire.Int(int32(code)),
		),
	}
}

// refusal is an error with a condition of its own.
func (c *conn) refusal(condition string, code fault.Code, format string, args ...any) *amqpwire.Error {
	e := c.condition(fault.New(code, "amqp", format, args...))
	e.Condition = condition
	return e
}

// asFault makes sure that an error of a neighbour has a code.
func asFault(err error, op string) error {
	if _, ok := errors.AsType[*fault.Error](err); ok || err == nil {
		return err
	}
	return fault.Wrap(err, fault.ServerError, op, "")
}

// quoted makes a peer's text fit for an error.
func quoted(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q...", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}

// errorBody is the JSON of an answer that is no success.
func errorBody(err error, text string) []byte {
	body, jsonErr := json.Marshal(struct {
		ErrorCode int    `json:"errorCode"`
		Message   string `json:"message"`
	}{int(fault.Of(err)), text})
	if jsonErr != nil { // a number and a string always marshal
		return nil
	}
	return body
}
