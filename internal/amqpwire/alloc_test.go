package amqpwire

import (
	"slices"
	"strings"
	"testing"
)

var (
	telemetry = AppendData(Map(String("k"), String("v"), String("level"), String("info")).Append(
		AppendSection((&Properties{
			MessageID: String("8d2e0c1e-6a57-4c6f-9a39-0f6e2f7c9b1d"), To: []byte("/devices/dev1/messages/events"),
			ContentType: []byte("application/json"), ContentEncoding: []byte("utf-8"),
		}).Append(nil), CodeApplicationProperties)), make([]byte, 256))
	aTransfer = Transfer{
		DeliveryID: Some[uint32](1000), Tag: make([]byte, 16), MessageFormat: Some[uint32](0), Settled: Some(false),
		Batchable: true, Payload: telemetry,
	}
	aDisposition = Disposition{Role: RoleReceiver, First: 1000, Last: 1015, Settled: true, State: Accepted{}}
	aFlow        = Flow{NextIncomingID: Some[uint32](9), IncomingWindow: 2048, OutgoingWindow: 2048, Handle: Some[uint32](0), DeliveryCount: Some[uint32](300), LinkCredit: Some[uint32](1000)}
)

// hot is what runs for every message. Each gives false if it went wrong.
func hot() map[string]func() bool {
	transfer, disposition, flow := aTransfer.AppendFrame(nil, 1), aDisposition.AppendFrame(nil, 1), aFlow.AppendFrame(nil, 1)
	described := Described(Ulong(0x468C00000004), String("x")).Append(nil)
	annotations := Map(Symbol("x-opt-sequence-number"), Long(1<<40), Symbol("x-opt-offset"), String("1234")).Append(nil)
	buf := make([]byte, 0, 4096)
	released := Disposition{State: Released{}}.AppendFrame(nil, 1)
	return map[string]func() bool{
		"Transfer": func() bool {
			f, _, err := Split(transfer, 65536)
			if err != nil {
				return false
			}
			t, err := f.Transfer()
			return err == nil && len(t.Payload) == len(telemetry)
		},
		"Disposition": func() bool {
			f, _, err := Split(disposition, 65536)
			if err != nil {
				return false
			}
			d, err := f.Disposition()
			return err == nil && d.Last == 1015 && d.State == Accepted{}
		},
		"DispositionReleased": func() bool {
			f, _, err := Split(released, 65536)
			if err != nil {
				return false
			}
			d, err := f.Disposition()
			return err == nil && d.State == Released{}
		},
		"Flow": func() bool {
			f, _, err := Split(flow, 65536)
			if err != nil {
				return false
			}
			p, err := f.Flow()
			return err == nil && p.LinkCredit.V == 1000
		},
		"TransferAppend": func() bool {
			buf = append(aTransfer.AppendHeader(buf[:0], 1, len(telemetry)), telemetry...)
			return len(buf) == len(transfer)
		},
		"TransferAppendPart": func() bool {
			b, rest := aTransfer.AppendPart(buf[:0], 1, 512, telemetry)
			b, rest = Transfer{}.AppendPart(b, 1, 512, rest)
			return len(b) > len(telemetry) && len(rest) == 0
		},
		"DispositionAppend": func() bool {
			buf = aDisposition.AppendFrame(buf[:0], 1)
			return len(buf) == len(disposition)
		},
		"FlowAppend": func() bool {
			buf = aFlow.AppendFrame(buf[:0], 1)
			return len(buf) == len(flow)
		},
		"ScanMessage": func() bool {
			m, err := ScanMessage(telemetry)
			return err == nil && m.BodySections == 1
		},
		"DecodeProperties": func() bool {
			m, err := ScanMessage(telemetry)
			if err != nil {
				return false
			}
			p, err := DecodeProperties(m.Properties)
			return err == nil && len(p.To) > 0
		},
		"ReadProperties": func() bool {
			m, err := ScanMessage(telemetry)
			if err != nil {
				return false
			}
			v, err := DecodeApplicationProperties(m.ApplicationProperties)
			n := 0
			for k, value := range v.Pairs() {
				n += len(k.Raw()) + len(value.Raw())
			}
			for d := range m.Data() {
				n += len(d)
			}
			return err == nil && n == 267 && v.Get("level").Kind() == KindString
		},
		"Values": func() bool {
			v, _, err := DecodeValue(annotations)
			d, _, err2 := DecodeValue(described)
			_, inner, ok := d.AsDescribed()
			n, isInt := v.Get("x-opt-sequence-number").AsInt()
			return err == nil && err2 == nil && ok && inner.Kind() == KindString && isInt && n == 1<<40
		},
		"SectionsAppend": func() bool {
			b, at := OpenMap(AppendSection(buf[:0], CodeMessageAnnotations))
			b = AppendLong(AppendSymbol(b, "x-opt-sequence-number"), 1<<40)
			b = AppendString(AppendSymbol(b, "x-opt-offset"), "1234")
			b = AppendTimestamp(AppendSymbol(b, "x-opt-enqueued-time"), 1700000000000)
			b = AppendString(AppendSymbol(b, "iothub-connection-auth-method"), `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`)
			b = AppendString(AppendSymbol(b, "iothub-connection-device-id"), "a-device-that-has-a-rather-long-name")
			b = AppendString(AppendSymbol(b, "iothub-connection-auth-generation-id"), "638000000000000000")
			b = CloseMap(b, at, 6)
			return len(AppendData(b, telemetry)) > 300
		},
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for name, f := range hot() {
		t.Run(name, func(t *testing.T) {
			if !f() {
				t.Fatal("went wrong")
			}
			if allocs := testing.AllocsPerRun(100, func() { f() }); allocs != 0 {
				t.Errorf("%v allocations, want 0", allocs)
			}
		})
	}
}

// What a frame holds is bounded by its bytes, also where a byte is an element.
func TestAllocationIsBounded(t *testing.T) {
	none := make([]string, 60_000)
	for _, p := range []Performative{
		Open{ContainerID: "c", OfferedCapabilities: none},
		Open{ContainerID: "c", Properties: List(make([]Value, 60_000)...)},
		Open{ContainerID: "c", Properties: Map(Symbol("k"), List(make([]Value, 60_000)...))},
		Attach{Name: "l", Source: &Source{Outcomes: none}, Target: &Node{Capabilities: none}, DesiredCapabilities: none},
		Disposition{State: Modified{MessageAnnotations: Map(Symbol("k"), List(make([]Value, 60_000)...))}},
		Disposition{State: Other{Described(Symbol(strings.Repeat("x", 60_000)), List())}},
		Close{Error: &Error{Condition: strings.Repeat("x", 60_000), Info: Map(Symbol("k"), Binary(make([]byte, 60_000)))}},
	} {
		b := AppendFrame(nil, 0, p)
		if grown := allocated(func() { _, _ = splitLong(t, b).Decode() }); grown > uint64(32*len(b)+4096) {
			t.Errorf("%T of %d bytes allocated %d", p, len(b), grown)
		}
	}
	b := AppendSASL(nil, SASLMechanisms{none})
	if grown := allocated(func() { _, _ = splitLong(t, b).DecodeSASL() }); grown > uint64(32*len(b)+4096) {
		t.Errorf("mechanisms of %d bytes allocated %d", len(b), grown)
	}
	// An array of nothing is read in no time and into nothing, however often it is nested.
	zeros := decoded(t, "e0 02 ff 44")
	v, _, err := DecodeValue(List(slices.Repeat([]Value{zeros}, 1000)...).Append(nil))
	if err != nil || countValues(v) != 1+1000*MaxEmpty {
		t.Errorf("%v: %d values, %v", v, countValues(v), err)
	}
}

func BenchmarkHot(b *testing.B) {
	for name, f := range hot() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !f() {
					b.Fatal("went wrong")
				}
			}
		})
	}
}
