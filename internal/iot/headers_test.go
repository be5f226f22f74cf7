package iot

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// headers makes SourceHeaders bytes of name and value by turns.
func headers(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b []byte
	var err error
	for i := 0; i < len(pairs); i += 2 {
		if b, err = AppendHeader(b, pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestHeadersBecomeProperties(t *testing.T) {
	b := headers(t,
		"Host", "hub.localtest", "Authorization", "SharedAccessSignature sr=…", "Content-Type", "application/octet-stream",
		"IoTHub-MessageId", "1", "IoTHub-CorrelationId", "2", "IoTHub-UserId", "3", "iothub-to", "4", "iothub-contenttype", "application/json",
		"iothub-contentencoding", "utf-8", "IoTHub-Expiry", "7", "iothub-creationtimeutc", "8", "iothub-interface-id", "10",
		"dt-subject", "11", "iothub-messageschema", "12", "IoTHub-Ack", "full",
		"iothub-app-Temp", "°C: yes", "IoTHub-App-k", "", "iothub-app-", "nameless", "iothub-connection-device-id", "forged",
		"iothub-app-k", "again",
	)
	if err := ScanHeaders(b); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("SharedAccessSignature")) || bytes.Contains(b, []byte("forged")) || bytes.Contains(b, []byte("octet")) {
		t.Errorf("kept what is none of the message: %s", b)
	}
	var s, a propSet
	parseHeaders(string(b), &s, &a)
	if diff := cmp.Diff(Properties{{Name: "temp", Value: "°C: yes"}, {Name: "k", Value: "again"}}, a.list); diff != "" {
		t.Error(diff)
	}
	want := Properties{
		{Name: MessageID, Value: "1"},
		{Name: CorrelationID, Value: "2"},
		{Name: UserID, Value: "3"},
		{Name: To, Value: "4"},
		{Name: ContentType, Value: "application/json"},
		{Name: ContentEncoding, Value: "utf-8"},
		{Name: ExpiryTime, Value: "7"},
		{Name: CreationTime, Value: "8"},
		{Name: InterfaceID, Value: "10"},
		{Name: ComponentName, Value: "11"},
		{Name: MessageSchema, Value: "12"},
		{Name: Ack, Value: "full"},
	}
	if diff := cmp.Diff(want, s.list); diff != "" {
		t.Error(diff)
	}
}

func TestHeadersCannotSmuggleALine(t *testing.T) {
	for _, h := range [][2]string{
		{"iothub-app-k", "v\niothub-messageid: forged"},
		{"iothub-app-k", "a\rb"},
		{"iothub-app-k", "\x00"},
		{"iothub-app-k", "\x7f"},
		{"iothub-app-a: b\n", "v"},
		{"iothub-app-a b", "v"},
		{"iothub-app-" + string(bytes.Repeat([]byte{'a'}, MaxHeaderName)), "v"},
	} {
		if b, err := AppendHeader([]byte("x: y\n"), h[0], h[1]); err == nil || string(b) != "x: y\n" {
			t.Errorf("%.40q: %.40q is taken: %q", h[0], h[1], b)
		}
	}
	for _, bad := range []string{"a", "a: b", ": b\n", "a:b\n", "a: b\n\n", "\n"} {
		if ScanHeaders([]byte(bad)) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{"", "iothub-messageid: 1\n", "iothub-app-k: v\niothub-app-k: w\n", "a: b", ": \n", "iothub-app-: x\n", "iothub-app-\xff: \xff\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Event{Raw: Raw{Source: SourceHeaders, Props: b}, Stamp: Stamp{Identity: Identity{Device: "d"}}}
		v, err := shown(e)
		if err != nil || v.SystemProperties[ConnectionDeviceID] != "d" {
			t.Fatalf("%q: %v, %v", b, v.SystemProperties, err)
		}
		if _, err := v.Line(); err != nil {
			t.Fatal(err)
		}
		if ScanHeaders(b) == nil && len(v.ApplicationProperties) > bytes.Count(b, []byte{'\n'}) {
			t.Fatalf("%q: %d properties", b, len(v.ApplicationProperties))
		}
	})
}
