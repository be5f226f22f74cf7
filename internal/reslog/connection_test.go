package reslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

const sdk = ".NET/1.38.0 (.NET Core 3.1.19; Microsoft Windows 10.0.22000 WindowsProduct:0x00000030; X64; {FF88E933-1C12-457D-A098-A5093B53FBA2})"

// elder is a device on MQTT with everything that can be known of it.
func elder() device.Party {
	p := device.Party{
		Identity: iot.Identity{Device: "sensor-th-2001"}, Epoch: "3.17", Opened: start, Clean: true,
		Client: device.Client{
			ID: "sensor-th-2001", Type: sdk, APIVersion: "2021-04-12", ModelID: "dtmi:com:example:Thermostat;1", KeepAlive: 4 * time.Minute,
		},
		Proof: device.Proof{Slot: "primary", TokenHash: 0xabc, Expires: start.Add(time.Hour)},
		Conn: &device.Conn{
			ID: 7, Transport: device.MQTT, Listener: "127.0.0.1:8883", Remote: netip.MustParseAddrPort("24.9.142.17:51234"),
			Accepted: start.Add(-40 * time.Millisecond),
			TLS: device.TLS{
				Version: 0x0304, CipherSuite: 0x1301, ServerName: "hub.example", HelloHash: 0x1234, Resumed: true, Lineage: 0x77,
				Handshake: 1500 * time.Microsecond,
			},
		},
	}
	p.Conn.Traffic.In(start.Add(20*time.Second), 4096)
	p.Conn.Traffic.Out(start.Add(21*time.Second), 128)
	p.Conn.Traffic.PacketsIn.Store(30)
	p.Conn.Traffic.PacketsOut.Store(31)
	return p
}

// newcomer is a client elsewhere that says it is the same device.
func newcomer() *device.Party {
	return &device.Party{
		Identity: iot.Identity{Device: "sensor-th-2001"}, Epoch: "3.18", Opened: start.Add(30 * time.Second),
		Client: device.Client{ID: "container-1", Type: "py-azure-iot-device/2.12.0", APIVersion: "2019-10-01", KeepAlive: time.Minute},
		Proof:  device.Proof{Stamp: iot.Stamp{Auth: iot.AuthX509Certificate}, Thumbprint: "AB12"},
		Conn: &device.Conn{
			ID: 8, Transport: device.AMQPWS, Listener: "127.0.0.1:443", Remote: netip.MustParseAddrPort("[2001:db8::5]:40001"),
			Accepted: start.Add(29 * time.Second), TLS: device.TLS{Version: 0x0303, CipherSuite: 0xc02f},
		},
	}
}

// brief is the elder as far as it says something new in a golden file.
func brief() device.Party {
	p := elder()
	p.Client, p.Proof = device.Client{ID: p.Client.ID, Type: p.Client.Type}, device.Proof{Slot: "secondary"}
	p.Conn = &device.Conn{ID: 7, Transport: device.MQTT, Remote: p.Conn.Remote}
	return p
}

// ended gives the end of the elder's session after 30 seconds.
func ended(code fault.Code, reason string) device.Ending {
	return device.Ending{Party: brief(), At: start.Add(30 * time.Second), Code: code, Reason: reason}
}

func hello(dev string) device.Hello {
	p := brief()
	return device.Hello{Identity: iot.Identity{Device: dev}, Client: p.Client, Conn: p.Conn, Clean: true}
}

