package amqp

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

var compareAddresses = cmp.AllowUnexported(address{})

func TestAddresses(t *testing.T) {
	dev := iot.Identity{Device: "dev1"}
	mod := iot.Identity{Device: "dev1", Module: "m"}
	for text, want := range map[string]address{
		"$cbs":                                                 {place: placeCBS},
		"/$CBS":                                                {place: placeCBS},
		"/devices/dev1/messages/events":                        {place: placeTelemetry, identity: dev},
		"devices/dev1/messages/events/":                        {place: placeTelemetry, identity: dev}, // gohub
		"/Devices/dev1/Messages/deviceBound":                   {place: placeInbox, identity: dev},     // .NET
		"/devices/dev1/methods/devicebound":                    {place: placeMethods, identity: dev},
		"/devices/dev1/twin":                                   {place: placeTwin, identity: dev},
		"/devices/dev1/twin/":                                  {place: placeTwin, identity: dev},
		"/devices/dev1/modules/m/messages/events":              {place: placeTelemetry, identity: mod},
		"/devices/dev1/modules/m/twin":                         {place: placeTwin, identity: mod},
		"amqps://hub.example.org/devices/dev1/messages/events": {place: placeTelemetry, identity: dev},
		"amqps://hub.example.org:5671/devices/dev1/modules/m/messages/devicebound": {place: placeInbox, identity: mod},
		"/devices/a%2Bb%23/twin":                   {place: placeTwin, identity: iot.Identity{Device: "a+b#"}},
		"/devices/a+b/twin":                        {place: placeTwin, identity: iot.Identity{Device: "a+b"}},
		"/devices/a?b/twin":                        {place: placeTwin, identity: iot.Identity{Device: "a?b"}},
		"/devices/dev1/twin?api-version=2020":      {place: placeTwin, identity: dev},
		"/messages/devicebound":                    {place: placeCommands},
		"/messages/deviceBound/":                   {place: placeCommands},
		"amqps://hub/messages/devicebound":         {place: placeCommands},
		"/messages/serviceBound/feedback":          {place: placeFeedback},
		"/messages/serviceBound/filenotifications": {place: placeFiles},
		"/messages/events/$management":             {place: placeEvents, rest: "/$management"},
		"messages/events/":                         {place: placeEvents},
		"/messages/events":                         {place: placeEvents},
		"/messages/events/ConsumerGroups/$Default/Partitions/0": {
			place: placeEvents, rest: "/ConsumerGroups/$Default/Partitions/0",
		},
		"$management":     {place: placeManagement},
		"hub/$management": {place: placeManagement, entity: "hub"},
		"amqps://hub.example.org:5671/hub/$management":           {place: placeManagement, entity: "hub"},
		"hub/ConsumerGroups/$Default/Partitions/3":               {place: placePartition, entity: "hub", group: "$Default", partition: "3"},
		"/hub/consumergroups/my%20group/partitions/0":            {place: placePartition, entity: "hub", group: "my group", partition: "0"},
		"sb://hub.example.org/hub/ConsumerGroups/g/Partitions/1": {place: placePartition, entity: "hub", group: "g", partition: "1"},
	} {
		if diff := cmp.Diff(want, parseAddress(text), compareAddresses); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestAddressesOfNothing(t *testing.T) {
	for _, text := range []string{
		"", "/", "devices", "/devices/", "/devices/dev1", "/devices/dev1/", "/devices/dev1/messages", "/devices//twin",
		"/devices/dev1/modules//twin", "/devices/dev1/modules/m", "/devices/a b/twin", "/devices/a%2Fb/twin",
		"/devices/dev1/messages/events/more", "/devices/dev1/streams", "/messages", "/messages/servicebound",
		"/messages/servicebound/other", "/messages/devicebound/more", "$cbs/more", "hub", "hub/ConsumerGroups/g",
		"hub/ConsumerGroups//Partitions/0", "hub/ConsumerGroups/g/Partitions/", "hub/ConsumerGroups/g/Partitions/0/1",
		"hub/$management/more", "hub/Publishers/p", "https://",
	} {
		if got := parseAddress(text); got != (address{}) {
			t.Errorf("%q is %+v, want nothing", text, got)
		}
	}
}

// FuzzAddress: whatever is read as an identity's address can be registered, and is the
// same address as when it is written plainly.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{
		"$cbs", "/devices/dev1/messages/events", "amqps://hub/devices/d/modules/m/twin", "/messages/events/x",
		"hub/ConsumerGroups/$Default/Partitions/3", "/devices/a%2Bb/twin?x=/",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := parseAddress(text)
		if a.place == placeUnknown {
			if a != (address{}) {
				t.Fatalf("%q is nothing, and yet %+v", text, a)
			}
			return
		}
		if id := a.identity; id != (iot.Identity{}) && (!iot.ValidID(id.Device) || id.IsModule() && !iot.ValidID(id.Module)) {
			t.Fatalf("%q names %+v, which cannot be registered", text, id)
		}
		if tail := tails[a.place]; tail != "" {
			canonical := "/devices/" + iot.Escape(a.identity.Device)
			if a.identity.IsModule() {
				canonical += "/modules/" + iot.Escape(a.identity.Module)
			}
			if again := parseAddress(canonical + tail); again != a {
				t.Fatalf("%q is %+v, and written plainly (%s) %+v", text, a, canonical+tail, again)
			}
		}
	})
}

// tails are what follows the identity in the addresses of its places.
var tails = map[place]string{
	placeTelemetry: "/messages/events", placeInbox: "/messages/devicebound", placeMethods: "/methods/devicebound", placeTwin: "/twin",
}
