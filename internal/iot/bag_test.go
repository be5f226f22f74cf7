package iot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parse gives the parsed properties of a bag, without the hub's stamps.
func parse(t *testing.T, bag string) (system, application Properties) {
	t.Helper()
	if err := ScanBag([]byte(bag)); err != nil {
		t.Fatalf("%s: %v", bag, err)
	}
	var s, a propSet
	parseBag(bag, &s, &a)
	return s.list, a.list
}

// TestBagOfEverySDK holds the encodings of device-mqtt-http 3.
func TestBagOfEverySDK(t *testing.T) {
	for _, tc := range []struct {
		name, bag   string
		system, app Properties
	}{
		{"empty", "", nil, nil},
		{
			"node", "%24.mid=m%201&%24.ct=application%2Fjson%3Bcharset%3Dutf-8&%24.ce=utf-8&a%3Db=c%26d&u=undefined",
			Properties{{Name: MessageID, Value: "m 1"}, {Name: ContentType, Value: "application/json;charset=utf-8"}, {Name: ContentEncoding, Value: "utf-8"}},
			Properties{{Name: "a=b", Value: "c&d"}, {Name: "u", Value: "undefined"}},
		},
		{
			"java leaves $ literal", "$.mid=1&$.cdid=other&$.cmid=other&$.ctime=2026-01-01T00%3A00%3A00Z&k=a%20b",
			Properties{{Name: MessageID, Value: "1"}, {Name: CreationTime, Value: "2026-01-01T00:00:00Z"}},
			Properties{{Name: "k", Value: "a b"}},
		},
		{
			"csharp: null, empty, unprefixed", "%24.schema=s&iothub-ack=full&iothub-operation=op&null&empty=",
			Properties{{Name: MessageSchema, Value: "s"}, {Name: Ack, Value: "full"}, {Name: OperationName, Value: "op"}},
			Properties{{Name: "null", Null: true}, {Name: "empty"}},
		},
		{
			"c encodes nothing", "temp=20 °C&rate=50%&path=/a/b=c&%24.ct=application/json;charset=utf-8&%24.diagctx=creationtimeutc%3D1",
			Properties{{Name: ContentType, Value: "application/json;charset=utf-8"}, {Name: DiagnosticTrace, Value: "creationtimeutc=1"}},
			Properties{{Name: "temp", Value: "20 °C"}, {Name: "rate", Value: "50%"}, {Name: "path", Value: "/a/b=c"}},
		},
		{
			"every system property", "$.mid=1&$.cid=2&$.uid=3&$.to=4&$.ct=5&$.ce=6&$.exp=7&$.ctime=8&$.on=9&$.ifid=10&$.sub=11&$.schema=12&$.diagid=13&$.diagctx=14",
			Properties{
				{Name: "message-id", Value: "1"},
				{Name: "correlation-id", Value: "2"},
				{Name: "user-id", Value: "3"},
				{Name: "to", Value: "4"},
				{Name: "content-type", Value: "5"},
				{Name: "content-encoding", Value: "6"},
				{Name: "absolute-expiry-time", Value: "7"},
				{Name: "iothub-creation-time-utc", Value: "8"},
				{Name: "iothub-outputname", Value: "9"},
				{Name: "iothub-interface-id", Value: "10"},
				{Name: "dt-subject", Value: "11"},
				{Name: "iothub-message-schema", Value: "12"},
				{Name: "Diagnostic-Id", Value: "13"},
				{Name: "Correlation-Context", Value: "14"},
			},
			nil,
		},
		{
			"plus, unknown, again", "a+b=c+d&$.new=1&k=1&x=2&k=3&$.mid=1&%24%2Emid=2",
			Properties{{Name: "$.new", Value: "1"}, {Name: MessageID, Value: "2"}},
			Properties{{Name: "a+b", Value: "c+d"}, {Name: "k", Value: "3"}, {Name: "x", Value: "2"}},
		},
		{
			"what is not UTF-8 stays encoded", "k=%C3%28&%FF=1&n=%00",
			nil,
			Properties{{Name: "k", Value: "%C3%28"}, {Name: "%FF", Value: "1"}, {Name: "n", Value: "\x00"}},
		},
		{
			"a null over a value", "k=1&k", nil, Properties{{Name: "k", Null: true}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			system, app := parse(t, tc.bag)
			if diff := cmp.Diff(tc.system, system); diff != "" {
				t.Errorf("system: %s", diff)
			}
			if diff := cmp.Diff(tc.app, app); diff != "" {
				t.Errorf("application: %s", diff)
			}
		})
	}
}

