package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

// diagnosed is a server with a fake diagnosis and the device dev1 with the module m1.
func diagnosed(t *testing.T) (*fixture, *fakeDiagnosis) {
	t.Helper()
	d := newFakeDiagnosis()
	f := newFixture(t, func(c *Config) { c.Diagnosis = d })
	f.create(t, "dev1")
	if _, err := f.hub.PutModule(t.Context(), iot.Identity{Device: "dev1", Module: "m1"}, iot.Module{}, iot.Match{}); err != nil {
		t.Fatal(err)
	}
	return f, d
}

func duel() iot.Explanation {
	two, at := 2, iot.MomentOf(noon)
	return iot.Explanation{
		DeviceID: "dev1", GeneratedAt: at, Verdict: iot.VerdictTwoClients, Cause: &two, Confidence: 0.97,
		Summary:  "A client at 192.0.2.7 and one at 198.51.100.70 displace each other.",
		RunnerUp: &iot.RunnerUp{Verdict: iot.VerdictHalfOpen, Confidence: 0.02, WouldFlipIf: "the losers were silent"},
		Evidence: []iot.Evidence{{
			Signal: "return_edge", Strength: iot.Strong, For: []iot.Verdict{iot.VerdictTwoClients}, Against: []iot.Verdict{iot.VerdictHalfOpen},
			Observed: "192.0.2.7 came back", At: at,
		}},
		Missing: []string{"client type string of the older client"},
		Clients: []iot.ExplanationClient{{ID: "A", RemoteAddress: "192.0.2.7", Transport: "Mqtt", ClientType: "c<1>", FirstSeen: at, LastSeen: at}},
		Conflicts: []iot.Conflict{{
			At: at, Code: 400027, Loser: iot.Peer{RemoteAddress: "192.0.2.7"}, Winner: iot.Peer{RemoteAddress: "198.51.100.70"}, Afterlife: "alive",
		}},
		Lost:   iot.ExplanationLoss{PublishesUnacknowledged: 3},
		Advice: iot.Advice{Next: "look", Fix: "mend"},
	}
}

// keys gives the member names of a JSON object in their order.
func keys(t *testing.T, text string) []string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var names []string
	for depth := 0; dec.More() || depth > 0; {
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if tok == json.Delim('{') {
			depth++
			continue
		}
		if tok == json.Delim('}') {
			return names
		}
		names = append(names, fmt.Sprint(tok))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestExplainHasTheFixedShape: the members of architecture 5, in its order.
func TestExplainHasTheFixedShape(t *testing.T) {
	f, d := diagnosed(t)
	d.explanations[iot.Identity{Device: "dev1"}] = duel()
	w := f.as(t, "iothubowner", "GET", "/berth/v1/devices/dev1/explain", "")
	want := "deviceId moduleId generatedAt verdict cause confidence summary runnerUp evidence missing clients conflicts lost advice"
	if got := strings.Join(keys(t, w.Body.String()), " "); w.Code != 200 || got != want {
		t.Errorf("got %d %s\nwant %s", w.Code, got, want)
	}
	for _, part := range []string{
		`{"deviceId":"dev1","moduleId":null,"generatedAt":"2020-09-07T14:46:08.000Z","verdict":"two_clients","cause":2,"confidence":0.97,`,
		`"lost":{"c2dReleased":0,"methodsFailed":0,"twinOperationsRefused":0,"publishesUnacknowledged":3},"advice":{"next":"look","fix":"mend"}}`,
		`"clientType":"c<1>"`, "192.0.2.7", "198.51.100.70",
	} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%s is not in %s", part, w.Body)
		}
	}
}

// TestExplainMasksAddresses: only a policy with every right sees them whole.
func TestExplainMasksAddresses(t *testing.T) {
	f, d := diagnosed(t)
	d.explanations[iot.Identity{Device: "dev1"}] = duel()
	w := f.as(t, "service", "GET", "/berth/v1/devices/dev1/explain", "")
	body := w.Body.String()
	if w.Code != 200 || strings.Contains(body, "192.0.2.7") || strings.Contains(body, "198.51.100.70") {
		t.Errorf("got %d %s", w.Code, body)
	}
	if n := strings.Count(body, "192.0.2.XXX"); n != 4 { // summary, evidence, client, loser
		t.Errorf("%d masked addresses in %s", n, body)
	}
	if d.explanations[iot.Identity{Device: "dev1"}].Conflicts[0].Loser.RemoteAddress != "192.0.2.7" {
		t.Error("masking changed what diagnosis keeps")
	}
}

