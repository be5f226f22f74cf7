package conformance

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestMonitor reads telemetry from a sequence, a time and the end, of one device, and
// as it comes.
func TestMonitor(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Config: "[telemetry]\npartitions = 2\n"})
	a, b := h.AddDevice("dev1"), h.AddDevice("dev2")
	la, lb := h.Dial(t), h.Dial(t)
	la.Enter(a.Hello())
	lb.Enter(b.Hello())
	for i := range 5 {
		la.Publish(a.EventsTopic(), uint16(1+i), "a"+strconv.Itoa(i))
	}
	lb.Publish(b.EventsTopic(), 1, "b0")

	of := func(events []rig.Event) (got []string) {
		for _, e := range events {
			got = append(got, e.Text())
		}
		return got
	}
	all := h.Events("--device", "dev1")
	if diff := cmp.Diff([]string{"a0", "a1", "a2", "a3", "a4"}, of(all)); diff != "" {
		t.Fatalf("of dev1 (-want +got):\n%s", diff)
	}
	for i, e := range all[1:] {
		if e.Partition != all[0].Partition || e.Sequence <= all[i].Sequence {
			t.Errorf("partition %d sequence %d after partition %d sequence %d", e.Partition, e.Sequence, all[i].Partition, all[i].Sequence)
		}
	}
	monitor := func(args ...string) []rig.Event {
		t.Helper()
		var got []rig.Event
		out := h.Berth(append([]string{"monitor", "--json", "--no-follow", "--device", "dev1"}, args...)...).Must()
		for line := range strings.Lines(string(out.Stdout)) {
			var e rig.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		return got
	}
	from := strconv.FormatUint(all[3].Sequence, 10)
	if diff := cmp.Diff([]string{"a3", "a4"}, of(monitor("--from-sequence", from))); diff != "" {
		t.Errorf("from a sequence (-want +got):\n%s", diff)
	}
	if got := monitor("--from", "end"); len(got) != 0 {
		t.Errorf("from the end, without following: %q, want nothing", of(got))
	}
	if got := monitor("--from-time", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)); len(got) != 0 {
		t.Errorf("from a time to come: %q, want nothing", of(got))
	}
	if got := monitor("--from-time", all[0].EnqueuedTime.Add(-time.Second).UTC().Format(time.RFC3339)); len(got) != 5 {
		t.Errorf("from the time of the first: %q, want all", of(got))
	}
	if got := monitor("--from", "earliest", "--max", "2"); len(got) != 2 {
		t.Errorf("--max 2: %q", of(got))
	}

	lines := h.Follow("monitor", "--json", "--device", "dev1", "--from-sequence", strconv.FormatUint(all[4].Sequence, 10))
	next := func() rig.Event {
		t.Helper()
		var e rig.Event
		if err := json.Unmarshal([]byte(rig.Receive(t, lines, "a line of berth monitor")), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if got := next().Text(); got != "a4" {
		t.Errorf("the first line followed is %q, want a4", got)
	}
	lb.Publish(b.EventsTopic(), 2, "b1")
	la.Publish(a.EventsTopic(), 9, "live")
	if got := next().Text(); got != "live" {
		t.Errorf("the line that came is %q, want live", got)
	}
}

// TestLogsFollow shows a connection and its end as they happen.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	lines := h.Follow("logs", "--json", "--follow", "--device", "dev1")
	next := func() rig.LogRecord {
		t.Helper()
		var r rig.LogRecord
		if err := json.Unmarshal([]byte(rig.Receive(t, lines, "a line of berth logs")), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	l := h.Dial(t)
	l.Enter(d.Hello())
	r := next()
	if r.OperationName != "deviceConnect" || r.Level != "Information" || r.ResultType != "" || !strings.HasSuffix(r.ResourceID, "/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/HUB") {
		t.Errorf("connect %+v", r)
	}
	facts, err := r.Facts()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"deviceId", "sdkVersion", "protocol", "authType", "maskedIpAddress", "statusCode", "errorMessage"} {
		if _, ok := facts[key]; !ok {
			t.Errorf("the properties of deviceConnect have no %q: %s", key, r.Properties)
		}
	}
	l.Send(rig.Frame(rig.Disconnect<<4, nil))
	if r = next(); r.OperationName != "deviceDisconnect" || r.Level != "Information" || r.ResultType != "" {
		t.Errorf("clean goodbye %+v", r)
	}
	l = h.Dial(t)
	l.Enter(d.Hello())
	next()
	l.Conn.NetConn().Close()
	if r = next(); r.ResultType != "404104" || r.Level != "Error" || r.ResultDescription != "DeviceConnectionClosedRemotely" {
		t.Errorf("loss %+v", r)
	}
	if strings.Contains(h.Out.String(), d.Key()) || strings.Contains(h.Out.String(), "SharedAccessSignature") {
		t.Error("the operator's log holds a secret")
	}
}
