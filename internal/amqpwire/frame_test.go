package amqpwire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A frame that cannot be is refused as soon as it is seen, before a byte of its body.
func TestFramesRefusedBeforeTheirBody(t *testing.T) {
	cases := []struct {
		name, hex string
		limit     int
		want      error
	}{
		{"nothing", "", 512, ErrShort},
		{"half a length", "0000", 512, ErrShort},
		{"claims 4 GiB", "ffffffff", 1 << 20, errTooLarge},
		{"one too many", "00000201", 512, errTooLarge},
		{"just right", "00000200", 512, ErrShort},
		{"less than a header", "00000007", 512, errTooSmall},
		{"doff 1", "00000200 01000000", 512, errDoff},
		{"doff beyond the frame", "0000000b 03000000", 512, errDoff},
		{"doff fills the frame", "0000000c 03000000", 512, ErrShort},
		{"type 2", "00000200 02020000", 512, errFrameType},
		{"protocol header", "414d5150 00010000", 65536, errTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, n, err := Split(unhex(t, c.hex), c.limit)
			if !errors.Is(err, c.want) || n != 0 {
				t.Errorf("Split = %d, %v; want %v", n, err, c.want)
			}
			if refused, ok := errors.AsType[*DecodeError](err); ok && refused.Condition != CondFramingError {
				t.Errorf("%v does not say %s", err, CondFramingError)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	b := AppendEmpty(nil)
	b = append(b, unhex(t, "00000014 04000102 aaaaaaaa aaaaaaaa 005318 45")...) // an extended header
	b = AppendSASL(b, SASLOutcome{})
	var got []Frame
	for len(b) > 0 {
		f, n, err := Split(b, 100)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
		b = b[n:]
	}
	want := []Frame{
		{Body: []byte{}},
		{Channel: 0x0102, Body: unhex(t, "005318 45")},
		{Type: FrameSASL, Body: unhex(t, "005344 c003 01 5000")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProtocolHeaders(t *testing.T) {
	for p, want := range map[Proto]string{
		ProtoAMQP: "AMQP\x00\x01\x00\x00",
		ProtoTLS:  "AMQP\x02\x01\x00\x00",
		ProtoSASL: "AMQP\x03\x01\x00\x00",
	} {
		b := AppendProto(nil, p)
		if string(b) != want {
			t.Errorf("AppendProto(%d) = %q, want %q", p, b, want)
		}
		h, n, err := SplitProto(append(b, 1))
		if err != nil || n != ProtoLen || !h.Supported(p) {
			t.Errorf("SplitProto = %v, %d, %v", h, n, err)
		}
		for i := range b {
			if _, n, err := SplitProto(b[:i]); n != 0 || !errors.Is(err, ErrShort) {
				t.Errorf("%q: %d, %v", b[:i], n, err)
			}
		}
	}
	for _, other := range []string{"G", "AMQX", "AMQ\x00\x00\x00\x00\x00", "\x16\x03\x01"} {
		if _, _, err := SplitProto([]byte(other)); !errors.Is(err, errProto) {
			t.Errorf("%q: %v", other, err)
		}
	}
	for _, unsupported := range []string{"AMQP\x01\x01\x00\x0a", "AMQP\x00\x00\x09\x01", "AMQP\x00\x01\x00\x01"} {
		h, _, err := SplitProto([]byte(unsupported))
		if err != nil || h.Supported(ProtoAMQP) {
			t.Errorf("%q: %v, %v", unsupported, h, err)
		}
	}
}

// Bodies that must be refused, each as an AMQP frame.
func TestPerformativesRefused(t *testing.T) {
	cases := []struct {
		name, hex string
		want      error
	}{
		{"no body", "", errBodyless},
		{"not described", "45", errNotDescribed},
		{"descriptor alone", "005310", errTruncated},
		{"half a descriptor", "0053", errTruncated},
		{"unknown", "005399 45", errPerformative},
		{"a section", "005375 a000", errPerformative},
		{"SASL", "005341 c00401 a30141", errPerformative},
		{"unknown symbol", "00a30161 45", errPerformative},
		{"not a list", "005310 c10100", errNotList},
		{"null", "005310 40", errNotList},
		{"list past end", "005310 c00a 01 a10161", errTruncated},
		{"fields missing", "005310 c004 04 a10161", errCount},
		{"bytes behind the fields", "005310 c005 01 a1016140", errSize},
		{"bytes behind the performative", "005318 45 00", errTrailing},
		{"bytes behind a disposition", "005315 c00302 4143 00", errTrailing},
		{"bytes behind a flow", "005313 c00504 40434343 00", errTrailing},
		{"open without id", "005310 45", errMandatory},
		{"open with null id", "005310 c00201 40", errMandatory},
		{"open id is a symbol", "005310 c00401 a30161", errFieldType},
		{"open id is not UTF-8", "005310 c00401 a101ff", errUTF8},
		{"open frame size is a ulong", "005310 c00703 a10161 40 5301", errFieldType},
		{"open locales are strings", "005310 c00d06 a10161 40404040 e003 01a100", errFieldType},
		{"open locales are a list of strings", "005310 c00e06 a10161 40404040 c00401 a10161", errFieldType},
		{"open properties are a list", "005310 c00d0a a10161 4040404040404040 45", errFieldType},
		{"begin without windows", "005311 c00302 4043", errMandatory},
		{"begin channel is a uint", "005311 c00604 5201 434343", errFieldType},
		{"attach without role", "005312 c00502 a1016143", errMandatory},
		{"attach sender mode 3", "005312 c00804 a10161 43 42 5003", errFieldValue},
		{"attach receiver mode 2", "005312 c00905 a10161 43 42 40 5002", errFieldValue},
		{"attach source is a target", "005312 c00c06 a10161 43 42 4040 005329 45", errFieldType},
		{"attach source is unknown", "005312 c00c06 a10161 43 42 4040 005399 45", errFieldType},
		{"attach target is a source", "005312 c00d07 a10161 43 42 404040 005328 45", errFieldType},
		{"attach source durable 3", "005312 c01106 a10161 43 42 4040 005328 c00402 40 5203", errFieldValue},
		{"attach outcome is no state", "005312 c01706 a10161 43 42 4040 005328 c00a09 4040404040404040 41", errNotDescribed},
		{"transfer without handle", "005314 45", errMandatory},
		{"transfer handle is an int", "005314 c00301 5401", errFieldType},
		{"transfer handle cut", "005314 c00301 7001", errTruncated},
		{"transfer tag of 33 bytes", "005314 c02603 4343 a021" + strings.Repeat("00", 33), errFieldValue},
		{"transfer tag past end", "005314 c00503 4343 a021", errTruncated},
		{"transfer settled is 2", "005314 c00705 43434043 5602", errBool},
		{"transfer settled is a uint", "005314 c00605 43434043 43", errFieldType},
		{"transfer state is no state", "005314 c00908 43404040404040 41", errNotDescribed},
		{"disposition without first", "005315 c00201 41", errMandatory},
		{"disposition state is malformed", "005315 c00a05 41434041 005399 5602", errBool},
		{"disposition accepted is a map", "005315 c00b05 41434041 005324 c10100", errNotList},
		{"disposition received without offset", "005315 c00c05 41434041 005323 c00201 43", errMandatory},
		{"disposition rejected with no error", "005315 c00d05 41434041 005325 c00301 5201", errNotDescribed},
		{"disposition modified with a list", "005315 c00e05 41434041 005327 c00403 404045", errFieldType},
		{"detach error without condition", "005316 c00703 4341 00531d 45", errMandatory},
		{"detach error condition is a string", "005316 c00c03 4341 00531d c00401 a10161", errFieldType},
		{"detach error condition is not ASCII", "005316 c00c03 4341 00531d c00401 a301ff", errASCII},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := Frame{Body: unhex(t, c.hex)}
			p, err := f.Decode()
			if !errors.Is(err, c.want) || p != nil {
				t.Errorf("Decode = %v, %v; want %v", p, err, c.want)
			}
			if _, ok := errors.AsType[*DecodeError](err); !ok {
				t.Errorf("%v says no condition", err)
			}
		})
	}
}

func TestSASLRefused(t *testing.T) {
	cases := []struct {
		name, hex string
		want      error
	}{
		{"a performative", "005318 45", errPerformative},
		{"init without mechanism", "005341 45", errMandatory},
		{"init mechanism is a string", "005341 c00401 a10141", errFieldType},
		{"init response is a string", "005341 c00602 a30141 a100", errFieldType},
		{"challenge of nothing", "005342 45", errMandatory},
		{"response of nothing", "005343 45", errMandatory},
		{"outcome of nothing", "005344 45", errMandatory},
		{"outcome 5", "005344 c00301 5005", errFieldValue},
		{"bytes behind", "005344 c00301 5000 00", errTrailing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := Frame{Type: FrameSASL, Body: unhex(t, c.hex)}
			if s, err := f.DecodeSASL(); !errors.Is(err, c.want) || s != nil {
				t.Errorf("DecodeSASL = %v, %v; want %v", s, err, c.want)
			}
		})
	}
	// A mechanism that stands alone is read, as the standard has it (AMQP 1.4).
	f := Frame{Type: FrameSASL, Body: unhex(t, "005340 c00401 a30141")}
	if s, err := f.DecodeSASL(); err != nil || !cmp.Equal(s, SASL(SASLMechanisms{[]string{"A"}})) {
		t.Errorf("DecodeSASL = %v, %v", s, err)
	}
}

// Descriptors come in three forms.
func TestDescriptorForms(t *testing.T) {
	for c, name := range codeNames {
		if name == "" {
			continue
		}
		for _, b := range [][]byte{
			{fmtDescribed, fmtSmallUlong, byte(c)},
			append([]byte{fmtDescribed, fmtUlong, 0, 0, 0, 0, 0, 0, 0}, byte(c)),
			AppendSymbol([]byte{fmtDescribed}, name),
			append([]byte{fmtDescribed, fmtSymbol32, 0, 0, 0, byte(len(name))}, name...),
		} {
			got, n, err := takeCode(append(b, fmtList0))
			if err != nil || n != len(b) || got != Code(c) || got.String() != name {
				t.Errorf("%x: %v, %d, %v; want %s", b, got, n, err, name)
			}
		}
	}
	if s := Code(1).String(); s != "unknown" {
		t.Errorf("Code(1) = %q", s)
	}
	for _, role := range []Role{RoleSender, RoleReceiver} {
		if got := role.String(); got != map[Role]string{RoleSender: "sender", RoleReceiver: "receiver"}[role] {
			t.Errorf("%v = %q", bool(role), got)
		}
	}
	f := Frame{Body: append(AppendSymbol([]byte{fmtDescribed}, "amqp:transfer:list"), unhex(t, "c00201 43 ff")...)}
	if got, err := f.Transfer(); err != nil || string(got.Payload) != "\xff" {
		t.Errorf("Transfer = %v, %v", got, err)
	}
}

// What is another body is not read as this.
func TestHotBodiesAreNotConfused(t *testing.T) {
	for _, g := range golden {
		f := splitGolden(t, unhex(t, g.hex))
		c, err := f.Code()
		if err != nil {
			t.Fatal(err)
		}
		for want, read := range map[Code]func() error{
			CodeTransfer:    func() error { _, err := f.Transfer(); return err },
			CodeDisposition: func() error { _, err := f.Disposition(); return err },
			CodeFlow:        func() error { _, err := f.Flow(); return err },
		} {
			if err := read(); (err == nil) != (c == want) {
				t.Errorf("%s as %v: %v", g.name, want, err)
			}
		}
	}
}

// A message is cut into frames that each fit, and that make the message again.
func TestAppendPart(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789"), 200)
	for _, settled := range []Opt[bool]{{}, Some(true)} {
		for limit := 512; limit < 540; limit++ {
			for _, size := range []int{0, 1, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 490, 491, 492, 493, 494, 495, 1000, 2000} {
				t1 := Transfer{Handle: 1, DeliveryID: Some[uint32](9), Tag: []byte{1, 2}, MessageFormat: Some[uint32](0), Settled: settled}
				var whole []byte
				rest := payload[:size]
				for first := true; first || len(rest) > 0; first = false {
					var b []byte
					b, rest = t1.AppendPart([]byte("x"), 3, limit, rest)
					f, n, err := Split(b[1:], limit)
					if err != nil || n != len(b)-1 || f.Channel != 3 {
						t.Fatalf("Split = %d of %d, %v", n, len(b)-1, err)
					}
					got, err := f.Transfer()
					if err != nil || got.More != (len(rest) > 0) || got.Handle != 1 {
						t.Fatalf("Transfer = %+v, %v; %d left", got, err, len(rest))
					}
					if len(rest) > 0 && n != limit {
						t.Errorf("a frame of %d bytes, %d are allowed", n, limit)
					}
					whole = append(whole, got.Payload...)
					t1.DeliveryID, t1.Tag, t1.MessageFormat, t1.Settled = Opt[uint32]{}, nil, Opt[uint32]{}, Opt[bool]{}
				}
				if !slices.Equal(whole, payload[:size]) {
					t.Fatalf("%d bytes became %d", size, len(whole))
				}
			}
		}
	}
}

// The long fields of set-up keep their content in wide encodings.
func TestLongFields(t *testing.T) {
	long := strings.Repeat("a", 70_000)
	many := slices.Repeat([]string{"cap"}, 1000)
	for _, p := range []Performative{
		Open{ContainerID: long, Hostname: long, OfferedCapabilities: many, Properties: Map(Symbol(long), String(long))},
		Attach{Name: long, Source: &Source{Address: long, Outcomes: many}, Target: &Node{Address: long, Capabilities: many}},
		Close{Error: &Error{Condition: long, Description: long, Info: Map(Symbol("k"), String(long))}},
	} {
		f := splitLong(t, AppendFrame(nil, 0, p))
		if got, err := f.Decode(); err != nil || !cmp.Equal(got, p) {
			t.Errorf("%T: %v", p, err)
		}
	}
}

// What sets something up owns what it holds; so it survives the buffer.
func TestSetUpOwnsWhatItHolds(t *testing.T) {
	for _, g := range golden {
		switch g.want.(type) {
		case Open, Begin, Attach, Detach, End, Close:
		case Transfer, Disposition, Flow:
			continue
		}
		b := unhex(t, g.hex)
		f, _, err := Split(b, len(b))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Decode()
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if diff := cmp.Diff(g.want, got); diff != "" {
			t.Errorf("%s: %s", g.name, diff)
		}
	}
	// An error is its own even where the state that has it borrows.
	b := Disposition{State: Rejected{&Error{Condition: "c", Description: "d", Info: Map(Symbol("k"), String("v"))}}}.AppendFrame(nil, 0)
	d, err := splitLong(t, b).Disposition()
	clear(b)
	if r, ok := d.State.(Rejected); err != nil || !ok || r.Error.Condition != "c" || !r.Error.Info.Equal(Map(Symbol("k"), String("v"))) {
		t.Errorf("%+v, %v", d, err)
	}
	for _, g := range goldenSASL {
		b := unhex(t, g.hex)
		f, _, err := Split(b, len(b))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.DecodeSASL()
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if diff := cmp.Diff(g.want, got); diff != "" {
			t.Errorf("%s: %s", g.name, diff)
		}
	}
}

func splitLong(t *testing.T, b []byte) Frame {
	t.Helper()
	f, n, err := Split(b, len(b))
	if err != nil || n != len(b) {
		t.Fatalf("Split = %d of %d, %v", n, len(b), err)
	}
	return f
}
