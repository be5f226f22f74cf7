package mqttwire

import (
	"errors"
	"fmt"
)

// ErrShort says that the input ends before the packet does: call again with more.
var ErrShort = errors.New("mqttwire: need more input")

// Error is a packet that breaks the standard, or a bound of this package.
type Error struct {
	Clause string // the standard's number of the demand, as "MQTT-3.8.3-3"; empty for a bound of our own
	Text   string
}

// Error gives the text and the clause.
func (e *Error) Error() string {
	if e.Clause == "" {
		return e.Text
	}
	return e.Text + " [" + e.Clause + "]"
}

// VersionError is a CONNECT of another protocol version. Nothing behind the version
// was read.
type VersionError struct {
	Name  string // protocol name: "MQTT", or "MQIsdp" before 3.1.1
	Level byte
}

// Error names the version.
func (e *VersionError) Error() string {
	return fmt.Sprintf("protocol %q level %d is not supported [MQTT-3.1.2-2]", e.Name, e.Level)
}

// The errors of this package.
var (
	errTooLarge      = &Error{"", "packet is larger than the receiver allows"}
	errLength        = &Error{"MQTT-2.2.3", "remaining length has more than four bytes"}
	errType          = &Error{"MQTT-2.2.1", "reserved packet type"}
	errFlags         = &Error{"MQTT-2.2.2-2", "reserved flag bits are not as demanded"}
	errQoS           = &Error{"MQTT-3.3.1-4", "both QoS bits are set"}
	errDup           = &Error{"MQTT-3.3.1-2", "DUP is set with QoS 0"}
	errBodyLength    = &Error{"MQTT-2.2.3", "remaining length does not fit the packet type"}
	errTruncated     = &Error{"MQTT-2.2.3", "a field runs past the end of the packet"}
	errTrailing      = &Error{"MQTT-2.2.3", "bytes are left behind the last field"}
	errID            = &Error{"MQTT-2.3.1-1", "packet identifier is 0"}
	errUTF8          = &Error{"MQTT-1.5.3-1", "text is not well-formed UTF-8"}
	errNUL           = &Error{"MQTT-1.5.3-2", "text contains U+0000"}
	errTopicEmpty    = &Error{"MQTT-4.7.3-1", "topic name or filter is empty"}
	errTopicWild     = &Error{"MQTT-3.3.2-2", "topic name contains a wildcard"}
	errWillWild      = &Error{"MQTT-3.3.2-2", "will topic contains a wildcard"}
	errFilterHash    = &Error{"MQTT-4.7.1-2", "'#' is not the last level of the filter, or not alone in it"}
	errFilterPlus    = &Error{"MQTT-4.7.1-3", "'+' is not alone in its level of the filter"}
	errNoFilters     = &Error{"MQTT-3.8.3-3", "SUBSCRIBE has no topic filter"}
	errNoTopics      = &Error{"MQTT-3.10.3-2", "UNSUBSCRIBE has no topic filter"}
	errManyFilters   = &Error{"", "packet has more topic filters than the receiver allows"}
	errRequestedQoS  = &Error{"MQTT-3-8.3-4", "requested QoS has reserved bits or is 3"}
	errProtocolName  = &Error{"MQTT-3.1.2-1", "protocol name is not MQTT"}
	errConnectFlags  = &Error{"MQTT-3.1.2-3", "reserved CONNECT flag is set"}
	errWillFlags     = &Error{"MQTT-3.1.2-13", "will QoS or will retain is set without a will"}
	errWillQoS       = &Error{"MQTT-3.1.2-14", "will QoS is 3"}
	errPasswordAlone = &Error{"MQTT-3.1.2-22", "a password without a user name"}
	errAckFlags      = &Error{"MQTT-3.2.2-1", "reserved CONNACK flag bits are set"}
	errAckSession    = &Error{"MQTT-3.2.2-4", "session present with a refusal"}
	errReturnCode    = &Error{"MQTT-3.2.2-6", "reserved return code"}
	errSubackCode    = &Error{"MQTT-3.9.3-2", "reserved SUBACK return code"}
	errNoCodes       = &Error{"MQTT-3.8.4-5", "SUBACK has no return code"}
)
