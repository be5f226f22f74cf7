package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// dialRhea connects npm rhea to the hub's AMQP port, as a connection of the puppet's.
func dialRhea(p *puppet, as, host string, port int, more args) {
	p.t.Helper()
	a := args{"as": as, "host": host, "port": port}
	maps.Copy(a, more)
	p.must("connect", a, nil)
}

// putRheaToken puts a token on a connection and gives the status of the answer.
func putRheaToken(p *puppet, as, token, name string) int {
	p.t.Helper()
	var answer struct{ ID, Status int }
	p.must("putToken", args{"as": as, "token": token, "name": name}, &answer)
	if answer.ID == 0 {
		p.t.Error("the answer to put-token has no correlation-id, or of another type")
	}
	return answer.Status
}

// refusal is why a link was refused; empty if it was not.
type refusal struct {
	Condition string
	Info      struct {
		Hostname, Address string
		NetworkHost       string `json:"network-host"`
		Port              int
	}
}

// receiveRhea attaches a link that receives; the messages are the event "message" and as.
func receiveRhea(p *puppet, as, address, filter string) refusal {
	p.t.Helper()
	var r refusal
	p.must("receive", args{"as": as, "address": address, "filter": filter}, &r)
	return r
}

// TestMonitorEventsIsRedirected does what `az iot hub monitor-events --login` does with the
// hub's own connection string: it asks the hub's name for events, with SASL PLAIN or, in its
// newer versions, a token, is sent on, and there logs in by MSSBCBS and a token, learns of the
// partitions, and reads.
func TestMonitorEventsIsRedirected(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Publish(d.EventsTopic(), 1, "hello")
	p := newPuppet(t, h, "rhea")
	hub, _, _ := strings.Cut(rig.Host, ".")

	dialRhea(p, "plain", rig.Host, 5671, args{"username": "service@sas.root." + hub, "password": h.PolicyToken("service")})
	dialRhea(p, "token", rig.Host, 5671, nil)
	if got := putRheaToken(p, "token", h.PolicyToken("service"), rig.Host); got != 200 {
		t.Fatalf("put-token: status %d, want 200", got)
	}
	var redirect refusal
	redirect.Condition = "amqp:link:redirect"
	redirect.Info.Hostname, redirect.Info.NetworkHost, redirect.Info.Port = rig.Host, rig.Host, 5671
	redirect.Info.Address = "amqps://" + rig.Host + ":5671/" + hub + "/$management"
	for _, as := range []string{"plain", "token"} {
		got := receiveRhea(p, as, "amqps://"+rig.Host+"/messages/events/$management", "")
		if diff := cmp.Diff(redirect, got); diff != "" {
			t.Fatalf("where events are (-want +got):\n%s", diff)
		}
	}

	entity := strings.Split(strings.TrimPrefix(redirect.Info.Address, "amqps://"), "/")[1]
	audience := "sb://" + redirect.Info.Hostname + "/" + entity
	dialRhea(p, "events", redirect.Info.Hostname, redirect.Info.Port, args{"mechanism": "MSSBCBS"})
	if got := putRheaToken(p, "events", entityToken(t, h, audience), audience); got != 200 {
		t.Fatalf("put-token: status %d, want 200", got)
	}
	if got := receiveRhea(p, "events", redirect.Info.Address, ""); got != (refusal{}) {
		t.Errorf("the address of the redirect is refused: %+v", got)
	}
	var answer struct {
		Status int
		Body   struct {
			Count int      `json:"partition_count"`
			IDs   []string `json:"partition_ids"`
		}
	}
	p.must("manage", args{"as": "events", "node": "$management", "properties": args{
		"operation": "READ", "type": "com.microsoft:eventhub", "name": entity,
	}}, &answer)
	if answer.Status != 200 || answer.Body.Count == 0 || len(answer.Body.IDs) != answer.Body.Count {
		t.Fatalf("the event hub is %+v", answer)
	}
	for _, id := range answer.Body.IDs {
		address := fmt.Sprintf("amqps://%s/%s/ConsumerGroups/$Default/Partitions/%s", redirect.Info.Hostname, entity, id)
		if got := receiveRhea(p, "events", address, "amqp.annotation.x-opt-enqueuedtimeutc > 1000"); got != (refusal{}) {
			t.Errorf("partition %s is refused: %+v", id, got)
		}
	}
	var event struct {
		Body        string
		Annotations map[string]any
	}
	if err := json.Unmarshal(p.event("message events"), &event); err != nil {
		t.Fatal(err)
	}
	if event.Body != "hello" || event.Annotations["iothub-connection-device-id"] != "dev1" {
		t.Errorf("the event is %+v", event)
	}
}

// entityToken is a token for the event endpoint, signed as its clients do: with the text of
// the policy's key.
func entityToken(t *testing.T, h *rig.Hub, audience string) string {
	t.Helper()
	fields, err := rig.ParseConnectionString(h.PolicyString("service"))
	if err != nil {
		t.Fatal(err)
	}
	return rig.Token(url.QueryEscape(audience), base64.StdEncoding.EncodeToString([]byte(fields["SharedAccessKey"])), "service")
}

// TestAMQPMechanismCBS is a device with uamqp (Azure's C and Python): it logs in by MSSBCBS,
// which proves nothing, puts its token with a number for an id, and sends with the receiver
// settling second.
func TestAMQPMechanismCBS(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	p := newPuppet(t, h, "rhea")
	dialRhea(p, "dev1", rig.Host, 5671, args{"mechanism": "MSSBCBS"})
	speak := func(body string) string {
		var answer struct {
			refusal
			Settled bool
		}
		p.must("send", args{"as": "dev1", "address": "amqps://" + rig.Host + "/devices/dev1/messages/events", "body": body, "second": true}, &answer)
		if answer.Condition == "" && !answer.Settled {
			t.Error("the message is accepted, but not settled: uamqp would wait for ever")
		}
		return answer.Condition
	}
	if got := speak("too early"); got != "amqp:unauthorized-access" {
		t.Errorf("without a token: %q, want amqp:unauthorized-access", got)
	}
	if got := putRheaToken(p, "dev1", d.Token()+"x", rig.Host+"/devices/dev1"); got != 401 {
		t.Errorf("a broken token: status %d, want 401", got)
	}
	if got := putRheaToken(p, "dev1", d.Token(), rig.Host+"/devices/dev1"); got != 200 {
		t.Fatalf("put-token: status %d, want 200", got)
	}
	if got := speak("hello"); got != "" {
		t.Errorf("with a token: %q", got)
	}
	if got := receiveRhea(p, "dev1", "amqps://"+rig.Host+"/devices/dev1/messages/devicebound", ""); got != (refusal{}) {
		t.Errorf("the device's messages are refused: %+v", got)
	}
	h.SendTo(d, "welcome")
	var m struct{ Body string }
	if err := json.Unmarshal(p.event("message dev1"), &m); err != nil {
		t.Fatal(err)
	}
	rig.Until(t, "the message is completed", func() bool { return h.Pending(d) == 0 })
	if diff := cmp.Diff([]string{"hello"}, bodies(h, "dev1")); diff != "" || m.Body != "welcome" {
		t.Errorf("received %q, and sent (-want +got):\n%s", m.Body, diff)
	}
}
