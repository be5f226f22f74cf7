package conformance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestSDKSendsTelemetry is the founding story: a device made on the command line sends
// with the unmodified SDK, and the monitor shows the message with all that belongs to
// it.
func TestSDKSendsTelemetry(t *testing.T) {
	for _, transport := range []string{overTCP, overWS} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			h := rig.Start(t, rig.Options{})
			var added rig.Identity
			if err := json.Unmarshal(h.Berth("device", "add", "dev1", "--json").Must().Stdout, &added); err != nil {
				t.Fatal(err)
			}
			connection := h.Berth("connection-string", "--device", "dev1").Must().Line()
			registered := h.Get(rig.Identity{DeviceID: "dev1"})
			if want := registered.String(); connection != want {
				t.Fatalf("connection string %q, want %q", connection, want)
			}

			before := time.Now().Add(-time.Second)
			p := openDevice(t, h, connection, transport)
			var sent struct{ Kind string }
			p.must("send", args{"message": args{
				"body": `{"temperature":21.5}`, "messageId": "m-1", "correlationId": "c 1/&=ü", "userId": "u+1",
				"contentType": "application/json", "contentEncoding": "utf-8",
				"properties": [][]string{{"plain", "value"}, {"odd & = / name", "50% + ü"}, {"empty", ""}},
			}}, &sent)
			if sent.Kind != "MessageEnqueued" {
				t.Errorf("sendEvent resolved with %q, want MessageEnqueued", sent.Kind)
			}
			p.must("close", nil, nil)

			events := h.Events("--device", "dev1")
			if len(events) != 1 {
				t.Fatalf("the monitor shows %d messages, want 1: %+v", len(events), events)
			}
			e := events[0]
			if got, want := string(e.Body), `{"temperature":21.5}`; got != want {
				t.Errorf("body %s, want %s", got, want)
			}
			wantProps := map[string]*string{"plain": new("value"), "odd & = / name": new("50% + ü"), "empty": new("")}
			if diff := cmp.Diff(wantProps, e.Application); diff != "" {
				t.Errorf("application properties (-want +got):\n%s", diff)
			}
			if e.DeviceID != "dev1" || e.Partition < 0 || e.Partition > 3 || e.Sequence != 0 || e.Offset == "" {
				t.Errorf("device %q, partition %d, sequence %d, offset %q", e.DeviceID, e.Partition, e.Sequence, e.Offset)
			}
			if e.EnqueuedTime.Before(before) || e.EnqueuedTime.After(time.Now().Add(time.Second)) {
				t.Errorf("enqueued at %v, want about now", e.EnqueuedTime)
			}
			checkSystem(t, e, registered)
		})
	}
}

// checkSystem checks the system properties of TestSDKSendsTelemetry: those of the
// sender, and those that only the hub may write.
func checkSystem(t *testing.T, e rig.Event, d rig.Identity) {
	t.Helper()
	want := map[string]string{
		"message-id": "m-1", "correlation-id": "c 1/&=ü", "user-id": "u+1",
		"content-type": "application/json", "content-encoding": "utf-8",
		"iothub-connection-device-id":          d.DeviceID,
		"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		"iothub-connection-auth-generation-id": d.GenerationID,
		"iothub-message-source":                "Telemetry",
		"iothub-enqueuedtime":                  e.System["iothub-enqueuedtime"],
	}
	if want["iothub-enqueuedtime"] == "" {
		t.Error("iothub-enqueuedtime is missing")
	}
	if diff := cmp.Diff(want, e.System); diff != "" {
		t.Errorf("system properties (-want +got):\n%s", diff)
	}
}

// TestSendEventIsDurable kills the hub in the moment in which sendEvent has resolved.
func TestSendEventIsDurable(t *testing.T) {
	for _, transport := range []string{overTCP, overWS} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			h := rig.Start(t, rig.Options{})
			d := h.AddDevice("dev1")
			p := openDevice(t, h, d.String(), transport)
			send(t, p, "survives")
			h.Kill()
			p.event("disconnect")
			h.Start()
			if diff := cmp.Diff([]string{"survives"}, bodies(h, "dev1")); diff != "" {
				t.Errorf("messages after the restart (-want +got):\n%s", diff)
			}
			send(t, p, "goes on") // the SDK connects by itself on the next send
			if diff := cmp.Diff([]string{"survives", "goes on"}, bodies(h, "dev1")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSDKModule sends as a module, also to an output, beside its own device.
func TestSDKModule(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	m := h.AddModule("dev1", "mod1")
	device, module := openDevice(t, h, d.String(), overTCP), openDevice(t, h, m.String(), overTCP)
	send(t, module, "of the module")
	module.must("output", args{"output": "alarm", "message": args{"body": "on an output"}}, nil)
	send(t, device, "of the device")

	var got []string
	for _, e := range h.Events() {
		got = append(got, e.DeviceID+"/"+e.ModuleID+" "+e.Text()+" "+e.System["iothub-outputname"]+" "+e.System["iothub-connection-module-id"])
	}
	want := []string{"dev1/mod1 of the module  mod1", "dev1/mod1 on an output alarm mod1", "dev1/ of the device  "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if !device.quiet("disconnect") || !module.quiet("disconnect") {
		t.Error("device and module displaced each other; they are separate identities")
	}
}

// TestSDKRefusals shows what an application sees when it is not let in.
func TestSDKRefusals(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	good := h.AddDevice("dev1")
	disabled := good
	disabled.DeviceID, disabled.Status = "dev2", "disabled"
	disabled = h.Put(disabled, "")
	stranger := good
	stranger.DeviceID = "nobody"
	wrong := good
	wrong.Authentication.SymmetricKey = disabled.Authentication.SymmetricKey
	if wrong.Key() == good.Key() {
		key := rig.SymmetricKey{PrimaryKey: "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=", SecondaryKey: "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc="}
		wrong.Authentication.SymmetricKey = &key
	}
	for name, id := range map[string]rig.Identity{"disabled": disabled, "unknown": stranger, "wrong key": wrong} {
		for _, transport := range []string{overTCP, overWS} {
			err := sdkDevice(t, h, id.String(), transport).try("open", nil, nil)
			switch {
			case err == nil:
				t.Errorf("%s over %s was let in", name, transport)
			case err.Kind != "UnauthorizedError":
				t.Errorf("%s over %s: the SDK reports %s, want an UnauthorizedError", name, transport, err)
			case !strings.Contains(err.Message, "Connection refused: Not authorized"):
				// The SDK calls every first failure unauthorized; this text it only has from CONNACK 5.
				t.Errorf("%s over %s: %q, want CONNACK 5", name, transport, err.Message)
			}
		}
	}
	send(t, openDevice(t, h, good.String(), overTCP), "still served")
}
