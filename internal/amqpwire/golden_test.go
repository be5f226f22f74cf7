package amqpwire

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is frames of every performative, every field of each among them. The bytes are
// those of an assembler that has nothing but the standard's tables.
var golden = []struct {
	name, hex string
	short     string // the same without the nulls at its end, as many write it; empty if there are none
	want      Performative
}{
	{"open_least", "0000001c02000000005310c00f0aa1036f6e65404040404040404040", "0000001302000000005310c00601a1036f6e65", Open{ContainerID: "one", MaxFrameSize: Unlimited, ChannelMax: 65535}},
	{"open_full", "0000004002000000005310c0330aa10163a10168700001000060001f5264e00602a301610162e00401a30162e00401a30163e00401a30164c10602a3016b5401", "", Open{
		ContainerID: "c", Hostname: "h", MaxFrameSize: 65536, ChannelMax: 31, IdleTimeOut: 100, OutgoingLocales: []string{"a", "b"},
		IncomingLocales: []string{"b"}, OfferedCapabilities: []string{"c"}, DesiredCapabilities: []string{"d"}, Properties: Map(Symbol("k"), Int(1)),
	}},
	{"begin", "0000001b02000007005311c00e08404352ff700000010040404040", "0000001702000007005311c00a04404352ff7000000100", Begin{IncomingWindow: 255, OutgoingWindow: 256, HandleMax: Unlimited}},
	{"begin_answer", "0000002b02000007005311c01e0860000752014343520ae00401a30161e00401a30162c10602a3016b5401", "", Begin{
		RemoteChannel: Some[uint16](7), NextOutgoingID: 1, HandleMax: 10, OfferedCapabilities: []string{"a"},
		DesiredCapabilities: []string{"b"}, Properties: Map(Symbol("k"), Int(1)),
	}},
	{"attach_sender", "0000002c02000000005312c01f0ea1016c43425002500000532845005329c00401a101744040520540404040", "0000002802000000005312c01b0aa1016c43425002500000532845005329c00401a1017440405205", Attach{
		Name: "l", SenderSettleMode: SenderMixed, Source: &Source{}, Target: &Node{Address: "t"}, InitialDeliveryCount: 5,
	}},
	{"attach_refused", "0000002102000000005312c0140ea1016c52024150015001404040404040404040", "0000001802000000005312c00b05a1016c52024150015001", Attach{Name: "l", Handle: 2, Role: RoleReceiver, SenderSettleMode: SenderSettled, ReceiverSettleMode: ReceiverSecond}},
	{"attach_coordinator", "0000004102000000005312c0340ea1016c43425000500040005330c01d01e01a01a317616d71703a6c6f63616c2d7472616e73616374696f6e7340404340404040", "0000003d02000000005312c0300aa1016c43425000500040005330c01d01e01a01a317616d71703a6c6f63616c2d7472616e73616374696f6e73404043", Attach{
		Name: "l", Target: &Coordinator{Capabilities: []string{"amqp:local-transactions"}},
	}},
	{"attach_full", "000000e202000000005312c0d50ea1016c700000012c4150005001005328c05f0ba101615201a3056e65766572523c41c11602a30f6c69666574696d652d706f6c69637900532b45a304636f7079c10a02a30166005304a10178005327c003024041e01501a312616d71703a61636365707465643a6c697374e00401a30171005329c02107405202a30b6c696e6b2d6465746163684041c10602a3016b5401e00401a30171c10802a00101005324454140800000000000010000e00401a3016fe00602a301640165c11802a313636f6d2e6d6963726f736f66743a65706f63685507", "", Attach{
		Name: "l", Handle: 300, Role: RoleReceiver, ReceiverSettleMode: ReceiverSecond,
		Source: &Source{
			Address: "a", Durable: DurableConfiguration, ExpiryPolicy: ExpireNever, Timeout: 60, Dynamic: true,
			DynamicNodeProperties: Map(Symbol("lifetime-policy"), Described(Ulong(0x2b), List())), DistributionMode: "copy",
			Filter: Map(Symbol("f"), Described(Ulong(4), String("x"))), DefaultOutcome: Modified{UndeliverableHere: true},
			Outcomes: []string{"amqp:accepted:list"}, Capabilities: []string{"q"},
		},
		Target: &Node{
			Durable: DurableUnsettledState, ExpiryPolicy: ExpireLinkDetach, Dynamic: true,
			DynamicNodeProperties: Map(Symbol("k"), Int(1)), Capabilities: []string{"q"},
		},
		Unsettled: Map(Binary([]byte{1}), Described(Ulong(0x24), List())), IncompleteUnsettled: true, MaxMessageSize: 65536,
		OfferedCapabilities: []string{"o"}, DesiredCapabilities: []string{"d", "e"}, Properties: Map(Symbol("com.microsoft:epoch"), Long(7)),
	}},
	{"flow_session", "0000001b02000001005313c00e0b40520143520240404040404040", "0000001402000001005313c00704405201435202", Flow{IncomingWindow: 1, OutgoingWindow: 2}},
	{"flow_link", "0000002002000001005313c0130b435201435202520352045264434141c10100", "", Flow{
		NextIncomingID: Some[uint32](0), IncomingWindow: 1, OutgoingWindow: 2, Handle: Some[uint32](3), DeliveryCount: Some[uint32](4),
		LinkCredit: Some[uint32](100), Available: Some[uint32](0), Drain: true, Echo: true, Properties: Map(),
	}},
	{"transfer", "0000002302000000005314c00f0b435201a001014342404040404040005375a0026869", "0000001d02000000005314c00905435201a001014342005375a0026869", Transfer{
		DeliveryID: Some[uint32](1), Tag: []byte{1}, MessageFormat: Some[uint32](0), Settled: Some(false), Payload: []byte("\x00\x53\x75\xa0\x02hi"),
	}},
	{"transfer_continues", "0000001a02000000005314c00c0b4340404040414040404040ff", "0000001502000000005314c00706434040404041ff", Transfer{More: true, Payload: []byte{0xff}}},
	{"transfer_full", "0000002302000000005314c0160b520143a00070800137004141500100532445414141", "", Transfer{
		Handle: 1, DeliveryID: Some[uint32](0), Tag: []byte{}, MessageFormat: Some[uint32](0x80013700), Settled: Some(true), More: true,
		ReceiverSettleMode: Some(ReceiverSecond), State: Accepted{}, Resume: true, Aborted: true, Batchable: true, Payload: []byte{},
	}},
	{"disposition_accepted", "0000001802000000005315c00b0641435209410053244540", "0000001702000000005315c00a05414352094100532445", Disposition{Role: RoleReceiver, Last: 9, Settled: true, State: Accepted{}}},
	{"disposition_released", "0000001802000000005315c00b0642520740410053264540", "0000001702000000005315c00a05425207404100532645", Disposition{First: 7, Last: 7, Settled: true, State: Released{}}},
	{"disposition_rejected", "0000003a02000000005315c02d0641434040005325c0220100531dc01c03a30e616d71703a6e6f742d666f756e64a10164c10602a3016b540141", "", Disposition{
		Role: RoleReceiver, State: Rejected{&Error{Condition: CondNotFound, Description: "d", Info: Map(Symbol("k"), Int(1))}}, Batchable: true,
	}},
	{"disposition_rejected_bare", "0000001702000000005315c00a06414340410053254540", "0000001602000000005315c009054143404100532545", Disposition{Role: RoleReceiver, Settled: true, State: Rejected{}}},
	{"disposition_modified", "0000002302000000005315c0160641434041005327c00b034141c10602a3016b540140", "0000002202000000005315c0150541434041005327c00b034141c10602a3016b5401", Disposition{
		Role: RoleReceiver, Settled: true, State: Modified{DeliveryFailed: true, UndeliverableHere: true, MessageAnnotations: Map(Symbol("k"), Int(1))},
	}},
	{"disposition_received", "0000002402000000005315c0170641434040005323c00c02520180000000000000012c40", "0000002302000000005315c0160541434040005323c00c02520180000000000000012c", Disposition{Role: RoleReceiver, State: Received{SectionNumber: 1, SectionOffset: 300}}},
	{"disposition_declared", "0000001c02000000005315c00f0641434041005333c00401a0017440", "0000001b02000000005315c00e0541434041005333c00401a00174", Disposition{
		Role: RoleReceiver, Settled: true, State: Other{Described(Ulong(0x33), List(Binary([]byte("t"))))},
	}},
	{"disposition_transactional", "0000002002000000005315c0130641434040005334c00802a001740053244540", "0000001f02000000005315c0120541434040005334c00802a0017400532445", Disposition{
		Role: RoleReceiver, State: Other{Described(Ulong(0x34), List(Binary([]byte("t")), Described(Ulong(0x24), List())))},
	}},
	{"disposition_none", "0000001402000000005315c00706414340414040", "0000001202000000005315c0050441434041", Disposition{Role: RoleReceiver, Settled: true}},
	{"detach", "0000001202000000005316c0050352034040", "0000001002000000005316c003015203", Detach{Handle: 3}},
	{"detach_error", "0000003102000000005316c02403434100531dc01c03a310616d71703a6c696e6b3a73746f6c656e40c10602a3016b5401", "", Detach{Closed: true, Error: &Error{Condition: CondStolen, Info: Map(Symbol("k"), Int(1))}}},
	{"end", "0000000f02000003005317c0020140", "0000000c0200000300531745", End{}},
	{"end_error", "0000003502000003005317c0280100531dc02203a31d616d71703a73657373696f6e3a77696e646f772d76696f6c6174696f6e4040", "0000003302000003005317c0260100531dc02001a31d616d71703a73657373696f6e3a77696e646f772d76696f6c6174696f6e", End{Error: &Error{Condition: CondWindowViolation}}},
	{"close", "0000000f02000000005318c0020140", "0000000c0200000000531845", Close{}},
	{"close_error", "0000003202000000005318c0250100531dc01f03a316616d71703a636f6e6e656374696f6e3a666f72636564a10362796540", "0000003102000000005318c0240100531dc01e02a316616d71703a636f6e6e656374696f6e3a666f72636564a103627965", Close{Error: &Error{Condition: CondConnectionForced, Description: "bye"}}},
}

