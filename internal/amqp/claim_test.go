package amqp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// TestManyTokensCostAPassOfComparing: what a token covers is read when it comes, not whenever
// a link is attached or another token renewed, and a refusal is worded once: a connection may
// hold two thousand, each encoded three times over.
func TestManyTokensCostAPassOfComparing(t *testing.T) {
	hosts := iot.NewHosts(hubHost)
	var cs claims
	for i := range maxClaims {
		resource := fmt.Sprintf("%s/devices/d%d/modules/%s", hubHost, i, strings.Repeat("m", 100))
		for range 3 {
			resource = iot.Escape(resource)
		}
		sas := iot.SAS{Resource: resource, Policy: "p"}
		k := claim{grant: device.Grant{Policy: "p", Rights: iot.DeviceConnect, SAS: sas}, covered: sas.Coverage(hosts.Has), token: fmt.Sprint(i)}
		if err := cs.put(k); err != nil {
			t.Fatal(err)
		}
	}
	module := iot.Identity{Device: "d0", Module: strings.Repeat("m", 100)}
	if token, ok := cs.prove(module); !ok || token != "0" {
		t.Fatalf("the oldest token: %q, %v", token, ok)
	}
	if _, ok := cs.prove(iot.Identity{Device: "d0"}); ok {
		t.Fatal("a token for a module speaks for its device")
	}
	if n := testing.AllocsPerRun(10, func() { cs.prove(module) }); n > 5 {
		t.Errorf("to find who speaks for a module takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(10, func() {
		if cs.permit("messages/devicebound", false, iot.ServiceConnect) == nil {
			t.Error("permitted")
		}
	}); n > 20 {
		t.Errorf("to refuse a back-end takes %v allocations", n)
	}
}

// TestEndedClaimsAreTold: what counts a claim hears of its end, once, and of no other's.
func TestEndedClaimsAreTold(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var cs claims
	for i, ends := range []time.Duration{2, 0, 1, -1} {
		if err := cs.put(claim{identity: iot.Identity{Device: fmt.Sprint(i)}, ends: now.Add(ends * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	expire := func() time.Time {
		return cs.expire(now, func(k *claim) { told = append(told, k.identity.Device) })
	}
	if next := expire(); !next.Equal(now.Add(time.Minute)) || len(cs) != 2 {
		t.Errorf("the next ends at %v, %d are left", next, len(cs))
	}
	expire()
	if got := strings.Join(told, " "); got != "1 3" {
		t.Errorf("told of %q, want 1 3", got)
	}
}
