package mqtt

import (
	"bytes"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/device"
)

func TestTopics(t *testing.T) {
	dev, mod := own{Device: "dev1"}, own{Device: "dev1", Module: "mod1"}
	odd := own{Device: "a%2Fb"}
	cases := []struct {
		who   own
		topic string
		want  meaning
		rest  string
	}{
		{dev, "devices/dev1/messages/events/", telemetry, ""},
		{dev, "devices/dev1/messages/events", telemetry, ""},
		{dev, "devices/dev1/messages/events//", telemetry, ""},
		{dev, "devices/dev1/messages/events/a=b&c=d", telemetry, "a=b&c=d"},
		{dev, "devices/dev1/messages/events/a=b/", telemetry, "a=b"},
		{dev, "devices/dev1/messages/events/?a=b", telemetry, "a=b"},
		{dev, "devices/dev1/messages/events/?a=b/", telemetry, "a=b"},
		{dev, "devices/dev1/messages/events/$.ct=application/json", telemetry, "$.ct=application/json"},
		{mod, "devices/dev1/modules/mod1/messages/events/%24.on=x/", telemetry, "%24.on=x"},
		{odd, "devices/a%2Fb/messages/events/", telemetry, ""},
		{odd, "devices/a/b/messages/events/", foreign, ""},
		{dev, "devices/dev1/messages/eventsx", foreign, ""},
		{dev, "devices/dev1/messages/event", foreign, ""},
		{dev, "devices/dev1/messages/", foreign, ""},
		{dev, "devices/dev1", foreign, ""},
		{dev, "devices/dev1/", foreign, ""},
		{dev, "devices/dev11/messages/events/", foreign, ""},
		{dev, "devices/dev/messages/events/", foreign, ""},
		{dev, "devices/dev1xmessages/events/", foreign, ""},
		{dev, "devices/DEV1/messages/events/", foreign, ""},
		{dev, "Devices/dev1/messages/events/", foreign, ""},
		{dev, "/devices/dev1/messages/events/", foreign, ""},
		{dev, "devices/dev1/modules/mod1/messages/events/", foreign, ""},
		{mod, "devices/dev1/messages/events/", foreign, ""},
		{mod, "devices/dev1/modules/mod2/messages/events/", foreign, ""},
		{mod, "devices/dev2/modules/mod1/messages/events/", foreign, ""},
		{mod, "devices/dev1/modules/mod1", foreign, ""},
		{mod, "devices/dev1/modules/mod1/inputs/x/", foreign, ""},
		{dev, "devices/dev1/messages/devicebound/", foreign, ""},
		{dev, "$iothub/twin/GET/?$rid=1", twinRead, "1"},
		{mod, "$iothub/twin/GET/?$rid=8b2c-11", twinRead, "8b2c-11"},
		{dev, "$iothub/twin/GET/?$rid=1&x=y", twinRead, "1"},
		{dev, "$iothub/twin/GET/?$rid=", foreign, ""},
		{dev, "$iothub/twin/GET/?$rid=&a", foreign, ""},
		{dev, "$iothub/twin/GET/?rid=1", foreign, ""},
		{dev, "$iothub/twin/GET/", foreign, ""},
		{dev, "$iothub/twin/GET", foreign, ""},
		{dev, "$iothub/twin/GET/?$rid=" + strings.Repeat("r", maxRequestID), twinRead, strings.Repeat("r", maxRequestID)},
		{dev, "$iothub/twin/GET/?$rid=" + strings.Repeat("r", maxRequestID+1), foreign, ""},
		{dev, "$iothub/twin/PATCH/properties/reported/?$rid=a&$version=4", twinReport, "a"},
		{dev, "$iothub/twin/PATCH/properties/desired/?$rid=a", foreign, ""},
		{dev, "$iothub/twin/res/200/?$rid=a", foreign, ""},
		{dev, "$iothub/methods/res/200/?$rid=a", methodAnswer, "200/?$rid=a"},
		{dev, "$iothub/methods/POST/x/?$rid=a", foreign, ""},
		{dev, "$SYS/x", foreign, ""},
		{dev, "a", foreign, ""},
	}
	for _, c := range cases {
		what, rest := c.who.read([]byte(c.topic))
		if what != c.want || string(rest) != c.rest {
			t.Errorf("%v %s: %d %q, want %d %q", c.who, c.topic, what, rest, c.want, c.rest)
		}
	}
}

