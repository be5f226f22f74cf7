package iot

import (
	"fmt"
	"strings"
	"time"
)

// AckMode says of which outcomes of its message a sender wants to hear (iothub-ack).
type AckMode uint8

// The kinds of acknowledgement. The numbers are stored.
const (
	AckUnset    AckMode = 0 // the sender did not say: as AckNone, but the device is not told
	AckNone     AckMode = 1
	AckPositive AckMode = 2 // of completion
	AckNegative AckMode = 3 // of everything else
	AckFull     AckMode = 4
)

// String gives the value of iothub-ack: "none", "positive", "negative", "full", or ""
// for AckUnset.
func (a AckMode) String() string {
	switch a {
	case AckNone:
		return "none"
	case AckPositive:
		return "positive"
	case AckNegative:
		return "negative"
	case AckFull:
		return "full"
	case AckUnset:
	}
	return ""
}

// ParseAck reads a value of iothub-ack, letter case aside; the empty text is AckUnset.
func ParseAck(s string) (AckMode, error) {
	for a := AckUnset; a <= AckFull; a++ {
		if strings.EqualFold(s, a.String()) {
			return a, nil
		}
	}
	return AckUnset, fmt.Errorf("iothub-ack %.*q is not one of none, positive, negative, full", maxEnumText, s)
}

// Wants reports whether a sender that asked for a wants to hear of an outcome.
func (a AckMode) Wants(s FeedbackStatus) bool {
	switch a {
	case AckFull:
		return true
	case AckPositive:
		return s == FeedbackSuccess
	case AckNegative:
		return s != FeedbackSuccess
	case AckUnset, AckNone:
	}
	return false
}

// FeedbackStatus is how a cloud-to-device message ended.
type FeedbackStatus string

// The ends of a cloud-to-device message.
const (
	FeedbackSuccess               FeedbackStatus = "Success"  // completed
	FeedbackRejected              FeedbackStatus = "Rejected" // by the device
	FeedbackExpired               FeedbackStatus = "Expired"
	FeedbackDeliveryCountExceeded FeedbackStatus = "DeliveryCountExceeded" // abandoned too often
	FeedbackPurged                FeedbackStatus = "Purged"
)

// MessageEnd is how a cloud-to-device message ended, for logs and metrics.
type MessageEnd struct {
	Identity      Identity
	Status        FeedbackStatus
	At            time.Time // UTC
	MessageID     string    // known if the message expired, or its sender wants feedback; may be empty
	Size          int       // as CloudMessage.Size
	Ack           AckMode
	DeliveryCount int       // how often it was abandoned
	Enqueued      time.Time // UTC, milliseconds
	Due           time.Time // when it expires, or would have
}

// The content types of what the hub sends to back-ends by itself (amqp 5).
const (
	FeedbackContentType         = "application/vnd.microsoft.iothub.feedback.json"
	FileNotificationContentType = "application/vnd.microsoft.iothub.filenotification.json"
)

// MaxFeedbackRecords is how many records one feedback message holds.
const MaxFeedbackRecords = 64

// FeedbackRecord tells a sender how one of its messages ended. The body of a feedback
// message is a JSON array of these (amqp 5).
type FeedbackRecord struct {
	OriginalMessageID  string         `json:"originalMessageId"`
	Description        string         `json:"description"` // the status again: the C SDK reads it here
	DeviceGenerationID string         `json:"deviceGenerationId"`
	DeviceID           string         `json:"deviceId"`
	ModuleID           string         `json:"moduleId,omitempty"`
	EnqueuedTimeUTC    Time           `json:"enqueuedTimeUtc"` // when the message ended
	StatusCode         FeedbackStatus `json:"statusCode"`
}

// PurgeResult answers DELETE /devices/{id}/commands (service-rest B.7).
type PurgeResult struct {
	DeviceID            string     `json:"deviceId"`
	ModuleID            NullString `json:"moduleId"`
	TotalMessagesPurged int        `json:"totalMessagesPurged"`
}