// goldenSASL is frames of every SASL body, likewise.
var goldenSASL = []struct {
	name, hex string
	want      SASL
}{
	{"sasl_mechanisms", "0000002002010000005340c01301e01002a3074d53534243425305504c41494e", SASLMechanisms{[]string{"MSSBCBS", "PLAIN"}}},
	{"sasl_mechanism", "0000001802010000005340c00b01e00801a305504c41494e", SASLMechanisms{[]string{"PLAIN"}}},
	{"sasl_init", "0000001e02010000005341c01103a305504c41494ea00400750070a10168", SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00u\x00p"), Hostname: "h"}},
	{"sasl_init_least", "0000001702010000005341c00a01a3074d535342434253", SASLInit{Mechanism: "MSSBCBS"}},
	{"sasl_init_empty", "0000001a02010000005341c00d02a30845585445524e414ca000", SASLInit{Mechanism: "EXTERNAL", InitialResponse: []byte{}}},
	{"sasl_challenge", "0000001102010000005342c00401a0013f", SASLChallenge{[]byte("?")}},
	{"sasl_response", "0000001002010000005343c00301a000", SASLResponse{[]byte{}}},
	{"sasl_outcome", "0000001002010000005344c003015000", SASLOutcome{}},
	{"sasl_outcome_auth", "0000001402010000005344c007025001a0026e6f", SASLOutcome{Code: SASLAuth, AdditionalData: []byte("no")}},
}

func TestGoldenFrames(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			b := unhex(t, g.hex)
			f := splitGolden(t, b)
			got, err := f.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.want, got); diff != "" {
				t.Error(diff)
			}
			if again := AppendFrame(nil, f.Channel, g.want); !cmp.Equal(b, again) {
				t.Errorf("AppendFrame = %x, want %x", again, b)
			}
			if again := appendHot([]byte("before"), f.Channel, g.want); again != nil && string(again) != "before"+string(b) {
				t.Errorf("its own AppendFrame = %x, want %x", again, b)
			}
			if _, err := f.DecodeSASL(); err == nil {
				t.Error("decodes as SASL")
			}
			if g.short == "" {
				return
			}
			got, err = splitGolden(t, unhex(t, g.short)).Decode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.want, got); diff != "" {
				t.Errorf("the short form: %s", diff)
			}
		})
	}
}

