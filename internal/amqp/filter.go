package amqp

import (
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// filterKey names the one filter there is. Its value is a described string; clients use
// three descriptors for it, and any is taken (amqp 7).
const filterKey = "apache.org:selector-filter:string"

// startOf gives where a receiver begins, as the filter of its source says. Without a filter
// that is the earliest event kept.
func startOf(source *amqpwire.Source) (device.Start, error) {
	if source == nil || source.Filter.IsNull() {
		return device.Start{}, nil
	}
	value := source.Filter.Get(filterKey)
	if value.IsNull() {
		for _, v := range source.Filter.Pairs() { // by another key, described as ours
			value = v
			break
		}
	}
	if _, inner, ok := value.AsDescribed(); ok {
		value = inner
	}
	if value.IsNull() {
		return device.Start{}, nil
	}
	text, ok := value.AsText()
	if !ok {
		return device.Start{}, badFilter("it is not a string")
	}
	return parseFilter(text)
}

func badFilter(why string) error {
	return fault.New(fault.ArgumentInvalid, "amqp.filter", "the filter cannot be read: %s", why)
}

// filterAnnotation begins the name of what is compared.
const filterAnnotation = "amqp.annotation."

// parseFilter reads "amqp.annotation.NAME > 'VALUE'" or ">=", the value with or without
// quotes.
func parseFilter(text string) (device.Start, error) {
	if len(text) > maxFilter {
		return device.Start{}, badFilter("it is too long")
	}
	rest := strings.TrimSpace(text)
	if len(rest) < len(filterAnnotation) || !strings.EqualFold(rest[:len(filterAnnotation)], filterAnnotation) {
		return device.Start{}, badFilter("it does not begin with " + filterAnnotation)
	}
	name, rest, ok := strings.Cut(rest[len(filterAnnotation):], ">")
	if !ok {
		return device.Start{}, badFilter("it compares by neither > nor >=")
	}
	rest, inclusive := strings.CutPrefix(rest, "=")
	value := strings.TrimSpace(rest)
	if len(value) >= 2 && value[0] == '\'' && value[len(value)-1] == '\'' {
		value = value[1 : len(value)-1]
	}
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "x-opt-offset":
		return startAtOffset(value, inclusive)
	case "x-opt-sequence-number":
		return startAtSequence(value, inclusive)
	case "x-opt-enqueued-time", "x-opt-enqueuedtimeutc":
		return startAtTime(value, inclusive)
	}
	return device.Start{}, badFilter("it compares something else than x-opt-offset, x-opt-sequence-number or x-opt-enqueued-time")
}

// startAtOffset reads an offset: -1 is the earliest event, @latest only what is to come.
func startAtOffset(value string, inclusive bool) (device.Start, error) {
	switch value {
	case "-1":
		return device.Start{}, nil
	case "@latest":
		return device.Start{At: device.StartEnd}, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return device.Start{}, badFilter("the offset is no number, -1 or @latest")
	}
	return device.Start{At: device.StartOffset, Offset: after(n, inclusive)}, nil
}

func startAtSequence(value string, inclusive bool) (device.Start, error) {
	if value == "-1" {
		return device.Start{}, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return device.Start{}, badFilter("the sequence number is no number")
	}
	return device.Start{At: device.StartSequence, Sequence: after(n, inclusive)}, nil
}

// startAtTime reads milliseconds since 1970.
func startAtTime(value string, inclusive bool) (device.Start, error) {
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return device.Start{}, badFilter("the time is no number of milliseconds since 1970")
	}
	ms = min(max(ms, 0), lastTime)
	if !inclusive {
		ms++
	}
	return device.Start{At: device.StartTime, Time: time.UnixMilli(ms).UTC()}, nil
}

// after is the first place that passes a comparison.
func after(n uint64, inclusive bool) uint64 {
	if inclusive || n == ^uint64(0) {
		return n
	}
	return n + 1
}
