package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/bench"
	"github.com/berth-iot/berth/internal/iot"
)

func TestEventIsShownWholeAndSteersNoTerminal(t *testing.T) {
	value, raw := "21\x1b[2J", "AAH/"
	e := iot.EventJSON{
		Partition: 1, SequenceNumber: 7, Offset: "99", EnqueuedTime: "2026-01-31T09:30:00.000Z", DeviceID: "d", ModuleID: "m",
		SystemProperties:      map[string]string{"message-id": "1"},
		ApplicationProperties: map[string]*string{"temp": &value, "flag": nil},
	}
	const head = "2026-01-31T09:30:00.000Z  d/m  partition 1  sequence 7  offset 99\n" +
		"  application  flag, temp=21\uFFFD[2J\n" +
		"  system       message-id=1\n"
	tests := []struct {
		name string
		set  func(*iot.EventJSON)
		want string
	}{
		{"text", func(e *iot.EventJSON) { e.Body = json.RawMessage(`"a\nb\u001b[31m"`) }, "a\uFFFDb\uFFFD[31m"},
		{"json", func(e *iot.EventJSON) { e.Body = json.RawMessage(`{"a": 1}`) }, `{"a": 1}`},
		{"bytes", func(e *iot.EventJSON) { e.BodyBase64 = &raw }, "3 bytes: 0001ff"},
		{"empty", func(e *iot.EventJSON) { e.Body = json.RawMessage(`""`) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := e
			tt.set(&e)
			var b strings.Builder
			if err := printEvent(&b, e); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(head+"  body         "+tt.want+"\n", b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecordIsShownInOneLine(t *testing.T) {
	tests := []struct{ line, want string }{
		{
			`{"time":"T","category":"Connections","operationName":"deviceDisconnect","level":"Error","resultType":"400027","resultDescription":"Conflict","properties":"{\"deviceId\":\"d\",\"moduleId\":\"m\",\"protocol\":\"Mqtt\",\"maskedIpAddress\":\"10.0.0.XXX\",\"statusCode\":\"400\",\"errorMessage\":\"why\"}"}`,
			"T  Error        deviceDisconnect  d/m  400027 Conflict  Mqtt  10.0.0.XXX  why\n",
		},
		{
			`{"time":"T","operationName":"deviceConnect","level":"Information","properties":"{\"deviceId\":\"d\",\"sdkVersion\":\"x\\ny\"}"}`,
			"T  Information  deviceConnect  d  x\uFFFDy\n",
		},
		{`{"time":"T","operationName":"o","level":"Error","properties":"no JSON"}`, "T  Error        o\n"},
	}
	for _, tt := range tests {
		var b strings.Builder
		if err := printRecord(&b, []byte(tt.line)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, b.String()); diff != "" {
			t.Error(diff)
		}
	}
	if err := printRecord(&strings.Builder{}, []byte("x")); err == nil {
		t.Error("a line that is no JSON is no error")
	}
}

func TestTableHasNoTrailingSpace(t *testing.T) {
	var b bytes.Buffer
	con := &console{out: &b}
	if err := con.table([]string{"A", "B"}, [][]string{{"größe", ""}, {"x", "y"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("A      B\ngröße\nx      y\n", b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestReportWithFailuresIsAnError(t *testing.T) {
	var b bytes.Buffer
	con := &console{out: &b, err: &b}
	left := uint64(2)
	err := con.report(&bench.Report{Run: "takeover", Failed: 3, LeftOpen: &left}, true)
	if err == nil || !strings.Contains(err.Error(), "3 operations") || !strings.Contains(err.Error(), "2 displaced") {
		t.Errorf("got %v", err)
	}
	if !json.Valid(b.Bytes()) {
		t.Errorf("the report was not shown: %s", b.String())
	}
	none := uint64(0)
	if err := con.report(&bench.Report{Run: "takeover", LeftOpen: &none}, false); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	if err := con.report(nil, true, broken); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestCredentialFlags(t *testing.T) {
	const key, sha1, sha256 = "AAAAAAAAAAAAAAAAAAAAAA==", "00112233445566778899aabbccddeeff00112233", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	tests := []struct {
		name  string
		flags credentialFlags
		want  *iot.Authentication // nil with ok: the hub makes keys
		ok    bool
	}{
		{"nothing", credentialFlags{}, nil, true},
		{"both keys", credentialFlags{PrimaryKey: key, SecondaryKey: key}, symmetric(key, key), true},
		{"CA", credentialFlags{X509CA: true}, &iot.Authentication{Type: iot.AuthenticationCA}, true},
		{"thumbprint", credentialFlags{X509Thumbprint: []string{sha1}}, &iot.Authentication{
			Type: iot.AuthenticationSelfSigned, X509Thumbprint: &iot.X509Thumbprint{PrimaryThumbprint: iot.NullString(strings.ToUpper(sha1))},
		}, true},
		{"unequal thumbprints", credentialFlags{X509Thumbprint: []string{sha1, sha256}}, nil, false},
		{"three thumbprints", credentialFlags{X509Thumbprint: []string{sha1, sha1, sha1}}, nil, false},
		{"keys and CA", credentialFlags{PrimaryKey: key, X509CA: true}, nil, false},
		{"bad key", credentialFlags{SecondaryKey: "secret"}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.flags.authentication()
			if (err == nil) != tt.ok {
				t.Fatalf("got error %v", err)
			}
			if err != nil {
				if _, usage := errors.AsType[usageError](err); !usage || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	made, err := credentialFlags{PrimaryKey: key}.authentication()
	if err != nil {
		t.Fatal(err)
	}
	if p, s := made.Keys(); p != key || s == "" || s == key {
		t.Errorf("the missing key was not made: %q %q", p, s)
	}
}