// appendHot writes those that have a method of their own for it.
func appendHot(b []byte, channel uint16, p Performative) []byte {
	switch p := p.(type) {
	case Transfer:
		return p.AppendFrame(b, channel)
	case Disposition:
		return p.AppendFrame(b, channel)
	case Flow:
		return p.AppendFrame(b, channel)
	case Open, Begin, Attach, Detach, End, Close:
	}
	return nil
}

// splitGolden splits a frame, and finds each of its beginnings short.
func splitGolden(t *testing.T, b []byte) Frame {
	t.Helper()
	for i := range b {
		if _, n, err := Split(b[:i], len(b)); n != 0 || !errors.Is(err, ErrShort) {
			t.Errorf("the first %d bytes: %d, %v; want ErrShort", i, n, err)
		}
	}
	f, n, err := Split(append(slices.Clip(b), 0xff), len(b))
	if err != nil || n != len(b) {
		t.Fatalf("Split = %d, %v; want %d, nil", n, err, len(b))
	}
	return f
}

func TestGoldenSASL(t *testing.T) {
	for _, g := range goldenSASL {
		t.Run(g.name, func(t *testing.T) {
			b := unhex(t, g.hex)
			f := splitGolden(t, b)
			got, err := f.DecodeSASL()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.want, got); diff != "" {
				t.Error(diff)
			}
			if again := AppendSASL(nil, g.want); !cmp.Equal(b, again) {
				t.Errorf("AppendSASL = %x, want %x", again, b)
			}
			if _, err := f.Decode(); err == nil {
				t.Error("decodes as a performative")
			}
		})
	}
}

