package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

func duel() iot.Explanation {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := func(s int) iot.Moment { return iot.MomentOf(noon.Add(time.Duration(s) * time.Second)) }
	two, fast, slow := 2, int64(3), int64(5000)
	a := iot.Peer{Client: "A", RemoteAddress: "192.0.2.7", RemotePort: 4001, ConnectedAt: at(0)}
	b := iot.Peer{Client: "B", RemoteAddress: "198.51.100.9", RemotePort: 4002, ConnectedAt: at(5)}
	return iot.Explanation{
		DeviceID: "dev1", Verdict: iot.VerdictTwoClients, Cause: &two, Confidence: 0.97, Summary: "Two clients\x1b[2J use it.",
		RunnerUp: &iot.RunnerUp{Verdict: iot.VerdictHalfOpen, Confidence: 0.02, WouldFlipIf: "the losers were silent"},
		Evidence: []iot.Evidence{
			{Signal: "return_edge", Strength: iot.Strong, For: []iot.Verdict{iot.VerdictTwoClients}, Observed: "A came back", At: at(10)},
			{Signal: "process_kept", Strength: iot.Moderate, Against: []iot.Verdict{iot.VerdictTwoClients}, Observed: "one process", At: at(5)},
			{Signal: "preceded_by", Strength: iot.Weak, Observed: "a refusal", At: at(1)},
		},
		Missing: []string{"the moon's phase"},
		Clients: []iot.ExplanationClient{
			{ID: "A", RemoteAddress: "192.0.2.7", Transport: "Mqtt", ClientType: "sdk/1", Credential: "primary key", FirstSeen: at(0), LastSeen: at(10), Won: 1, Lost: 1},
			{ID: "B", RemoteAddress: "198.51.100.9", Transport: "MqttWs", FirstSeen: at(5), LastSeen: at(10), Won: 1, Lost: 1},
		},
		Conflicts: []iot.Conflict{
			{Number: 1, At: at(5), Code: 400027, Loser: a, Winner: b, Afterlife: "alive", AfterlifeMS: &fast, Farewell: true},
			{Number: 2, At: at(10), Code: 409002, Loser: b, Winner: a, Afterlife: "silent", AfterlifeMS: &slow, Unobserved: true},
			{Number: 45, At: at(11), Code: 400027, Loser: a, Winner: b, Afterlife: "pending"},
		},
		Lost:   iot.ExplanationLoss{PublishesUnacknowledged: 2},
		Advice: iot.Advice{Next: "Look.", Fix: "Mend."},
	}
}