func TestExplainWhoThereIs(t *testing.T) {
	f, d := diagnosed(t)
	for _, tt := range []struct {
		path, policy string
		code         int
		in           string
	}{
		{"dev1/explain", "service", 200, `"verdict":"none","cause":null,"confidence":1,`},
		{"dev1/modules/m1/explain", "service", 200, `{"deviceId":"dev1","moduleId":"m1",`},
		{"dev2/explain", "service", 404, "ErrorCode:DeviceNotFound;dev2"},
		{"dev1/modules/m2/explain", "iothubowner", 404, "ErrorCode:ModuleNotFound;dev1/m2"},
		{"dev1/explain", "device", 401, "lacks the right ServiceConnect"},
		{"dev1/explain", "registryReadWrite", 401, "lacks the right ServiceConnect"},
		{"dev1/explain", "nobody", 401, "Unauthorized"},
		{"dev1/explain?at=yesterday", "service", 400, "at must be a time"},
		{"dev1/explain?when=1", "service", 400, "there is no parameter"},
		{"a%2Fb/explain", "service", 400, "is no device id"},
	} {
		w := f.as(t, tt.policy, "GET", "/berth/v1/devices/"+tt.path, "")
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.in) {
			t.Errorf("%s as %s: got %d %s, want %d with %s", tt.path, tt.policy, w.Code, w.Body, tt.code, tt.in)
		}
	}
	if w := f.as(t, "service", "GET", "/berth/v1/devices/dev1/explain?at=2020-09-07T16:46:08.5%2B02:00", ""); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
	if want := noon.Add(500 * time.Millisecond); !d.asOf.Equal(want) {
		t.Errorf("asked as of %s, want %s", d.asOf, want)
	}
	d.broken = true
	if w := f.as(t, "service", "GET", "/berth/v1/devices/dev1/explain", ""); w.Code != 500 {
		t.Error(w.Code, w.Body)
	}
}

func story(id string, v iot.Verdict, after time.Duration) iot.ConflictSummary {
	return iot.ConflictSummary{
		DeviceID: id, Verdict: v, Confidence: 0.5, Summary: id + " at 192.0.2.7", Since: iot.MomentOf(noon), Last: iot.MomentOf(noon.Add(after)),
		Conflicts: 3, Clients: 2, Addresses: []string{"192.0.2.7", "2001:db8::1"},
	}
}

