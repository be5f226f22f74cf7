package web

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// eventQuery is what a reader of telemetry asks for.
type eventQuery struct {
	partition int // -1: all
	id        iot.Identity
	start     device.Start
	max       int // 0: without end
	follow    bool
}

// parseEventQuery reads the parameters of GET /berth/v1/events/telemetry: partition,
// device, module, one of from=earliest|end, fromSequence, fromOffset and fromTime,
// max, follow. Without a start it begins at the end; a parameter it does not know is
// an error, because a misspelled filter would go unseen.
func parseEventQuery(q url.Values, partitions int) (eventQuery, error) {
	eq := eventQuery{partition: -1, follow: true, start: device.Start{At: device.StartEnd}}
	starts := 0
	for _, name := range slices.Sorted(maps.Keys(q)) {
		value := q.Get(name)
		var err error
		switch name {
		case "partition":
			eq.partition, err = number(name, value, 0, partitions-1)
		case "device":
			eq.id.Device, err = id(name, value)
		case "module":
			eq.id.Module, err = id(name, value)
		case "from", "fromSequence", "fromOffset", "fromTime":
			starts++
			eq.start, err = parseStart(name, value)
		case "max":
			eq.max, err = number(name, value, 1, 1<<31-1)
		case "follow":
			eq.follow, err = yesNo(name, value)
		case "api-version":
		default:
			err = unknown(name, "partition, device, module, from, fromSequence, fromOffset, fromTime, max, follow")
		}
		if err != nil {
			return eq, err
		}
	}
	if starts > 1 {
		return eq, badQuery("of from, fromSequence, fromOffset and fromTime only one may be given")
	}
	if eq.id.Module != "" && eq.id.Device == "" {
		return eq, badQuery("module needs device beside it")
	}
	return eq, nil
}

// parseStart reads one of the four parameters that say where to begin.
func parseStart(name, value string) (device.Start, error) {
	switch {
	case name == "from" && strings.EqualFold(value, "earliest"):
		return device.Start{At: device.StartEarliest}, nil
	case name == "from" && strings.EqualFold(value, "end"):
		return device.Start{At: device.StartEnd}, nil
	case name == "from":
		return device.Start{}, badQuery("from must be earliest or end")
	case name == "fromTime":
		at, err := instant(name, value)
		return device.Start{At: device.StartTime, Time: at}, err
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return device.Start{}, badQuery("%s must be a whole number, not %.*q", name, maxQuoted, value)
	}
	if name == "fromOffset" {
		return device.Start{At: device.StartOffset, Offset: n}, nil
	}
	return device.Start{At: device.StartSequence, Sequence: n}, nil
}

// parseLogQuery reads the parameters of GET /berth/v1/events/resource-log: device,
// module, category, since, tail, follow (which is not the default here: a log is
// mostly read from its beginning).
func parseLogQuery(q url.Values) (iot.LogQuery, error) {
	var lq iot.LogQuery
	for _, name := range slices.Sorted(maps.Keys(q)) {
		value := q.Get(name)
		var err error
		switch name {
		case "device":
			lq.Device, err = id(name, value)
		case "module":
			lq.Module, err = id(name, value)
		case "category":
			if lq.Category = value; len(value) > maxQuoted {
				err = badQuery("category is too long")
			}
		case "since":
			lq.Since, err = instant(name, value)
		case "tail":
			lq.Tail, err = number(name, value, 1, iot.MaxLogTail)
		case "follow":
			lq.Follow, err = yesNo(name, value)
		case "api-version":
		default:
			err = unknown(name, "device, module, category, since, tail, follow")
		}
		if err != nil {
			return lq, err
		}
	}
	if lq.Module != "" && lq.Device == "" {
		return lq, badQuery("module needs device beside it")
	}
	return lq, nil
}

func badQuery(format string, args ...any) *fault.Error {
	return fault.New(fault.ArgumentInvalid, "web.query", format, args...)
}

func unknown(name, known string) error {
	return badQuery("there is no parameter %.*q: there are %s", maxQuoted, name, known)
}

func number(name, value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, badQuery("%s must be a number from %d to %d, not %.*q", name, low, high, maxQuoted, value)
	}
	return n, nil
}

func id(name, value string) (string, error) {
	if !iot.ValidID(value) {
		return "", badQuery("%s is not an id: %.*q", name, maxQuoted, value)
	}
	return value, nil
}

func yesNo(name, value string) (bool, error) {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, badQuery("%s must be true or false", name)
	}
	return b, nil
}

func instant(name, value string) (time.Time, error) {
	var t iot.Time
	if err := t.UnmarshalText([]byte(value)); err != nil || value == "" {
		return time.Time{}, badQuery("%s must be a time like 2026-01-31T09:30:00Z", name)
	}
	return t.Time, nil
}
