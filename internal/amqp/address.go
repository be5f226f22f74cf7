package amqp

import (
	"strings"

	"github.com/berth-iot/berth/internal/iot"
)

// address is what a link is to, as the hub reads what its client wrote.
type address struct {
	place     place
	identity  iot.Identity // of the device's own places
	entity    string       // of the event endpoint's places: the name before it, "" for none
	group     string       // placePartition: the consumer group
	partition string       // placePartition: the partition, as written
	rest      string       // placeEvents: what followed messages/events, with its slash
}

// place is the closed set of what the hub has for links.
type place uint8

const (
	placeUnknown    place = iota
	placeCBS              // $cbs
	placeManagement       // $management, {hub}/$management
	placePartition        // {hub}/ConsumerGroups/{group}/Partitions/{n}
	placeEvents           // /messages/events…, where clients ask for the event endpoint
	placeCommands         // /messages/devicebound: a back-end sends to any device
	placeFeedback         // /messages/servicebound/feedback
	placeFiles            // /messages/servicebound/filenotifications
	placeTelemetry        // …/messages/events: what a device sends, a module receives its inputs from
	placeInbox            // …/messages/devicebound: what a device receives
	placeMethods          // …/methods/devicebound
	placeTwin             // …/twin
)

// parseAddress reads the address of a link: a path or a URI, with or without a leading
// slash. Its words match without regard to case, ids exactly; a segment may be
// percent-encoded (amqp 3).
func parseAddress(text string) address {
	if len(text) > maxAddress {
		return address{}
	}
	path := strings.Trim(pathOf(text), "/")
	first, rest, _ := strings.Cut(path, "/")
	switch word(first) {
	case "$cbs":
		return only(address{place: placeCBS}, rest)
	case "$management":
		return only(address{place: placeManagement}, rest)
	case "devices":
		return parseDevice(rest)
	case "messages":
		return parseService(rest)
	}
	return parseEntity(first, rest)
}

// pathOf cuts scheme, host and query off a URI. An id that came bare may hold a '?', so
// only one behind the last slash begins a query.
func pathOf(text string) string {
	if _, after, ok := strings.Cut(text, "://"); ok {
		_, text, _ = strings.Cut(after, "/")
	}
	if i := strings.LastIndexByte(text, '?'); i > strings.LastIndexByte(text, '/') {
		text = text[:i]
	}
	return text
}

// word is a segment to be compared with one of ours.
func word(segment string) string { return strings.ToLower(iot.Unescape(segment)) }

// only is a if nothing is left over.
func only(a address, rest string) address {
	if rest != "" {
		return address{}
	}
	return a
}

// parseDevice reads what follows devices/.
func parseDevice(path string) address {
	device, rest, _ := strings.Cut(path, "/")
	a := address{identity: iot.Identity{Device: iot.Unescape(device)}}
	next, after, _ := strings.Cut(rest, "/")
	if word(next) == "modules" {
		var module string
		module, rest, _ = strings.Cut(after, "/")
		a.identity.Module = iot.Unescape(module)
		if !iot.ValidID(a.identity.Module) {
			return address{}
		}
	}
	if !iot.ValidID(a.identity.Device) {
		return address{}
	}
	switch word(rest) {
	case "messages/events":
		a.place = placeTelemetry
	case "messages/devicebound":
		a.place = placeInbox
	case "methods/devicebound":
		a.place = placeMethods
	case "twin":
		a.place = placeTwin
	default:
		return address{}
	}
	return a
}

// parseService reads what follows messages/.
func parseService(path string) address {
	first, rest, _ := strings.Cut(path, "/")
	switch word(first) {
	case "events":
		if rest != "" {
			rest = "/" + rest
		}
		return address{place: placeEvents, rest: rest}
	case "devicebound":
		return only(address{place: placeCommands}, rest)
	case "servicebound":
		switch word(rest) {
		case "feedback":
			return address{place: placeFeedback}
		case "filenotifications":
			return address{place: placeFiles}
		}
	}
	return address{}
}

// parseEntity reads what follows the name of an event hub.
func parseEntity(entity, path string) address {
	a := address{entity: iot.Unescape(entity)}
	first, rest, _ := strings.Cut(path, "/")
	switch word(first) {
	case "$management":
		a.place = placeManagement
		return only(a, rest)
	case "consumergroups":
		group, rest, _ := strings.Cut(rest, "/")
		partitions, partition, _ := strings.Cut(rest, "/")
		if group == "" || partition == "" || word(partitions) != "partitions" || strings.Contains(partition, "/") {
			return address{}
		}
		a.place, a.group, a.partition = placePartition, iot.Unescape(group), iot.Unescape(partition)
		return a
	}
	return address{}
}

// resource is the path that a token must cover for an address, plain text.
func (a address) resource() string {
	switch a.place {
	case placeTelemetry, placeInbox, placeMethods, placeTwin:
		return identityPath(a.identity)
	case placeEvents:
		return "messages/events" + a.rest
	case placeCommands:
		return "messages/devicebound"
	case placeFeedback:
		return "messages/servicebound/feedback"
	case placeFiles:
		return "messages/servicebound/filenotifications"
	case placePartition:
		return a.entity + "/ConsumerGroups/" + a.group + "/Partitions/" + a.partition
	case placeCBS, placeManagement, placeUnknown:
	}
	return ""
}

// identityPath is the path of an identity.
func identityPath(id iot.Identity) string {
	if id.IsModule() {
		return "devices/" + id.Device + "/modules/" + id.Module
	}
	return "devices/" + id.Device
}
