package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRunSaysHowToReachTheHubWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRun(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	want := Run{
		PID: 42, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "0.1", Hosts: []string{"hub.localtest"},
		Addresses: []string{"127.0.0.1", "::1"}, MQTTPort: 8883, AMQPPort: 5671, HTTPSPort: 8443, OpsPort: 9600, CA: "/d/pki/ca.pem",
	}
	if err := WriteRun(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for range 2 { // twice: a stop that was cut short is repeated
		if err := RemoveRun(dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := ReadRun(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after: %v", err)
	}
	if err := RemoveRun(filepath.Join(dir, "gone")); err != nil {
		t.Errorf("of a folder that is gone: %v", err)
	}
}

func TestADamagedRunIsNoHub(t *testing.T) {
	for _, text := range []string{"", "{}", `{"httpsPort":443}`, `{"httpsPort":70000,"hosts":["h"],"addresses":["::1"]}`, `{"httpsPort":"x"}`, "[]"} {
		dir := t.TempDir()
		if err := os.WriteFile(runPath(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadRun(dir); err == nil {
			t.Errorf("%q is read as %+v", text, r)
		}
	}
}

func TestHostsOutliveTheHub(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadHosts(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	for _, hosts := range [][]string{{"hub.localtest"}, {"a", "b"}} {
		if err := WriteHosts(dir, hosts); err != nil {
			t.Fatal(err)
		}
		got, err := ReadHosts(dir)
		if err != nil || !cmp.Equal(got, hosts) {
			t.Errorf("got %v, %v, want %v", got, err, hosts)
		}
	}
	if err := WriteHosts(dir, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadHosts(dir); err == nil {
		t.Errorf("no host is read as %v", got)
	}
}

func TestLineOf(t *testing.T) {
	text := "# data = 1\ndata = 1\n\n [ tls ]\n\"cert\" = 1 # key = 2\n[a.b]\nc . d=1\nx = [\n]\nsas.clock_skew = 5\n"
	for key, want := range map[string]int{"data": 2, "tls": 4, "tls.cert": 5, "a.b": 6, "a.b.c.d": 7, "tls.key": 0, "none": 0, "a.b.sas.clock_skew": 10} {
		if got := lineOf(text, key); got != want {
			t.Errorf("%s: line %d, want %d", key, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	all := settings()
	for key, want := range map[string]string{
		"mqtt-port": "mqtt_port", "host": "hosts", "port": "", "telemetry.partition": "telemetry.partitions", "partitions": "telemetry.partitions",
		"log.stdout": "resource_log.stdout", "tls.certificate": "", "x": "",
	} {
		if got := nearest(key, all); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if got := nearest(string(make([]byte, 1000)), all); got != "" {
		t.Errorf("a long key: %q", got)
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%s, %s: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
