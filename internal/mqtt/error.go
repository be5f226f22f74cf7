package mqtt

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/mqttwire"
)

// refusal is the CONNACK for an error of Open, or of the CONNECT itself.
func refusal(err error) []byte {
	return mqttwire.Connack{Code: mqttwire.ReturnCode(fault.Of(err).ConnAck())}.Append(nil)
}

// versionRefusal answers a CONNECT of another protocol version: in MQTT 5's own form, or
// with return code 1 (MQTT-3.1.2-2).
func versionRefusal(err *mqttwire.VersionError) []byte {
	if err.Level == 5 {
		return mqttwire.AppendConnack5(nil, mqttwire.ReasonUnsupportedVersion)
	}
	return mqttwire.Connack{Code: mqttwire.RefusedVersion}.Append(nil)
}

// errorBody is the JSON of a twin response that is no success. Node reads nothing but
// errorCode (device-mqtt-http 5).
type errorBody struct {
	ErrorCode    int    `json:"errorCode"`
	TrackingID   string `json:"trackingId"`
	Message      string `json:"message"`
	TimestampUTC string `json:"timestampUtc"`
}

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

// newErrorBody writes the body for err.
func newErrorBody(err error, tracking string, now time.Time) []byte {
	code := fault.Of(err)
	message := fault.Detail(err)
	if message == "" {
		message = code.Name()
	}
	body, jsonErr := json.Marshal(errorBody{
		ErrorCode: int(code), TrackingID: tracking, Message: message,
		TimestampUTC: now.UTC().Format("2006-01-02T15:04:05.0000000Z"),
	})
	if jsonErr != nil { // numbers and strings always marshal
		return nil
	}
	return body
}