// stories are the records of the golden file, by name.
func stories() map[string]func(*Log) {
	from := netip.MustParseAddrPort("73.162.215.9:55555")
	at := start.Add(time.Minute)
	end := func(e device.Ending) func(*Log) { return func(l *Log) { l.Ended(e) } }
	displaced := ended(fault.ConnectionForcefullyClosedOnNewConnection, "a new connection for the same identity took over")
	displaced.Party, displaced.By, displaced.Unacked, displaced.Will = elder(), newcomer(), 3, true
	displaced.Released = 2
	displaced.TCP = device.TCP{State: 1, RTT: 1500 * time.Microsecond, Unacked: 2, Retransmits: 1, LastDataRecv: 10 * time.Second, LastAckRecv: 9 * time.Second}
	displaced.By.Conn.Kernel = func() device.TCP { return device.TCP{State: 1, RTT: time.Millisecond} }
	displaced.By.Proof.Authority = "plant-7"
	stolen := ended(fault.LinkCreationConflict, "a new connection for the same identity took over")
	mqtt := elder()
	stolen.Party, stolen.By, stolen.At = *newcomer(), &mqtt, start.Add(time.Minute)
	module := brief()
	module.Identity.Module, module.Conn.Transport = "vision", device.MQTTWS
	module.Proof = device.Proof{Stamp: iot.Stamp{Scope: iot.ScopeHub}, Policy: "device"}
	return map[string]func(*Log){
		"connect":        func(l *Log) { l.Connected(elder()) },
		"connect-module": func(l *Log) { l.Connected(module) },
		"goodbye":        end(ended(0, "DISCONNECT")),
		"lost":           end(ended(fault.DeviceConnectionClosedRemotely, "the peer reset the connection")),
		"idle":           end(ended(fault.DeviceConnectionClosedRemotely, "no packet for 6m0s")),
		"displaced-mqtt": end(displaced),
		"displaced-amqp": end(stolen),
		"expired":        end(ended(fault.IotHubUnauthorized, "the shared access token expired")),
		"disabled":       end(ended(fault.DeviceDisabled, "the device was disabled")),
		"deleted":        end(ended(fault.DeviceNotFound, "the device was deleted")),
		"protocol-error": end(ended(fault.GenericBadRequest, "a second CONNECT")),
		"shutdown":       end(ended(fault.ConnectionForcefullyClosed, "the hub is stopping")),
		"refused-token": func(l *Log) {
			l.Refused(hello("sensor-th-2001"), fault.New(fault.IotHubUnauthorized, "registry.authenticate", "the signature does not match"), at)
		},
		"refused-unknown": func(l *Log) {
			l.Refused(hello("nobody"), fault.New(fault.DeviceNotFound, "registry.authenticate", "not registered"), at)
		},
		"identity-create": func(l *Log) {
			l.IdentityError("create", iot.Identity{Device: "sensor-th-2001"}, from, fault.New(fault.DeviceAlreadyExists, "registry.create", "it exists"), at)
		},
		"identity-module": func(l *Log) {
			l.IdentityError("get", iot.Identity{Device: "d", Module: "m"}, from, fault.New(fault.ModuleNotFound, "registry.get", "not registered"), at)
		},
		"message-expired": func(l *Log) {
			e := iot.MessageEnd{
				Identity: iot.Identity{Device: "d"}, Status: iot.FeedbackSuccess, At: at, MessageID: "m1", Size: 300,
				Ack: iot.AckNegative, DeliveryCount: 2, Enqueued: start, Due: start.Add(59 * time.Second),
			}
			l.MessageEnded(e) // no error
			e.Status = iot.FeedbackExpired
			l.MessageEnded(e)
		},
		"telemetry": func(l *Log) {
			l.TelemetryError(iot.Identity{Device: "d", Module: "m"}, device.MQTTWS, 262145, fault.New(fault.MessageTooLarge, "telemetry.append", "it is too large"), at)
		},
	}
}

// tell gives the line of a story.
func tell(t *testing.T, story func(*Log)) string {
	t.Helper()
	file := &mem{}
	l := inMemory(t, file, nil)
	story(l)
	finish(t, l)
	lines := file.lines()
	if len(lines) != 1 {
		t.Fatalf("%d lines, want one: %q", len(lines), lines)
	}
	return lines[0]
}

func TestRecordsAreAsPublished(t *testing.T) {
	all, told := stories(), map[string]bool{}
	datadriven.RunTest(t, "testdata/records.txt", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		story := all[d.Cmd]
		if story == nil {
			t.Fatalf("no story %q", d.Cmd)
		}
		told[d.Cmd] = true
		line := tell(t, story)
		r := decode(t, line)
		quoted, err := encode(&bytes.Buffer{}, r.Properties)
		if err != nil {
			t.Fatal(err)
		}
		head, tail, found := strings.Cut(line, strings.TrimSpace(string(quoted)))
		if !found {
			t.Fatalf("properties are no string: %s", line)
		}
		var props bytes.Buffer
		if err := json.Indent(&props, []byte(r.Properties), "", " "); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s…%s\n%s\n", head, tail, props.String())
	})
	for name := range all {
		if !told[name] {
			t.Errorf("the golden file does not tell %q", name)
		}
	}
}

