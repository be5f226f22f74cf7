package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/file"
)

func TestNothingNeedsToBeConfigured(t *testing.T) {
	c, err := Decode("berth.toml", "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Error(diff)
	}
	if c.MQTTPort != 8883 || c.HTTPSPort != 443 || c.OpsPort != 9600 || c.Telemetry.Partitions != 4 ||
		c.Telemetry.RetentionAge.Std() != 24*time.Hour || c.Telemetry.RetentionBytes != 2_000_000_000 ||
		c.Limits.UnauthenticatedPerAddress != 1024 || c.SAS.ClockSkew.Std() != 5*time.Minute || c.SAS.ExpiryGrace.Std() != 10*time.Minute ||
		c.C2D.DefaultTTL.Std() != time.Hour || c.C2D.MaxDeliveryCount != 10 || c.C2D.FeedbackBatch.Std() != time.Second {
		t.Errorf("defaults %+v", c)
	}
}

// TestThePrintedConfigurationGivesItself: `berth config print` is a file to start from.
func TestThePrintedConfigurationGivesItself(t *testing.T) {
	c := Default()
	c.Hosts, c.Bind = []string{"hub.localtest", "b.example.org"}, []string{"0.0.0.0"}
	c.MQTTPort, c.TLS = 0, TLS{Cert: "/c.pem", Key: `C:\k "1".pem`}
	c.ResourceLog.Stdout, c.ResourceLog.MaxAge, c.Telemetry.RetentionBytes = true, 0, 123_456_789
	text := c.String()
	got, err := Decode("printed", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{
		"mqtt_port = 0", `hosts = ["hub.localtest", "b.example.org"]`, "[telemetry]", `retention_age = "24h"`,
		`clock_skew = "5m"`, `max_size = "100MB"`, `level = "info"`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in:\n%s", line, text)
		}
	}
}

func TestAFileSettlesWhatItNames(t *testing.T) {
	got, err := Load(filepath.Join("testdata", "full.toml"))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Data: "/var/lib/berth", Hosts: []string{"hub.example.org", "10.0.0.7"}, Bind: []string{"10.0.0.7", "::1"},
		MQTTPort: 18883, AMQPPort: 15671, HTTPSPort: 0, OpsPort: 9601,
		TLS:       TLS{Cert: "own.pem", Key: "own.key"},
		SAS:       SAS{ClockSkew: Duration(90 * time.Second), ExpiryGrace: 0},
		Telemetry: Telemetry{Partitions: 32, RetentionAge: Duration(7*24*time.Hour + 12*time.Hour), RetentionBytes: 512 << 20},
		C2D: C2D{
			DefaultTTL: Duration(10 * time.Minute), MaxDeliveryCount: 1, FeedbackBatch: Duration(15 * time.Second),
			FeedbackTTL: Duration(48 * time.Hour), FeedbackLock: Duration(5 * time.Second), FeedbackDeliveries: 100,
		},
		ResourceLog: ResourceLog{MaxSize: 1 << 20, MaxBackups: 0, MaxAge: 0, Stdout: true},
		Limits:      Limits{UnauthenticatedPerAddress: 8, Unauthenticated: 64, GoodbyeSpread: Duration(500 * time.Millisecond)},
		Log:         Log{Level: "debug", Format: "json"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEveryMistakeIsExplained: each testdata/*.bad.toml holds one mistake, and behind
// "# want: " the sentences that must explain it.
func TestEveryMistakeIsExplained(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.bad.toml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".bad.toml"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if sentence, ok := strings.CutPrefix(strings.TrimSpace(line), "# want: "); ok {
					want = append(want, "berth.toml"+sentence)
				}
			}
			_, err = Decode("berth.toml", string(text))
			if err == nil {
				t.Fatal("no mistake is found")
			}
			if diff := cmp.Diff(strings.Join(want, "\n"), err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAMissingFileIsSaid(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	big := filepath.Join(t.TempDir(), "big.toml")
	if err := os.WriteFile(big, make([]byte, file.Most+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestListenersAreLoopbackUnlessToldOtherwise(t *testing.T) {
	got := Default().Listeners()
	if len(got) != 2 || got[0].Addr.String() != "127.0.0.1" || got[0].Optional || got[1].Addr.String() != "::1" || !got[1].Optional {
		t.Errorf("got %v", got)
	}
	c := Default()
	c.Bind = []string{"10.0.0.7", "nonsense", "fd00::1"}
	got = c.Listeners()
	if len(got) != 2 || got[0].Addr.String() != "10.0.0.7" || got[1].Addr.String() != "fd00::1" || got[0].Optional || got[1].Optional {
		t.Errorf("got %v", got)
	}
}

func TestDataFolderByDefault(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := DefaultDataDir(); got != filepath.Join("/data", "berth") {
		t.Errorf("with XDG_DATA_HOME: %s", got)
	}
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("HOME", "/home/ann")
	if got := DefaultDataDir(); got != filepath.Join("/home/ann", ".local", "share", "berth") {
		t.Errorf("with HOME: %s", got)
	}
	t.Setenv("HOME", "")
	if got := DefaultDataDir(); got != "berth-data" {
		t.Errorf("with neither: %s", got)
	}
}

func TestDurationsThereAndBack(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0s", "90s": "1m30s", "5m": "5m", "24h": "24h", "7d": "168h", "1d12h": "36h", "1h30m": "1h30m", "1h0m5s": "1h0m5s", "250ms": "250ms",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || d.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s: printed as %s, read as %s, %v", in, d, again, err)
		}
	}
	for _, in := range []string{"", "5", "-5m", "five minutes", "1.5d", "d", "99999d999999h", "1d-2d", "1d-48h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is read as %s", in, d)
		}
	}
}

func TestSizesThereAndBack(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0B", "1": "1B", "1000": "1KB", "1024": "1KiB", "2GB": "2GB", "2 gb": "2GB", "512MiB": "512MiB", "1536KiB": "1536KiB", "1001B": "1001B",
		"3TiB": "3TiB", "9223372036854775807": "9223372036854775807B",
	} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, s, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: printed as %s, read as %s, %v", in, s, again, err)
		}
	}
	for _, in := range []string{"", "GB", "-1", "1.5GB", "1 XB", "9223372036854775807KB", "10000000TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is read as %s", in, s)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join("testdata", "*.toml"))
	for _, path := range files {
		if text, err := os.ReadFile(path); err == nil {
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Decode("f", text)
		if err != nil {
			return
		}
		again, err := Decode("g", c.String())
		if err != nil {
			t.Fatalf("%v\n%s", err, c)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
