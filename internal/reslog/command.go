package reslog

import (
	"strconv"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// command is the properties of a record of the category C2DCommands (connections 3).
// Azure writes the numbers as strings, but for ttl; spans are in seconds. What is
// not known of the sender, whose message waited in the store, is empty.
type command struct {
	DeviceID                string  `json:"deviceId"`
	ModuleID                string  `json:"moduleId,omitempty"`
	MessageID               string  `json:"messageId"`
	MessageSizeInBytes      string  `json:"messageSizeInBytes"`
	Protocol                string  `json:"protocol"`
	DeliveryAcknowledgement string  `json:"deliveryAcknowledgement"`
	DeliveryCount           string  `json:"deliveryCount"`
	ExpiryTime              string  `json:"expiryTime"`
	TimeInSystem            string  `json:"timeInSystem"`
	TTL                     int64   `json:"ttl"`
	EventProcessedUTC       string  `json:"EventProcessedUtcTime"`
	EventEnqueuedUTC        string  `json:"EventEnqueuedUtcTime"`
	MaskedIPAddress         string  `json:"maskedIpAddress"`
	StatusCode              *string `json:"statusCode"`
}

// MessageEnded records that a cloud-to-device message expired; other ends are no errors
// of anybody. Beyond a rate it is only counted. Azure publishes no code for it: the
// record has that of a request that was not answered in time.
func (l *Log) MessageEnded(e iot.MessageEnd) {
	if e.Status != iot.FeedbackExpired {
		return
	}
	const code = fault.RequestTimedOut
	id := clipID(e.Identity)
	l.queue.putLimited(item{
		at: e.At, operation: "messageExpired", category: categoryCommands, code: code, identity: id,
		properties: command{
			DeviceID: id.Device, ModuleID: id.Module, MessageID: clip(e.MessageID, iot.MaxCloudMessageID),
			MessageSizeInBytes: strconv.Itoa(e.Size), DeliveryAcknowledgement: acknowledgement(e.Ack),
			DeliveryCount: strconv.Itoa(e.DeliveryCount), ExpiryTime: stamp(e.Due),
			TimeInSystem: strconv.FormatInt(int64(e.At.Sub(e.Enqueued).Seconds()), 10), TTL: int64(e.Due.Sub(e.Enqueued).Seconds()),
			EventProcessedUTC: stamp(e.At), EventEnqueuedUTC: stamp(e.Enqueued), StatusCode: statusCode(code),
		},
	}, e.At)
}

// acknowledgement is the feedback that a sender asked for, as the log says it.
func acknowledgement(a iot.AckMode) string {
	switch a {
	case iot.AckPositive:
		return "PositiveOnly"
	case iot.AckNegative:
		return "NegativeOnly"
	case iot.AckFull:
		return "Full"
	case iot.AckUnset, iot.AckNone:
	}
	return "None"
}
