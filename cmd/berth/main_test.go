package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/park"
)

func TestInterruptedCommandSaysNothing(t *testing.T) {
	signalled := errors.New("interrupt signal received")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalled)
	for _, err := range []error{context.Canceled, signalled, fmt.Errorf("call: %w", context.Canceled)} {
		var b strings.Builder
		if code := (&console{out: &b, err: &b}).end(ctx, err); code != exitInterrupted || b.Len() > 0 {
			t.Errorf("%v: got %d and %q", err, code, b.String())
		}
	}
	var b strings.Builder
	if code := (&console{out: &b, err: &b}).end(ctx, errors.New("disk full")); code != exitFailed || b.Len() == 0 {
		t.Errorf("another failure: got %d and %q", code, b.String())
	}
}

// TestExitCodes runs commands in this process, with an empty data folder.
func TestExitCodes(t *testing.T) {
	t.Setenv("BERTH_DATA", filepath.Join(t.TempDir(), "data"))
	t.Setenv("BERTH_CONNECTION_STRING", "")
	const longEnough = "AAAAAAAAAAAAAAAAAAAAAA=="
	tests := []struct {
		code   int
		args   string
		stderr string
	}{
		{exitUsage, "", "expected one of"},
		{exitUsage, "logs --category Connection", "--category must be one of Connections, DeviceTelemetry"},
		{exitUsage, "device add a/b", `"a/b" cannot be a device id`},
		{exitUsage, "device add d --x509-ca --primary-key " + longEnough, "exclude each other"},
		{exitUsage, "device add d --primary-key tooshortakey", "symmetric key must be base64"},
		{exitUsage, "device add d --x509-thumbprint 00", "thumbprint must be 40"},
		{exitUsage, "device update d", "nothing to change"},
		{exitUsage, "device update d --new-keys --swap-keys", "exclude each other"},
		{exitUsage, "device list --top 1001", "--top must be 1 to 1000"},
		{exitUsage, "module add d a/b", "cannot be"},
		{exitUsage, "monitor --from yesterday", "earliest, end or a sequence number"},
		{exitUsage, "monitor --from earliest --from-sequence 3", "exclude each other"},
		{exitUsage, "monitor --from-time now", "parsing time"},
		{exitUsage, "monitor --module m", "--module needs --device"},
		{exitUsage, "monitor --max=-1", "--max"},
		{exitUsage, "monitor connections --module m", "--module needs --device"},
		{exitUsage, "explain", "expected \"<device>\""},
		{exitUsage, "explain a/b", `"a/b" cannot be an identity`},
		{exitUsage, "explain d --at tomorrow", "neither a time like"},
		{exitUsage, "conflicts --verdict guilty", "verdict"},
		{exitUsage, "conflicts --order best", "order"},
		{exitUsage, "conflicts --limit 10001", "--limit must be 1 to 10000"},
		{exitUsage, "logs --since tomorrow", "neither a time like"},
		{exitUsage, "logs --since=-5m", "neither a time like"},
		{exitUsage, "logs --module m", "--module needs --device"},
		{exitUsage, "logs --tail 10001", "--tail must be 1 to 10000"},
		{exitUsage, "connection-string --module m", "--module needs --device"},
		{exitUsage, "bench publish --target nowhere", "--target must be host:port"},
		{exitUsage, "bench register --batch 101", "--batch must be 1 to 100"},
		{exitUsage, "ca add .name main_test.go", "a CA's name is"},
		{exitUsage, "ca add name main_test.go", "holds no certificate"},
		{exitUsage, "completion tcsh", "must be one of"},
		{exitNoHub, "device show d --json", "no hub is running"},
		{exitNoHub, "device remove d", "no hub is running"},
		{exitNoHub, "module list d", "no hub is running"},
		{exitNoHub, "monitor", "no hub is running"},
		{exitNoHub, "monitor --json --device d --max 3", "no hub is running"},
		{exitNoHub, "monitor messages --json", "no hub is running"},
		{exitNoHub, "monitor connections --json", "no hub is running"},
		{exitNoHub, "explain d --module m --at 15m", "no hub is running"},
		{exitNoHub, "conflicts --verdict two_clients --order WORST --follow", "no hub is running"},
		{exitNoHub, "logs", "no hub is running"},
		{exitNoHub, "ca list", "no hub is running"},
		{exitNoHub, "ca path", "none has ever made a CA"},
		{exitNoHub, "bench connect", "no hub is running"},
		{exitNoHub, "connection-string", "none has ever started"},
		{exitNoHub, "connection-string --device d", "no hub is running"},
		{exitFailed, "device list --login HostName=hub.test", "must be that of a shared access policy"},
		{exitFailed, "bench connect --target 127.0.0.1:1 --plain --devices 2 --hold 0s", "2 operations failed"},
		{exitFailed, "bench publish --target 127.0.0.1:1 --plain --size 999999", "size is 999999"},
		{exitDone, "version", ""},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var out, err strings.Builder
			if code := run(strings.Fields(tt.args), &console{out: &out, err: &err}); code != tt.code {
				t.Errorf("got exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(err.String(), tt.stderr) || tt.code == exitDone && err.Len() > 0 {
				t.Errorf("got %q, want %q in it", err.String(), tt.stderr)
			}
			if strings.Contains(err.String(), "tooshort") {
				t.Errorf("a key is quoted: %q", err.String())
			}
			if tt.code == exitUsage && out.Len() > 0 {
				t.Errorf("a command that was not run printed %q", out.String())
			}
		})
	}
}

// TestDefaultsAgree: a door without limits has those that the configuration has.
func TestDefaultsAgree(t *testing.T) {
	got := config.Default().Limits
	if got.Unauthenticated != park.DefaultArriving || got.UnauthenticatedPerAddress != park.DefaultArrivingPerAddress {
		t.Errorf("the configuration has %d and %d, the door %d and %d",
			got.Unauthenticated, got.UnauthenticatedPerAddress, park.DefaultArriving, park.DefaultArrivingPerAddress)
	}
}