func TestFilters(t *testing.T) {
	dev, mod := own{Device: "dev1"}, own{Device: "dev1", Module: "mod1"}
	cases := []struct {
		who    own
		filter string
		want   device.Stream // 0: refused
	}{
		{dev, "devices/dev1/messages/devicebound/#", device.CloudToDevice},
		{dev, "devices/dev1/messages/#", device.CloudToDevice},
		{dev, "#", device.CloudToDevice},
		{dev, "$iothub/methods/POST/#", device.Methods},
		{dev, "$iothub/twin/res/#", device.TwinResponses},
		{dev, "$iothub/twin/PATCH/properties/desired/#", device.DesiredChanges},
		{mod, "devices/dev1/modules/mod1/inputs/#", device.ModuleInputs},
		{mod, "devices/dev1/modules/mod1/#", device.ModuleEverything},
		{mod, "devices/dev1/modules/mod1/messages/devicebound/#", device.CloudToDevice},
		{mod, "$iothub/methods/POST/#", device.Methods},
		{mod, "#", device.ModuleEverything},
		{dev, "devices/dev1/inputs/#", 0},
		{dev, "devices/dev1/#", 0},
		{dev, "devices/#", 0},
		{dev, "devices/+/messages/devicebound/#", 0},
		{dev, "devices/dev2/messages/devicebound/#", 0},
		{dev, "devices/dev1/modules/mod1/inputs/#", 0},
		{dev, "+/#", 0},
		{dev, "$iothub/#", 0},
		{dev, "$SYS/#", 0},
		{mod, "devices/dev1/messages/devicebound/#", 0},
		{mod, "devices/dev1/modules/mod2/inputs/#", 0},
		{mod, "devices/dev1/modules/+/inputs/#", 0},
	}
	for _, c := range cases {
		got, ok := c.who.stream([]byte(c.filter))
		if ok != (c.want != 0) || ok && got != c.want {
			t.Errorf("%v %s: %d, %t; want %d", c.who, c.filter, got, ok, c.want)
		}
	}
}

// FuzzTopic: whatever the topic, it means something to one identity only, and reading it
// neither allocates nor reaches outside it.
func FuzzTopic(f *testing.F) {
	f.Add("dev1", "", []byte("devices/dev1/messages/events/a=b/"))
	f.Add("dev1", "mod1", []byte("devices/dev1/modules/mod1/messages/events/?%24.on=x"))
	f.Add("dev1", "", []byte("$iothub/twin/GET/?$rid=1&a=b"))
	f.Add("dev1", "", []byte("$iothub/twin/PATCH/properties/reported/?$rid=1&$version=2"))
	f.Add("dev1", "", []byte("devices/dev1/messages/devicebound/#"))
	f.Add("a/b", "", []byte("devices/a/b/messages/events"))
	f.Fuzz(func(t *testing.T, dev, module string, topic []byte) {
		if dev == "" || strings.ContainsRune(dev+module, '/') {
			return // no identity
		}
		who := own{Device: dev, Module: module}
		what, rest := who.read(topic)
		if what != foreign && !bytes.Contains(topic, rest) {
			t.Fatalf("rest %q is not of %q", rest, topic)
		}
		if what == telemetry {
			other := own{Device: dev + "x", Module: module}
			if got, _ := other.read(topic); got == telemetry {
				t.Errorf("%q is telemetry of %v and %v", topic, who, other)
			}
			inner := own{Device: dev, Module: module + "x"}
			if got, _ := inner.read(topic); got == telemetry {
				t.Errorf("%q is telemetry of %v and %v", topic, who, inner)
			}
		}
		if (what == twinRead || what == twinReport) && (len(rest) == 0 || len(rest) > maxRequestID) {
			t.Errorf("request id %q", rest)
		}
		if _, ok := who.stream(topic); ok && topic[len(topic)-1] != '#' {
			t.Errorf("%q is no filter", topic)
		}
		if allocs := testing.AllocsPerRun(1, func() { who.read(topic) }); allocs > 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}
