package mqtt

import (
	"bytes"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// own is the identity whose topics a connection may use. It holds no topic: they are
// compared piece by piece, so an idle connection keeps no strings for them.
type own iot.Identity

// meaning is what publishing to a topic means.
type meaning uint8

// The meanings of a topic. A foreign topic is everything that is not listed:
// unknown, malformed, or another identity's.
const (
	foreign      meaning = iota
	telemetry            // rest is the property bag, trimmed
	twinRead             // rest is the request id
	twinReport           // rest is the request id
	methodAnswer         // rest is of no interest yet
)

// The topics that are the same for every identity (device-mqtt-http 5, 6).
const (
	topicTwinRead     = "$iothub/twin/GET/"
	topicTwinReport   = "$iothub/twin/PATCH/properties/reported/"
	topicMethodAnswer = "$iothub/methods/res/"
)

// read says what a publish to topic means, without allocating. Whether a property bag
// is well formed is iot.ScanBag's to say.
func (o own) read(topic []byte) (what meaning, rest []byte) {
	if rest, ok := o.below(topic); ok {
		bag, ok := cutPrefix(rest, "messages/events")
		switch {
		case !ok:
			return foreign, nil
		case len(bag) == 0:
			return telemetry, nil
		case bag[0] == '/':
			return telemetry, iot.TrimBag(bag[1:])
		}
		return foreign, nil
	}
	if rest, ok := cutPrefix(topic, topicTwinRead); ok {
		return requestTopic(twinRead, rest)
	}
	if rest, ok := cutPrefix(topic, topicTwinReport); ok {
		return requestTopic(twinReport, rest)
	}
	if rest, ok := cutPrefix(topic, topicMethodAnswer); ok {
		return methodAnswer, rest
	}
	return foreign, nil
}

// requestTopic reads "?$rid=R" with anything behind the next '&'.
func requestTopic(what meaning, query []byte) (meaning, []byte) {
	rid, ok := cutPrefix(query, "?$rid=")
	if !ok {
		return foreign, nil
	}
	if i := bytes.IndexByte(rid, '&'); i >= 0 {
		rid = rid[:i]
	}
	if len(rid) == 0 || len(rid) > maxRequestID {
		return foreign, nil
	}
	return what, rid
}

// below cuts the identity's own prefix, "devices/D/" or "devices/D/modules/M/", from a
// topic or filter. The ids are literal.
func (o own) below(topic []byte) (rest []byte, ok bool) {
	if rest, ok = cutPrefix(topic, "devices/"); !ok {
		return nil, false
	}
	if rest, ok = cutSegment(rest, o.Device); !ok || o.Module == "" {
		return rest, ok
	}
	if rest, ok = cutPrefix(rest, "modules/"); !ok {
		return nil, false
	}
	return cutSegment(rest, o.Module)
}

// stream says what a subscription with this filter is to, or false if the identity
// may not use it (device-mqtt-http 8).
func (o own) stream(filter []byte) (device.Stream, bool) {
	switch string(filter) {
	case "$iothub/methods/POST/#":
		return device.Methods, true
	case "$iothub/twin/res/#":
		return device.TwinResponses, true
	case "$iothub/twin/PATCH/properties/desired/#":
		return device.DesiredChanges, true
	case "#": // in Microsoft's samples; whatever is below the identity
		if o.Module != "" {
			return device.ModuleEverything, true
		}
		return device.CloudToDevice, true
	}
	rest, ok := o.below(filter)
	if !ok {
		return 0, false
	}
	switch string(rest) {
	case "messages/devicebound/#", "messages/#": // Java's modules subscribe the first and need a SUBACK
		return device.CloudToDevice, true
	case "inputs/#":
		return device.ModuleInputs, o.Module != ""
	case "#":
		return device.ModuleEverything, o.Module != ""
	}
	return 0, false
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}
	return b[len(prefix):], true
}

// cutSegment cuts one whole level and the '/' behind it.
func cutSegment(b []byte, level string) ([]byte, bool) {
	rest, ok := cutPrefix(b, level)
	if !ok || len(rest) == 0 || rest[0] != '/' {
		return nil, false
	}
	return rest[1:], true
}
