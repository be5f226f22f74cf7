package iot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHostsAnswerToEveryAlias(t *testing.T) {
	h := NewHosts("Hub.Localtest", "localhost", "other.example.org", "hub.localtest.", "10.0.0.7", "fd00::7", "")
	for _, name := range []string{
		"hub.localtest", "HUB.localtest", "hub.localtest.", "hub.device.localtest", "hub.service.localtest", "hub",
		"localhost", "other", "other.device.example.org", "other.example.org", "10.0.0.7", "FD00::7",
	} {
		if !h.Has(name) {
			t.Errorf("%s is not taken for this hub", name)
		}
	}
	for _, name := range []string{"", "localtest", "hub.other.localtest", "device.localtest", "10", "hub.example.org", "10.device.0.0.7"} {
		if h.Has(name) {
			t.Errorf("%q is taken for this hub", name)
		}
	}
	if h.First() != "hub.localtest" || h.Hub() != "hub" {
		t.Errorf("first %q, hub %q", h.First(), h.Hub())
	}
	want := []string{
		"hub.localtest", "hub.device.localtest", "hub.service.localtest", "localhost",
		"other.example.org", "other.device.example.org", "other.service.example.org", "10.0.0.7", "fd00::7",
	}
	if diff := cmp.Diff(want, h.Certified()); diff != "" {
		t.Error(diff)
	}
	var none Hosts
	if none.Has("localhost") || none.First() != "" || none.Hub() != "" || none.Certified() != nil {
		t.Error("the zero Hosts answers")
	}
}
