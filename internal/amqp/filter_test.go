package amqp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

func TestFilters(t *testing.T) {
	for text, want := range map[string]device.Start{
		"amqp.annotation.x-opt-offset > '-1'":                        {},
		"amqp.annotation.x-opt-offset >= '-1'":                       {},
		"amqp.annotation.x-opt-offset > '@latest'":                   {At: device.StartEnd},
		"amqp.annotation.x-opt-offset >= '@latest'":                  {At: device.StartEnd},
		"amqp.annotation.x-opt-offset > '640'":                       {At: device.StartOffset, Offset: 641},
		"amqp.annotation.x-opt-offset >= '640'":                      {At: device.StartOffset, Offset: 640},
		"amqp.annotation.x-opt-offset > 640":                         {At: device.StartOffset, Offset: 641},
		"amqp.annotation.x-opt-sequence-number > '-1'":               {},
		"amqp.annotation.x-opt-sequence-number > '5'":                {At: device.StartSequence, Sequence: 6},
		"amqp.annotation.x-opt-sequence-number >= 5":                 {At: device.StartSequence, Sequence: 5},
		"amqp.annotation.x-opt-enqueued-time > '1000'":               {At: device.StartTime, Time: time.UnixMilli(1001).UTC()},
		"amqp.annotation.x-opt-enqueued-time >= '1000'":              {At: device.StartTime, Time: time.UnixMilli(1000).UTC()},
		" amqp.annotation.x-opt-enqueuedtimeutc > 1000":              {At: device.StartTime, Time: time.UnixMilli(1001).UTC()}, // gohub, az
		"amqp.annotation.x-opt-sequence-number>18446744073709551615": {At: device.StartSequence, Sequence: 1<<64 - 1},
	} {
		got, err := parseFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{
		"", "x-opt-offset > '1'", "amqp.annotation.x-opt-offset", "amqp.annotation.x-opt-offset < '1'", "amqp.annotation.x-opt-offset > 'one'",
		"amqp.annotation.x-opt-sequence-number > '@latest'", "amqp.annotation.x-opt-enqueued-time > 'now'", "amqp.annotation.other > '1'",
		"amqp.annotation.x-opt-offset > ''", "amqp.annotation.x-opt-offset > '-2'",
	} {
		if got, err := parseFilter(text); fault.Of(err) != fault.ArgumentInvalid {
			t.Errorf("%q: got %+v, %v, want 400004", text, got, err)
		}
	}
}

func TestFilterOfEveryDescriptor(t *testing.T) {
	text := amqpwire.String("amqp.annotation.x-opt-sequence-number > '5'")
	for name, descriptor := range map[string]amqpwire.Value{
		"Go, JavaScript": amqpwire.Ulong(0x468C00000004), ".NET": amqpwire.Ulong(0x13700000A), "Python, Java": amqpwire.Symbol(filterKey),
	} {
		source := &amqpwire.Source{Filter: amqpwire.Map(amqpwire.Symbol(filterKey), amqpwire.Described(descriptor, text))}
		got, err := startOf(source)
		if err != nil || got.Sequence != 6 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for name, source := range map[string]*amqpwire.Source{"no source": nil, "no filter": {}, "an empty one": {Filter: amqpwire.Map()}} {
		if got, err := startOf(source); err != nil || got != (device.Start{}) {
			t.Errorf("%s: got %+v, %v, want the earliest event", name, got, err)
		}
	}
	if _, err := startOf(&amqpwire.Source{Filter: amqpwire.Map(amqpwire.Symbol(filterKey), amqpwire.Int(5))}); fault.Of(err) != fault.ArgumentInvalid {
		t.Errorf("a filter that is a number: %v, want 400004", err)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("amqp.annotation.x-opt-offset > '@latest'")
	f.Add("amqp.annotation.x-opt-sequence-number >= 5")
	f.Fuzz(func(t *testing.T, text string) {
		if start, err := parseFilter(text); err != nil && start != (device.Start{}) {
			t.Fatalf("%q is refused, and yet %+v", text, start)
		}
	})
}
