package iot

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// explanation has an address that begins another, in each place where addresses stand.
func explanation() Explanation {
	cause := 2
	at := MomentOf(time.Date(2026, 11, 21, 21, 0, 0, 123456789, time.UTC))
	return Explanation{
		DeviceID: "dev1", GeneratedAt: at, Verdict: VerdictTwoClients, Cause: &cause, Confidence: 0.97,
		Summary:  "10.0.0.5 and 10.0.0.50 and 2001:db8:0:7::1 displace each other.",
		RunnerUp: &RunnerUp{Verdict: VerdictHalfOpen, Confidence: 0.02, WouldFlipIf: "x"},
		Evidence: []Evidence{{
			Signal: "return_edge", Strength: Strong, For: []Verdict{VerdictTwoClients}, Against: []Verdict{}, Observed: "from 10.0.0.50 to 10.0.0.5", At: at,
		}},
		Missing:   []string{},
		Clients:   []ExplanationClient{{ID: "A", RemoteAddress: "10.0.0.5"}, {ID: "B", RemoteAddress: "2001:db8:0:7::1"}},
		Conflicts: []Conflict{{At: at, Code: 400027, Loser: Peer{RemoteAddress: "10.0.0.5"}, Winner: Peer{RemoteAddress: "10.0.0.50"}, Afterlife: "alive"}},
	}
}

func TestExplanationHasTheMembersThatArePublished(t *testing.T) {
	b, err := json.Marshal(explanation())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"deviceId", "moduleId", "generatedAt", "verdict", "cause", "confidence", "summary", "runnerUp", "evidence", "missing",
		"clients", "conflicts", "lost", "advice",
	} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	if len(got) != 0 {
		t.Errorf("members that nobody expects: %v", got)
	}
	for _, text := range []string{
		`"generatedAt":"2026-11-21T21:00:00.123Z"`, `"moduleId":null`, `"missing":[]`, `"against":[]`,
		`"lost":{"c2dReleased":0,"methodsFailed":0,"twinOperationsRefused":0,"publishesUnacknowledged":0}`,
		`"lastSeen":null`,
	} {
		if !strings.Contains(string(b), text) {
			t.Errorf("%s is not in %s", text, b)
		}
	}
	var back Explanation
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(explanation(), back); diff != "" {
		t.Error(diff)
	}
}

func TestMaskedExplanationHoldsNoAddress(t *testing.T) {
	whole := explanation()
	b, err := json.Marshal(whole.Masked())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"10.0.0.5", "7::1"} {
		if strings.Contains(string(b), address) {
			t.Errorf("%s is in %s", address, b)
		}
	}
	if diff := cmp.Diff(explanation(), whole); diff != "" {
		t.Errorf("masking changed the whole one:\n%s", diff)
	}
	s := ConflictSummary{Summary: "from 10.0.0.50 and 10.0.0.5", Addresses: []string{"10.0.0.5", "10.0.0.50"}}
	want := ConflictSummary{Summary: "from 10.0.0.XXX and 10.0.0.XXX", Addresses: []string{"10.0.0.XXX", "10.0.0.XXX"}}
	if diff := cmp.Diff(want, s.Masked()); diff != "" {
		t.Error(diff)
	}
	e := ConnectionEvent{Peer: &Peer{RemoteAddress: "10.0.0.5"}, By: &Peer{RemoteAddress: "::1"}}
	if m := e.Masked(); m.Peer.RemoteAddress != "10.0.0.XXX" || m.By.RemoteAddress != "0:0:0:0:XXXX:XXXX:XXXX:XXXX" || e.Peer.RemoteAddress != "10.0.0.5" {
		t.Errorf("got %+v, %+v", m.Peer, m.By)
	}
}

func TestMomentReadsWhatItWrites(t *testing.T) {
	for _, text := range []string{`null`, `"2026-11-21T21:00:00.000Z"`} {
		var m Moment
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(m); err != nil || string(b) != text {
			t.Errorf("got %s, %v, want %s", b, err, text)
		}
	}
	var m Moment
	if err := json.Unmarshal([]byte(`"yesterday"`), &m); err == nil {
		t.Error("yesterday is no moment")
	}
}

func TestConnectionQueryOfADeviceMeansItsModulesToo(t *testing.T) {
	dev, mod := Identity{Device: "d"}, Identity{Device: "d", Module: "m"}
	for _, c := range []struct {
		q        ConnectionQuery
		dev, mod bool
	}{
		{ConnectionQuery{}, true, true},
		{ConnectionQuery{Device: "d"}, true, true},
		{ConnectionQuery{Device: "d", Module: "m"}, false, true},
		{ConnectionQuery{Device: "e"}, false, false},
	} {
		if c.q.Matches(dev) != c.dev || c.q.Matches(mod) != c.mod {
			t.Errorf("%+v: got %v, %v", c.q, c.q.Matches(dev), c.q.Matches(mod))
		}
	}
}

func TestVerdictIsReadInAnyCaseAndHasACause(t *testing.T) {
	for _, v := range Verdicts() {
		var got Verdict
		if err := got.UnmarshalText([]byte(strings.ToUpper(string(v)))); err != nil || got != v || !v.Valid() {
			t.Errorf("%s: got %s, %v", v, got, err)
		}
	}
	if VerdictTwoClients.Cause() != 2 || VerdictHalfOpen.Cause() != 1 || VerdictRenewal.Cause() != 0 || Verdict("x").Valid() {
		t.Error("a verdict has the wrong cause")
	}
}