// TestConflictsAreAnArray: with every filter, masked for those without every right.
func TestConflictsAreAnArray(t *testing.T) {
	f, d := diagnosed(t)
	get := func(policy, query string) string {
		t.Helper()
		w := f.as(t, policy, "GET", "/berth/v1/conflicts"+query, "")
		if w.Code != 200 {
			t.Fatal(query, w.Code, w.Body)
		}
		return w.Body.String()
	}
	if got := get("service", ""); got != "[]" {
		t.Errorf("none at all: got %s", got)
	}
	d.stories = []iot.ConflictSummary{
		story("d1", iot.VerdictHalfOpen, 2*time.Minute), story("d2", iot.VerdictTwoClients, time.Minute), story("d3", iot.VerdictHalfOpen, 0),
	}
	for query, want := range map[string]string{
		"": "d1 d2 d3", "?verdict=two_clients": "d2", "?verdict=HALF_OPEN_RECONNECT": "d1 d3", "?limit=1": "d1",
		"?since=2020-09-07T14:47:00Z": "d1 d2", "?order=worst": "d2 d1 d3", "?order=newest&follow=false": "d1 d2 d3",
	} {
		var list []iot.ConflictSummary
		if err := json.Unmarshal([]byte(get("service", query)), &list); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, s := range list {
			ids = append(ids, s.DeviceID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	want := `[{"deviceId":"d2","moduleId":null,"verdict":"two_clients","cause":null,"confidence":0.5,"summary":"d2 at 192.0.2.XXX",` +
		`"since":"2020-09-07T14:46:08.000Z","last":"2020-09-07T14:47:08.000Z","conflicts":3,"clients":2,` +
		`"addresses":["192.0.2.XXX","2001:db8:0:0:XXXX:XXXX:XXXX:XXXX"]}]`
	if diff := cmp.Diff(want, get("service", "?verdict=two_clients")); diff != "" {
		t.Error(diff)
	}
	if got := get("iothubowner", "?verdict=two_clients"); !strings.Contains(got, `"addresses":["192.0.2.7","2001:db8::1"]`) {
		t.Errorf("the owner got %s", got)
	}
	for _, q := range []string{
		"verdict=guilty", "verdict=", "since=then", "limit=0", "limit=10001", "order=best", "order=", "follow=perhaps", "x=1",
		"verdict=" + strings.Repeat("x", 500),
	} {
		if w := f.as(t, "service", "GET", "/berth/v1/conflicts?"+q, ""); w.Code != 400 || w.Body.Len() > 1000 {
			t.Errorf("%s: got %d %s", q, w.Code, w.Body)
		}
	}
}

// TestConflictsAreFollowed: a stream gives what comes, each follower by its rights.
func TestConflictsAreFollowed(t *testing.T) {
	f, d := diagnosed(t)
	s := serveTLS(t, f)
	stream := s.get(t, "/berth/v1/conflicts?follow=true&verdict=two_clients")
	if got := stream.Header.Get("Content-Type"); stream.Status != 200 || got != "application/x-ndjson; charset=utf-8" {
		t.Fatal(stream.Status, got)
	}
	l := lines{t, bufio.NewReader(stream.Body)}
	d.change(func() {
		d.stories = append(d.stories, story("d1", iot.VerdictHalfOpen, 0), story("d2", iot.VerdictTwoClients, 0))
	})
	if got := l.next(); !strings.HasPrefix(got, `{"deviceId":"d2",`) || !strings.Contains(got, "192.0.2.XXX") {
		t.Errorf("got %s", got)
	}
	d.change(func() { d.stories = append(d.stories, iot.ConflictSummary{Verdict: iot.VerdictTwoClients, Lost: 7}) })
	if got := l.next(); got != `{"lost":7}` {
		t.Errorf("got %s", got)
	}
	d.change(func() { d.broken = true })
	if got := l.next(); got != `{"error":{"code":429001,"message":"too many follow"}}` {
		t.Errorf("got %s", got)
	}
}

// TestConnectionsAreFollowed: every connect and disconnect of whom the caller asks for.
func TestConnectionsAreFollowed(t *testing.T) {
	f, d := diagnosed(t)
	s := serveTLS(t, f)
	event := func(id, what string) iot.ConnectionEvent {
		p := &iot.Peer{RemoteAddress: "192.0.2.7", RemotePort: 4711}
		return iot.ConnectionEvent{Time: iot.MomentOf(noon), DeviceID: id, Event: what, Epoch: "1.1", SequenceNumber: "01", Peer: p, By: p}
	}
	d.change(func() {
		d.connections = append(d.connections, event("d1", iot.DeviceConnected), event("d2", iot.DeviceConnected), iot.ConnectionEvent{Lost: 2},
			event("d1", iot.DeviceDisconnected))
	})
	stream := s.get(t, "/berth/v1/events/connections?device=d1", "Accept", "text/event-stream")
	l := lines{t, bufio.NewReader(stream.Body)}
	for _, want := range []string{
		`data: {"time":"2020-09-07T14:46:08.000Z","deviceId":"d1","moduleId":null,"event":"deviceConnected","epoch":"1.1",`, "",
		"event: lost", `data: {"lost":2}`, "",
		`data: {"time":"2020-09-07T14:46:08.000Z","deviceId":"d1","moduleId":null,"event":"deviceDisconnected",`, "",
	} {
		got := l.next()
		if !strings.HasPrefix(got, want) || want == "" && got != "" || strings.Contains(got, "192.0.2.7") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, q := range []string{"device=a/b", "module=m", "device=d&module=", "follow=true"} {
		if w := f.as(t, "service", "GET", "/berth/v1/events/connections?"+q, ""); w.Code != 400 {
			t.Errorf("%s: got %d %s", q, w.Code, w.Body)
		}
	}
}

// TestWithoutDiagnosis: a hub that explains nothing says so, and works.
func TestWithoutDiagnosis(t *testing.T) {
	f := newFixture(t)
	f.create(t, "dev1")
	for _, path := range []string{"devices/dev1/explain", "conflicts", "conflicts?follow=true", "events/connections"} {
		w := f.as(t, "service", "GET", "/berth/v1/"+path, "")
		if w.Code != 501 || !strings.Contains(w.Body.String(), "[diagnosis] enabled = false") {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
}
