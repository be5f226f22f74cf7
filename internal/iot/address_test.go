package iot

import "testing"

func TestParseDevicebound(t *testing.T) {
	for _, c := range []struct {
		to   string
		want Identity
	}{
		{"/devices/d1/messages/devicebound", Identity{Device: "d1"}},
		{"devices/d1/messages/deviceBound", Identity{Device: "d1"}},
		{"/Devices/d1/Messages/DEVICEBOUND", Identity{Device: "d1"}},
		{"amqps://hub.test:5671/devices/D%231/messages/devicebound", Identity{Device: "D#1"}},
		{"/devices/a+b%/messages/devicebound", Identity{Device: "a+b%"}},
		{"/devices/d1/modules/m%24/messages/devicebound", Identity{Device: "d1", Module: "m$"}},
		{"", Identity{}},
		{"/", Identity{}},
		{"/devices//messages/devicebound", Identity{}},
		{"/devices/d1/modules//messages/devicebound", Identity{}},
		{"/devices/d1/messages/events", Identity{}},
		{"/devices/d1/messages/devicebound/", Identity{}},
		{"/devices/d1/messages/devicebound/x/y/z", Identity{}},
		{"/twins/d1/messages/devicebound", Identity{}},
		{"amqps://hub.test:5671", Identity{}},
	} {
		if got, ok := ParseDevicebound(c.to); got != c.want || ok != (c.want != Identity{}) {
			t.Errorf("%q: got %+v, %t, want %+v", c.to, got, ok, c.want)
		}
	}
}
