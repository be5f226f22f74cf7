package amqpwire

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// captured is one frame or protocol header as a real client sent it.
type captured struct {
	client string
	line   int
	kind   string
	bytes  []byte
}

// clients reads testdata/clients: what each client wrote to a server, in order, frames of
// one kind and one length once. Captured: npm rhea 3.0.5, azure-iot-device-amqp 1.14.4,
// azure-iothub 1.16.6, @azure/event-hubs 6.0.4; Go go-amqp 1.7.0; Python uamqp 1.5.3 (the C SDK's codec) and
// proton 0.37.
func clients(tb testing.TB) []captured {
	tb.Helper()
	files, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(files) < 7 {
		tb.Fatal(files, err)
	}
	var all []captured
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		client := strings.TrimSuffix(filepath.Base(name), ".txt")
		lines := bufio.NewScanner(f)
		for i := 1; lines.Scan(); i++ {
			kind, hex, _ := strings.Cut(lines.Text(), " ")
			all = append(all, captured{client, i, kind, unhex(tb, hex)})
		}
		if err := lines.Err(); err != nil {
			tb.Fatal(err)
		}
		f.Close()
	}
	return all
}

// Everything that real clients send is read, and what it says survives our encoding.
func TestClientsAreUnderstood(t *testing.T) {
	var message []byte
	for _, c := range clients(t) {
		if c.kind == "proto" {
			if h, _, err := SplitProto(c.bytes); err != nil || !h.Supported(ProtoAMQP) && !h.Supported(ProtoSASL) {
				t.Errorf("%s:%d: %v, %v", c.client, c.line, h, err)
			}
			continue
		}
		f, n, err := Split(c.bytes, len(c.bytes))
		if err != nil || n != len(c.bytes) {
			t.Fatalf("%s:%d: %d of %d, %v", c.client, c.line, n, len(c.bytes), err)
		}
		if f.Type == FrameSASL {
			if _, err := f.DecodeSASL(); err != nil {
				t.Errorf("%s:%d: %v", c.client, c.line, err)
			}
		} else if p, err := f.Decode(); err != nil {
			t.Errorf("%s:%d: %v", c.client, c.line, err)
		} else if tr, ok := p.(Transfer); ok {
			message = append(message, tr.Payload...)
			if !tr.More {
				walkMessage(t, message)
				_, err := ScanMessage(message)
				if footer := c.client == "rhea" && c.line == 11; footer != errors.Is(err, errSectionOrder) || !footer && err != nil {
					t.Errorf("%s:%d: %v", c.client, c.line, err) // rhea writes a footer before the body
				}
				message = message[:0]
			}
		}
		if code, err := f.Code(); err != nil || !strings.Contains(code.String(), c.kind) {
			t.Errorf("%s:%d is a %v, want %s", c.client, c.line, code, c.kind)
		}
		roundTrip(t, c.bytes)
	}
}

// Some of it word by word: what the endpoint will lean on.
func TestClientsWordByWord(t *testing.T) {
	wants := map[string]map[int]any{
		"azure-event-hubs": {
			2: SASLInit{Mechanism: "ANONYMOUS", InitialResponse: []byte("\x00iothubowner"), Hostname: "127.77.0.1"},
			17: Attach{
				Name: "hub/ConsumerGroups/$Default/Partitions/0-d62eca03-e265-4c13-854c-6d30d00ca30c", Role: RoleReceiver, SenderSettleMode: SenderMixed,
				Source: &Source{
					Address: "hub/ConsumerGroups/$Default/Partitions/0",
					Filter: Map(Symbol("apache.org:selector-filter:string"),
						Described(Ulong(0x468C00000004), String("amqp.annotation.x-opt-sequence-number >= '1'"))),
				},
				Target:              &Node{Address: "05ae86d5-6988-4ddd-a1ab-a062bbb949a2"},
				DesiredCapabilities: []string{"com.microsoft:georeplication", "com.microsoft:enable-receiver-runtime-metric"},
				Properties: Map(Symbol("com.microsoft:receiver-name"), String("05ae86d5-6988-4ddd-a1ab-a062bbb949a2"),
					Symbol("com.microsoft:epoch"), Long(3)),
			},
			19: Flow{
				NextIncomingID: Some[uint32](1), IncomingWindow: 2048, OutgoingWindow: Unlimited, Handle: Some[uint32](0),
				DeliveryCount: Some[uint32](1), LinkCredit: Some[uint32](5),
			},
		},
		"azure-iot-device-amqp": {
			9: Attach{
				Name: "rheaReceiver_80101728-1ac9-4746-bcba-3949543d54fe", Handle: 2, Role: RoleReceiver, SenderSettleMode: SenderMixed,
				Source: &Source{Address: "/devices/dev1/messages/devicebound"}, Target: &Node{},
				Properties: Map(Symbol("com.microsoft:client-version"), String("azure-iot-device/1.18.4 (node v20.20.2; Debian 12; x64)")),
			},
			8:  Disposition{Role: RoleReceiver, Settled: true, State: Accepted{}},
			22: Detach{Handle: 0, Closed: true},
		},
		"go-amqp": {
			14: Disposition{Role: RoleReceiver, State: Accepted{}},
			15: Disposition{Role: RoleReceiver, First: 1, Last: 1, State: Rejected{&Error{
				Condition: CondNotFound, Description: "d", Info: Map(String("k"), Int(1)),
			}}},
			17: Disposition{Role: RoleReceiver, First: 3, Last: 3, State: Modified{
				DeliveryFailed: true, UndeliverableHere: true, MessageAnnotations: Map(Symbol("a"), String("b")),
			}},
		},
		"uamqp": {
			2:  SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00dev1@sas.hub\x00SharedAccessSignature sr=x")},
			18: SASLInit{Mechanism: "MSSBCBS"},
		},
		"proton": {
			4: Open{
				ContainerID: "0a0149d8-2ae0-4733-8575-33e3040e28d5", Hostname: "127.77.0.1", MaxFrameSize: Unlimited, ChannelMax: 32767,
				IdleTimeOut: 15000, OfferedCapabilities: []string{"a", "b"}, DesiredCapabilities: []string{"c"}, Properties: Map(Symbol("p"), String("v")),
			},
		},
	}
	for _, c := range clients(t) {
		want, ok := wants[c.client][c.line]
		if !ok {
			continue
		}
		f, _, err := Split(c.bytes, len(c.bytes))
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if f.Type == FrameSASL {
			got, err = f.DecodeSASL()
		} else {
			got, err = f.Decode()
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s:%d: %v\n%s", c.client, c.line, err, diff)
		}
	}
}