// Every golden frame with each of its bytes changed to each constructor, and to other
// telling values: no panic, and what decodes at all survives encoding.
func TestOneByteChanged(t *testing.T) {
	telling := []byte{0, 1, 2, 3, 5, 0x53, 0x7f, 0xff}
	for code, f := range formats {
		if f.shape != shapeNone {
			telling = append(telling, byte(code))
		}
	}
	for _, g := range golden {
		b := unhex(t, g.hex)
		for i, was := range b {
			for _, b[i] = range telling {
				roundTrip(t, b)
			}
			b[i] = was
		}
	}
}

// seeds are what both fuzz targets begin with.
func seeds(tb testing.TB) map[string][]byte {
	tb.Helper()
	all := map[string][]byte{"proto": AppendProto(nil, ProtoSASL), "empty": AppendEmpty(nil)}
	for _, g := range golden {
		all[g.name] = unhex(tb, g.hex)
	}
	for _, g := range goldenSASL {
		all[g.name] = unhex(tb, g.hex)
	}
	for _, g := range goldenMessages {
		all[g.name] = unhex(tb, g.hex)
	}
	for _, g := range values {
		all["value_"+g.name] = unhex(tb, g.hex)
	}
	for _, c := range clients(tb) {
		all[c.client+"_"+strconv.Itoa(c.line)] = c.bytes
	}
	return all
}

func TestSeedsAreCommitted(t *testing.T) {
	for _, target := range []string{"FuzzDecode", "FuzzRoundTrip"} {
		for name, b := range seeds(t) {
			file := filepath.Join("testdata", "fuzz", target, name)
			want := "go test fuzz v1\n[]byte(" + strconv.Quote(string(b)) + ")\n"
			if os.Getenv("UPDATE_SEEDS") != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%s: %v (UPDATE_SEEDS=1 writes it)", file, err)
			}
		}
	}
}

// TestPerformativesHaveEveryField: what is absent is null, in each performative and in an
// error. Python's azure-eventhub takes fields by their place and fails at one beyond the end.
func TestPerformativesHaveEveryField(t *testing.T) {
	bare := &Error{Condition: CondStolen}
	for want, ps := range map[int][]Performative{ // as many as the standard's tables have
		10: {Open{}},
		8:  {Begin{}},
		14: {Attach{}},
		11: {Flow{}, Transfer{}, Transfer{Payload: []byte{1}}},
		6:  {Disposition{}},
		3:  {Detach{}, Detach{Error: bare}},
		1:  {End{}, Close{}, End{Error: bare}},
	} {
		for _, p := range ps {
			if got := countFields(t, p.Append(nil)); got != want {
				t.Errorf("%T has %d fields, want %d", p, got, want)
			}
		}
	}
	var l list
	l.error(bare)
	if got := countFields(t, l.b); got != 3 {
		t.Errorf("an error has %d fields, want 3", got)
	}
}

func countFields(t *testing.T, b []byte) int {
	t.Helper()
	var in fields
	if _, _, err := in.enter(b); err != nil {
		t.Fatal(err)
	}
	return in.left
}