func TestScanBagRefusesNamelessProperties(t *testing.T) {
	for _, bag := range []string{"=", "=v", "&", "a=1&", "&a=1", "a=1&&b=2", "a=1&=2"} {
		if ScanBag([]byte(bag)) == nil {
			t.Errorf("%q is taken", bag)
		}
	}
}

func TestTrimBag(t *testing.T) {
	for in, want := range map[string]string{"": "", "a=1": "a=1", "a=1/": "a=1", "?a=1/": "a=1", "?": "", "/": "", "a=//": "a=/"} {
		if got := string(TrimBag([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestScanBagDoesNotAllocate(t *testing.T) {
	bag := []byte("%24.mid=1&%24.ct=application%2Fjson&k=v&flag")
	if n := testing.AllocsPerRun(100, func() {
		if ScanBag(TrimBag(bag)) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// manyProperties is a bag as large as a topic, of some 13,000 distinct names.
func manyProperties() string {
	var b strings.Builder
	for b.Len() < 65_000 {
		b.WriteString("&" + string(rune('a'+b.Len()%26)) + string(rune('a'+b.Len()/26%26)) + string(rune('a'+b.Len()/676%26)) + string(rune('a'+b.Len()/17576%26)))
	}
	return b.String()[1:]
}

// A bag may have more names than could be searched one by one: they are indexed
// (BenchmarkParseBag), and each stands once, with its last value.
func TestManyProperties(t *testing.T) {
	bag := manyProperties()
	var system, application propSet
	parseBag(bag+"&"+strings.ReplaceAll(bag, "&", "=2&")+"=2", &system, &application)
	seen := make(map[string]bool)
	for _, p := range application.list {
		if seen[p.Name] || p.Value != "2" {
			t.Fatalf("%s stands twice, or with its first value: %q", p.Name, p.Value)
		}
		seen[p.Name] = true
	}
	if len(seen) < 5000 || len(application.index) != len(seen) || len(system.list) != 0 {
		t.Errorf("%d properties, %d indexed", len(seen), len(application.index))
	}
}

func FuzzBag(f *testing.F) {
	for _, seed := range []string{
		"", "a=1", "%24.mid=1&%24.ct=application%2Fjson", "$.cdid=x&k", "a=1&&b", "=", "%", "%2", "%zz=%zz", "a=%C3%28",
		"temp=20 °C&rate=50%&path=/a/b=c", "iothub-ack=full&null&empty=", strings.Repeat("k&", 40) + "k",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, bag []byte) {
		err := ScanBag(bag)
		e := Event{Raw: Raw{Source: SourceBag, Props: bag}, Stamp: Stamp{Identity: Identity{Device: "d"}}}
		v, parseErr := shown(e) // also of what the scan refused: a reader never breaks
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if v.SystemProperties[ConnectionDeviceID] != "d" {
			t.Fatalf("%q forges the sender: %v", bag, v.SystemProperties)
		}
		if _, err := v.Line(); err != nil {
			t.Fatalf("%q cannot be shown: %v", bag, err)
		}
		if pairs := bytes.Count(bag, []byte{'&'}) + 1; len(v.ApplicationProperties) > pairs {
			t.Fatalf("%q: %d properties of %d pairs", bag, len(v.ApplicationProperties), pairs)
		}
		named := len(bag) == 0 || bag[0] != '=' && bag[0] != '&' && bag[len(bag)-1] != '&' &&
			!bytes.Contains(bag, []byte("&&")) && !bytes.Contains(bag, []byte("&="))
		if (err == nil) != named {
			t.Fatalf("%q: scanned as %v", bag, err)
		}
	})
}

func BenchmarkScanBag(b *testing.B) {
	bag := []byte("%24.mid=6b7f1c3e-9f0a&%24.ct=application%2Fjson&%24.ce=utf-8&alert=true&site=north")
	b.ReportAllocs()
	for b.Loop() {
		if ScanBag(bag) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkParseBag is linear in the number of names: the larger bag costs no more a name.
func BenchmarkParseBag(b *testing.B) {
	bag := manyProperties()
	for _, size := range []int{500, len(bag)} {
		names := strings.Count(bag[:size], "&") + 1
		b.Run(fmt.Sprint(names), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var system, application propSet
				parseBag(bag[:size], &system, &application)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*names), "ns/name")
		})
	}
}
