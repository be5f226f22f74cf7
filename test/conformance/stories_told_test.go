package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/test/rig"
)

// TestStoryIsToldEverywhere: a module's half-open connection and its device's duel, over
// the API, the command line, the resource log and a restart of the hub, with the
// addresses that the asker may see and without a secret.
func TestStoryIsToldEverywhere(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, m := h.AddDevice("dev1"), h.AddModule("dev1", "m1")
	before := time.Now()

	// The device duels with a copy of itself elsewhere; then its module loses its network.
	here, there := h.Proxy(t, "127.0.0.2"), h.Proxy(t, "127.0.0.3")
	duellists := []*program{newProgram(t, h, d, time.Hour), newProgram(t, h, d, 2*time.Hour)}
	for i := range 8 {
		attend(duellists[i%2].connect([]string{here.Addr, there.Addr}[i%2]))
	}
	duel := verdict(t, h, d, iot.VerdictTwoClients, 7)
	between := time.Now()
	client := newProgram(t, h, m, time.Hour)
	attend(client.connect(here.Addr))
	here.Last().Silence()
	client.connect(here.Addr)
	lost := verdict(t, h, m, iot.VerdictHalfOpen, 1)

	asked := time.Now()
	told := checkAnswers(t, h, map[string]iot.Explanation{"dev1": duel, "m1": lost})
	checkOrders(t, h)
	checkAsOf(t, h, before, between)
	checkDisconnectRecord(t, h)
	secrets := []string{d.Key(), m.Key(), h.PolicyString("iothubowner")}
	for _, p := range append(duellists, client) {
		sig, _, _ := strings.Cut(p.token[strings.Index(p.token, "sig=")+4:], "&")
		secrets = append(secrets, sig, unescaped(t, sig))
	}
	told += string(h.Berth("logs", "--json").Must().Stdout) + hubLog(h)
	for _, secret := range secrets {
		if strings.Contains(told, secret) {
			t.Errorf("a secret is told: %s", secret)
		}
	}

	// It is on stable storage about a second after it changed.
	<-time.After(time.Until(asked.Add(2 * time.Second)))
	h.Kill()
	h.Start()
	checkAnswers(t, h, map[string]iot.Explanation{"dev1": duel, "m1": lost})
}