// observed are records of Azure, as published in 2023; its other ends have the same
// shape (connections 3).
const (
	observedConnect    = `{"time":"2023-09-21T22:16:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/HUB","operationName":"deviceConnect","category":"Connections","level":"Information","properties":"{\"deviceId\":\"sensor-th-2001\",\"sdkVersion\":\".NET/1.38.0 (.NET Core 3.1.19; Microsoft Windows 10.0.22000 WindowsProduct:0x00000030; X64; {FF88E933-1C12-457D-A098-A5093B53FBA2})\",\"protocol\":\"Mqtt\",\"authType\":null,\"maskedIpAddress\":\"24.9.142.XXX\",\"statusCode\":null,\"errorMessage\":\"\"}","location":"centralus"}`
	observedDisconnect = `{"time":"2023-09-21T22:33:34Z","resourceId":"...","operationName":"deviceDisconnect","category":"Connections","level":"Error","resultType":"404104","resultDescription":"DeviceConnectionClosedRemotely","properties":"{\"deviceId\":\"sensor-th-2001\",\"protocol\":\"Mqtt\",\"authType\":null,\"maskedIpAddress\":\"24.9.142.XXX\",\"statusCode\":\"404\",\"errorMessage\":\"Device disconnected, see cause and resolution at https://aka.ms/iothub404104\"}","location":"centralus"}`
)

func TestConnectionsReadLikeTheObservedOnes(t *testing.T) {
	conflict := func(code, name, status, protocol string) string {
		return strings.NewReplacer("404104", code, "DeviceConnectionClosedRemotely", name, `\"404\"`, `\"`+status+`\"`,
			`\"Mqtt\"`, `\"`+protocol+`\"`).Replace(observedDisconnect)
	}
	goodbye := strings.NewReplacer(`"Error","resultType":"404104","resultDescription":"DeviceConnectionClosedRemotely"`, `"Information"`,
		`\"404\"`, "null", "Device disconnected, see cause and resolution at https://aka.ms/iothub404104", "").Replace(observedDisconnect)
	for story, want := range map[string]string{
		"connect":        observedConnect,
		"lost":           observedDisconnect,
		"idle":           observedDisconnect,
		"displaced-mqtt": conflict("400027", "ConnectionForcefullyClosedOnNewConnection", "400", "Mqtt"),
		"displaced-amqp": strings.ReplaceAll(conflict("409002", "LinkCreationConflict", "409", "Amqp"), "24.9.142.XXX", "2001:db8:0:0:XXXX:XXXX:XXXX:XXXX"),
		"expired":        conflict("401003", "IotHubUnauthorized", "401", "Mqtt"),
		"goodbye":        goodbye,
	} {
		t.Run(story, func(t *testing.T) {
			got, auth := published(t, tell(t, stories()[story]))
			sample, _ := published(t, want)
			if diff := cmp.Diff(sample, got); diff != "" {
				t.Error(diff)
			}
			kind := "sas"
			if story == "displaced-amqp" {
				kind = "x509"
			}
			wantAuth := fmt.Sprintf(`"{\"scope\":\"device\",\"type\":\"%s\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}"`, kind)
			if auth != wantAuth {
				t.Errorf("authType is %s, want the escaped JSON %s", auth, wantAuth)
			}
		})
	}
}

// published gives the members that Azure publishes, in the order in which they stand,
// and authType apart: where the hub is, and when, differs, and Azure often does not
// say how a device proved itself.
func published(t *testing.T, line string) (members []string, auth string) {
	t.Helper()
	for _, m := range membersOf(t, line) {
		switch m[0] {
		case "properties":
			for _, p := range membersOf(t, decode(t, line).Properties) {
				switch p[0] {
				case "authType":
					members, auth = append(members, "properties.authType"), p[1]
				case "berth":
				default:
					members = append(members, "properties."+p[0]+" = "+p[1])
				}
			}
		case "time", "resourceId", "location":
			members = append(members, m[0])
		default:
			members = append(members, m[0]+" = "+m[1])
		}
	}
	return members, auth
}

// membersOf gives the names and values of a JSON object, in order.
func membersOf(t *testing.T, object string) (out [][2]string) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(object))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		out = append(out, [2]string{name.(string), string(value)})
	}
	return out
}