// TestExplanationPage: what a person is shown, whole. What a device sent cannot steer
// the terminal.
func TestExplanationPage(t *testing.T) {
	var out strings.Builder
	if err := (&console{out: &out}).explanation(duel()); err != nil {
		t.Fatal(err)
	}
	want := `identity    dev1
verdict     two clients
confidence  97 %
cause       2 of the article on 400027: two connections used the identity at once
summary     Two clients�[2J use it.

Clients
    ADDRESS       TRANSPORT  CLIENT TYPE  CREDENTIAL   FIRST SEEN               LAST SEEN                WON  LOST
A   192.0.2.7     Mqtt       sdk/1        primary key  2026-11-21 12:00:00.000  2026-11-21 12:00:10.000  1    1
B   198.51.100.9  MqttWs     -            -            2026-11-21 12:00:05.000  2026-11-21 12:00:10.000  1    1

Timeline
TIME (UTC)               A                                                  B
2026-11-21 12:00:00.000  connected from 192.0.2.7 port 4001
2026-11-21 12:00:05.000  displaced, 400027, alive after 3 ms, said goodbye  connected from 198.51.100.9 port 4002
2026-11-21 12:00:10.000  connected from 192.0.2.7 port 4001                 displaced, 409002, not watched
(42 more)
2026-11-21 12:00:11.000  displaced, 400027                                  connected from 198.51.100.9 port 4002

Speaks for it
  strong    A came back  [return_edge 2026-11-21 12:00:10.000]

Speaks against it
  moderate  one process  [process_kept 2026-11-21 12:00:05.000]

Also observed
  weak      a refusal  [preceded_by 2026-11-21 12:00:01.000]

runner-up       half open reconnect, 2 %
it would be if  the losers were silent
not known       the moon's phase
lost            published and not acknowledged: 2 (they are stored; the client may send them again)
next check      Look.
fix             Mend.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestTimelineOfOneClient: where there are not two clients, the lanes are the sides.
func TestTimelineOfOneClient(t *testing.T) {
	e := duel()
	for name, change := range map[string]func(c *iot.Conflict){
		"one client":    func(c *iot.Conflict) { c.Winner.Client, c.Loser.Client = "A", "A" },
		"three clients": func(c *iot.Conflict) { c.Winner.Client = "C" },
		"unnamed":       func(c *iot.Conflict) { c.Winner.Client, c.Loser.Client = "", "B" },
	} {
		conflicts := append([]iot.Conflict{}, e.Conflicts...)
		change(&conflicts[1])
		var out strings.Builder
		if err := (&console{out: &out}).timeline(conflicts); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "DISPLACED") || !strings.Contains(out.String(), "A displaced, 400027, alive") {
			t.Errorf("%s: got %s", name, out.String())
		}
	}
}

func TestStreamsForAPerson(t *testing.T) {
	peer := `{"transport":"Mqtt","remoteAddress":"192.0.2.7","remotePort":4001,"clientType":"sdk/1"}`
	for _, tt := range []struct {
		line, want string
		print      func(w *strings.Builder, line []byte) error
	}{
		{
			`{"time":"2026-11-21T12:00:00Z","deviceId":"d","moduleId":"m","event":"deviceDisconnected","code":404104,"errorName":"Gone","epoch":"1.2","reason":"lost","peer":` + peer + `,"sequenceNumber":"` + strings.Repeat("0", 62) + `2a"}`,
			"2026-11-21 12:00:00.000  disconnected  d/m  404104 Gone  Mqtt from 192.0.2.7 port 4001 sdk/1  lost  epoch 1.2  sequence 42\n",
			func(w *strings.Builder, line []byte) error { return printConnection(w, line) },
		},
		{
			`{"time":"2026-11-21T12:00:00Z","deviceId":"d","event":"deviceDisconnected","code":409002,"errorName":"Conflict","epoch":"1.2","reason":"taken","peer":` + peer + `,"by":` + peer + `,"sequenceNumber":"?"}`,
			"2026-11-21 12:00:00.000  disconnected  d  409002 Conflict  Mqtt from 192.0.2.7 port 4001 sdk/1  displaced by Mqtt from 192.0.2.7 port 4001 sdk/1  taken  epoch 1.2  sequence ?\n",
			func(w *strings.Builder, line []byte) error { return printConnection(w, line) },
		},
		{
			`{"time":"2026-11-21T12:00:00Z","deviceId":"d","event":"deviceConnected","epoch":"1.2"}`,
			"2026-11-21 12:00:00.000  connected     d  an unknown peer  epoch 1.2  sequence \n",
			func(w *strings.Builder, line []byte) error { return printConnection(w, line) },
		},
		{
			`{"lost":3}`, "(3 lines were lost: they came faster than they were read)\n",
			func(w *strings.Builder, line []byte) error { return printConnection(w, line) },
		},
		{
			`{"lost":3}`, "(3 lines were lost: they came faster than they were read)\n",
			func(w *strings.Builder, line []byte) error { return printConflict(w, line) },
		},
		{
			`{"deviceId":"d","verdict":"opened_twice","confidence":0.5,"summary":"S.","last":"2026-11-21T12:00:00Z","conflicts":3,"clients":1}`,
			"2026-11-21 12:00:00.000  d  opened twice  50 %  conflicts 3  clients 1  S.\n",
			func(w *strings.Builder, line []byte) error { return printConflict(w, line) },
		},
	} {
		var out strings.Builder
		if err := tt.print(&out, []byte(tt.line)); err != nil || out.String() != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.line, out.String(), err, tt.want)
		}
	}
	for _, print := range []func(w *strings.Builder, line []byte) error{
		func(w *strings.Builder, line []byte) error { return printConnection(w, line) },
		func(w *strings.Builder, line []byte) error { return printConflict(w, line) },
	} {
		if err := print(&strings.Builder{}, []byte(`{"time":1}{`)); err == nil {
			t.Error("a damaged line is no error")
		}
	}
}