// hubLog is what the hub wrote but for its greeting, which shows the connection strings
// to whoever starts it.
func hubLog(h *rig.Hub) string {
	var lines []string
	for line := range strings.Lines(h.Out.String()) {
		if strings.Contains(line, "level=") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func unescaped(t *testing.T, s string) string {
	t.Helper()
	u, err := url.QueryUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// checkAnswers compares what the API and the command line say of dev1 and its module m1
// with the explanations given, but for when they were made, and gives all that was told.
// The policy service sees no whole address.
func checkAnswers(t *testing.T, h *rig.Hub, want map[string]iot.Explanation) (told string) {
	t.Helper()
	for who, e := range want {
		path, args := "/berth/v1/devices/dev1/explain", []string{"explain", "dev1", "--json"}
		if who == "m1" {
			path, args = "/berth/v1/devices/dev1/modules/m1/explain", append(args, "--module", "m1")
		}
		answer := h.Request(http.MethodGet, path, "").Want(t, http.StatusOK)
		shown := h.Berth(args...).Must().Stdout
		var api, cli iot.Explanation
		answer.JSON(t, &api)
		if err := json.Unmarshal(shown, &cli); err != nil {
			t.Fatal(err)
		}
		for _, got := range []iot.Explanation{api, cli} {
			got.GeneratedAt = e.GeneratedAt
			if diff := cmp.Diff(e, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", who, diff)
			}
		}
		masked := h.RequestAs(h.PolicyToken("service"), http.MethodGet, path, "").Want(t, http.StatusOK)
		if body := string(masked.Body); strings.Contains(body, "127.0.0.2") || !strings.Contains(body, "127.0.0.XXX") {
			t.Errorf("the policy service is shown whole addresses of %s: %s", who, body)
		}
		told += string(answer.Body) + string(shown) + string(masked.Body)
	}
	return told
}

// checkOrders checks the list of conflicts: the newest first, or the worst.
func checkOrders(t *testing.T, h *rig.Hub) {
	t.Helper()
	for order, want := range map[string]string{"newest": "dev1/m1 dev1", "worst": "dev1 dev1/m1"} {
		var api, cli []iot.ConflictSummary
		h.Request(http.MethodGet, "/berth/v1/conflicts?order="+order, "").Want(t, http.StatusOK).JSON(t, &api)
		if err := json.Unmarshal(h.Berth("conflicts", "--order", order, "--json").Must().Stdout, &cli); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, s := range api {
			ids = append(ids, s.Identity().String())
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("order %s: got %s, want %s", order, got, want)
		}
		if diff := cmp.Diff(api, cli); diff != "" {
			t.Errorf("order %s: the API and the command line differ:\n%s", order, diff)
		}
	}
}

// checkAsOf checks explanations as of an earlier time, and of identities that are not
// registered.
func checkAsOf(t *testing.T, h *rig.Hub, before, between time.Time) {
	t.Helper()
	verdictAt := func(at time.Time, module ...string) iot.Verdict {
		t.Helper()
		var e iot.Explanation
		out := h.Berth(append([]string{"explain", "dev1", "--json", "--at", at.UTC().Format(time.RFC3339Nano)}, module...)...).Must().Stdout
		if err := json.Unmarshal(out, &e); err != nil {
			t.Fatal(err)
		}
		return e.Verdict
	}
	for _, c := range []struct {
		got, want iot.Verdict
	}{
		{verdictAt(before), iot.VerdictNone},
		{verdictAt(between), iot.VerdictTwoClients},
		{verdictAt(between, "--module", "m1"), iot.VerdictNone},
		{verdictAt(time.Now(), "--module", "m1"), iot.VerdictHalfOpen},
	} {
		if c.got != c.want {
			t.Errorf("as of then: got %s, want %s", c.got, c.want)
		}
	}
	for path, name := range map[string]string{"devices/nobody": "DeviceNotFound", "devices/dev1/modules/none": "ModuleNotFound"} {
		r := h.Request(http.MethodGet, "/berth/v1/"+path+"/explain", "").Want(t, http.StatusNotFound)
		if got := r.Header.Get("iothub-errorcode"); got != name {
			t.Errorf("%s: error %q, want %s", path, got, name)
		}
	}
	if r := h.Berth("explain", "nobody"); r.ExitCode != 1 || !strings.Contains(string(r.Stderr), "DeviceNotFound") {
		t.Errorf("berth explain of an unknown device ended with %d: %s", r.ExitCode, r.Stderr)
	}
}

// checkDisconnectRecord checks that the resource log tells of the module's displacement as
// Azure publishes it, and under a key of its own what Azure does not say of both sides.
func checkDisconnectRecord(t *testing.T, h *rig.Hub) {
	t.Helper()
	i := slices.IndexFunc(h.Logs("--device", "dev1", "--module", "m1"), func(r rig.LogRecord) bool { return r.ResultType == "400027" })
	if i < 0 {
		t.Fatal("the log does not tell of the displacement")
	}
	r := h.Logs("--device", "dev1", "--module", "m1")[i]
	facts, err := r.Facts()
	if err != nil {
		t.Fatalf("properties %q: %v", r.Properties, err)
	}
	ours, _ := facts["berth"].(map[string]any)
	by, _ := ours["by"].(map[string]any)
	delete(facts, "berth")
	want := []string{"authType", "deviceId", "errorMessage", "maskedIpAddress", "moduleId", "protocol", "statusCode"}
	if got := sortedKeys(facts); !slices.Equal(got, want) {
		t.Errorf("published properties %v, want %v", got, want)
	}
	for name, side := range map[string]map[string]any{"loser": ours, "winner": by} {
		for _, fact := range []string{
			"transport", "listener", "remotePort", "clientId", "keepAlive", "cleanSession", "connectTime", "lastInTime", "bytesIn",
			"packetsIn", "credential", "tls", "tcp", "epoch",
		} {
			if side[fact] == nil {
				t.Errorf("the record does not tell %s of the %s: %s", fact, name, r.Properties)
			}
		}
		if credential := fmt.Sprint(side["credential"]); !strings.Contains(credential, "tokenHash") || !strings.Contains(credential, "slot:primary") {
			t.Errorf("the credential of the %s is %s", name, credential)
		}
	}
}

func sortedKeys(m map[string]any) []string {
	var l []string
	for k := range m {
		l = append(l, k)
	}
	slices.Sort(l)
	return l
}

// TestStoryRootCause: a conflict right after a lost connection, an idle one, a refusal or
// a restart of the hub names it.
func TestStoryRootCause(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	for name, c := range map[string]struct {
		trouble func(t *testing.T, d rig.Identity, p *rig.Proxy)
		want    string
	}{
		"lost": {func(t *testing.T, d rig.Identity, p *rig.Proxy) {
			t.Helper()
			newProgram(t, h, d, time.Hour).connect(p.Addr)
			p.Last().Reset()
			rig.Until(t, "the hub notices the end", func() bool { return h.Get(d).ConnectionState == "Disconnected" })
		}, "without a goodbye (404104 DeviceConnectionClosedRemotely)"},
		"idle": {func(t *testing.T, d rig.Identity, _ *rig.Proxy) {
			t.Helper()
			hello := d.Hello()
			hello.KeepAlive = 1
			h.Dial(t).Enter(hello)
			rig.Until(t, "the hub closes the idle connection", func() bool { return h.Get(d).ConnectionState == "Disconnected" })
		}, "nothing had been heard of it (404104 DeviceConnectionClosedRemotely)"},
		"refused": {func(t *testing.T, d rig.Identity, _ *rig.Proxy) {
			t.Helper()
			hello := d.Hello()
			hello.Password = rig.Token(d.Resource(), "AAAA", "")
			if code, _ := h.Dial(t).Greet(hello); code != 5 {
				t.Fatalf("CONNACK %d, want 5", code)
			}
		}, "was refused (401003 IotHubUnauthorized)"},
		"nothing": {func(*testing.T, rig.Identity, *rig.Proxy) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, p := h.AddDevice(name), h.Proxy(t, "127.0.0.2")
			c.trouble(t, d, p)
			conflict(t, h, d, p)
			e := verdict(t, h, d, iot.VerdictHalfOpen, 1)
			if named := strings.Contains(e.Summary, "It may have begun with this"); named != (c.want != "") || !strings.Contains(e.Summary, c.want) {
				t.Errorf("got %q, want %q", e.Summary, c.want)
			}
		})
	}
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		again := rig.Start(t, rig.Options{Local: true})
		d := again.AddDevice("dev1")
		again.Kill()
		again.Start()
		conflict(t, again, d, again.Proxy(t, "127.0.0.2"))
		if e := verdict(t, again, d, iot.VerdictHalfOpen, 1); !strings.Contains(e.Summary, "the hub started") {
			t.Errorf("got %q", e.Summary)
		}
	})
}

// conflict lets a client come back while its old connection is dead and not yet noticed.
func conflict(t *testing.T, h *rig.Hub, d rig.Identity, p *rig.Proxy) {
	t.Helper()
	client := newProgram(t, h, d, time.Hour)
	attend(client.connect(p.Addr))
	p.Last().Silence()
	client.connect(p.Addr)
}
