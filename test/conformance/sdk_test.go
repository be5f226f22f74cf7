package conformance

import (
	"testing"

	"github.com/berth-iot/berth/test/rig"
)

// The transports of azure-iot-device-mqtt and azure-iot-device-amqp.
const (
	overTCP    = "Mqtt"
	overWS     = "MqttWs"
	overAMQP   = "Amqp"
	overAMQPWS = "AmqpWs"
)

// sdkDevice makes a client of azure-iot-device for a connection string; it does not
// retry, so that the test sees what the hub did.
func sdkDevice(t *testing.T, h *rig.Hub, connection, transport string) *puppet {
	t.Helper()
	p := newPuppet(t, h, "device")
	p.must("create", args{"connection": connection, "transport": transport, "ca": h.CAFile}, nil)
	return p
}

// openDevice is sdkDevice, connected.
func openDevice(t *testing.T, h *rig.Hub, connection, transport string) *puppet {
	t.Helper()
	p := sdkDevice(t, h, connection, transport)
	p.must("open", nil, nil)
	return p
}

// send sends one message and waits until the SDK says that the hub has it.
func send(t *testing.T, p *puppet, body string) {
	t.Helper()
	var sent struct{ Kind string }
	p.must("send", args{"message": args{"body": body}}, &sent)
	if sent.Kind != "MessageEnqueued" {
		t.Fatalf("sendEvent resolved with %q, want MessageEnqueued", sent.Kind)
	}
}

// bodies gives the bodies of a device's messages in the log, in order.
func bodies(h *rig.Hub, device string) []string {
	var all []string
	for _, e := range h.Events("--device", device) {
		if e.ModuleID == "" {
			all = append(all, e.Text())
		}
	}
	return all
}
