package iot

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// event is an event of device d, module m.
func event(props, body string, flags RawFlags) Event {
	return Event{
		Partition: 3, Sequence: 41, Offset: 18_446_744_073_709_551_615,
		Enqueued: time.Date(2026, 1, 2, 3, 4, 5, 60_000_000, time.FixedZone("", 3600)),
		Stamp: Stamp{
			Identity: Identity{Device: "d", Module: "m"}, Generation: 637_345_907_161_634_714,
			Scope: ScopeDevice, Auth: AuthSAS, ModelID: "dtmi:com:example:Thermostat;1",
		},
		Raw: Raw{Source: SourceBag, Flags: flags, Props: []byte(props), Body: []byte(body)},
	}
}

func TestReadersSeeTheHubsStamps(t *testing.T) {
	m, err := ParseEvent(event("$.mid=1&$.cdid=forged&$.cmid=forged&mqtt-retain=no&k=v", "x", RawRetain|RawWill))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		System: Properties{
			{Name: "message-id", Value: "1"},
			{Name: "iothub-connection-device-id", Value: "d"},
			{Name: "iothub-connection-module-id", Value: "m"},
			{Name: "iothub-connection-auth-method", Value: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`},
			{Name: "iothub-connection-auth-generation-id", Value: "637345907161634714"},
			{Name: "iothub-enqueuedtime", Value: "2026-01-02T02:04:05.060Z"},
			{Name: "iothub-message-source", Value: "Telemetry"},
			{Name: "dt-dataschema", Value: "dtmi:com:example:Thermostat;1"},
		},
		Application: Properties{{Name: "mqtt-retain", Value: "true"}, {Name: "k", Value: "v"}, {Name: "iothub-MessageType", Value: "Will"}},
		Body:        []byte("x"),
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if v, ok := m.Application.Get("k"); v != "v" || !ok {
		t.Errorf("Get: %q, %v", v, ok)
	}
	if _, ok := m.Application.Get("K"); ok {
		t.Error("names match without regard to case")
	}
}

func TestAuthMethodSaysWhoseKeyAndWhatKind(t *testing.T) {
	for want, s := range map[string]Stamp{
		`{"scope":"module","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}`: {Scope: ScopeModule, Auth: AuthX509Certificate},
		`{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`:     {Scope: ScopeHub},
	} {
		if got := s.AuthMethod(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestUnknownEncodingStillNamesTheSender(t *testing.T) {
	e := event("k=v", "x", 0)
	e.Raw.Source = 200
	m, err := ParseEvent(e)
	if err == nil || len(m.Application) != 0 {
		t.Errorf("got %+v, %v", m, err)
	}
	if v, _ := m.System.Get(ConnectionDeviceID); v != "d" {
		t.Errorf("sender %q", v)
	}
}

func TestEventJSONShowsTheBodyAsItCan(t *testing.T) {
	for _, tc := range []struct{ props, body, want string }{
		{"%24.ct=application%2Fjson&%24.ce=utf-8", ` {"a": 1.50,"b":"<&>"} `, `"body":{"a":1.50,"b":"<&>"}`},
		{"$.ct=Application/JSON; charset=utf-8", `[1]`, `"body":[1]`},
		{"$.ct=application/json", `{"a":`, `"body":"{\"a\":"`},
		{"", `{"a":1}`, `"body":"{\"a\":1}"`},
		{"$.ct=text/plain", "a<b>\n&c", `"body":"a<b>\n&c"`},
		{"", "", `"body":""`},
		{"$.ct=application/json", "", `"body":""`},
		{"$.ct=application/json", "\"\xff\"", `"bodyBase64":"Iv8i"`},
		{"", "\x00\xff", `"bodyBase64":"AP8="`},
	} {
		e := event(tc.props, tc.body, 0)
		e.Stamp.ModelID, e.Stamp.Identity.Module = "", ""
		v, err := shown(e)
		if err != nil {
			t.Fatal(err)
		}
		v.SystemProperties = nil
		line, err := v.Line()
		if err != nil {
			t.Fatal(err)
		}
		want := `{"partition":3,"sequenceNumber":41,"offset":"18446744073709551615","enqueuedTime":"2026-01-02T02:04:05.060Z",` +
			`"deviceId":"d","systemProperties":null,"applicationProperties":{},` + tc.want + "}\n"
		if diff := cmp.Diff(want, string(line)); diff != "" {
			t.Errorf("%s %q: %s", tc.props, tc.body, diff)
		}
		if !json.Valid(line) {
			t.Errorf("%s is no JSON", line)
		}
	}
}

func TestEventJSONKeepsNullAndEmptyApart(t *testing.T) {
	v, err := shown(event("null&empty=&k=v", "", 0))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(v.ApplicationProperties)
	if err != nil || string(got) != `{"empty":"","k":"v","null":null}` {
		t.Errorf("got %s, %v", got, err)
	}
	if v.ModuleID != "m" || v.SystemProperties[DataSchema] == "" {
		t.Errorf("got %+v", v)
	}
}

func TestEscapeAndUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "aZ09-._~": "aZ09-._~", "a b": "a%20b", "/devices/d": "%2Fdevices%2Fd", "°": "%C2%B0", "a+b=c&d%": "a%2Bb%3Dc%26d%25",
	} {
		if got := Escape(in); got != want || Unescape(got) != in {
			t.Errorf("%q: got %q, back %q", in, got, Unescape(got))
		}
	}
	for in, want := range map[string]string{"%": "%", "%4": "%4", "%4x%41": "%4xA", "%%41": "%A", "a+b": "a+b", "%2f%2F": "//"} {
		if got := Unescape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// shown parses an event and shows it.
func shown(e Event) (EventJSON, error) {
	m, err := ParseEvent(e)
	return NewEventJSON(e, m), err
}
