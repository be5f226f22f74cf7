package reslog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

const (
	key32     = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM="
	key64     = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="
	signature = "JZ7k%2BQh3J4mF0rVt0v1gQ8Q7y0cY8cU5xA4m1kq%2Fb9E%3D"
	token     = "SharedAccessSignature sr=hub.example%2Fdevices%2Fd&sig=" + signature + "&se=1795000000"
	dsn       = "HostName=hub.example;DeviceId=d;SharedAccessKey=" + key32
)

// traces are what must not be found of the secrets above.
func traces() []string {
	return []string{key32[:20], key64[:20], signature[:10], "Qh3J4mF0rVt0v1gQ8"}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"py-azure-iot-device/2.12.0;Linux":      "py-azure-iot-device/2.12.0;Linux",
		"a=b&design=x%20y":                      "a=b&design=x%20y",
		token:                                   "SharedAccessSignature sr=hub.example%2Fdevices%2Fd&sig=***&se=1795000000",
		dsn:                                     "HostName=hub.example;DeviceId=d;SharedAccessKey=***",
		"sharedaccesskey%3D" + key32:            "sharedaccesskey%3D***",
		"SharedAccessSignature=" + token + ";x": "SharedAccessSignature=*** sr=hub.example%2Fdevices%2Fd&sig=***&se=1795000000;x",
		"the key " + key32 + " is wrong":        "the key *** is wrong",
		key64:                                   "***",
		signature:                               "***",
		"sig=":                                  "sig=***",
	} {
		if got := scrub(in); got != want {
			t.Errorf("scrub(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestALimitDoesNotCutASecretIntoTheOpen(t *testing.T) {
	for _, secret := range []string{key32, key64, signature} {
		for keep := range len(secret) + 1 {
			in := strings.Repeat(" ", 100) + secret + "tail"
			got := clip(in, 100+keep)
			if strings.Contains(got, secret[:min(8, max(keep, 1))]) {
				t.Fatalf("cut to %d bytes: %q", 100+keep, got)
			}
		}
	}
	if got := clip("aé", 2); got != "a" {
		t.Errorf("cut within a letter: %q", got)
	}
	if got := clip("a\xff", 5); got != "a\uFFFD" {
		t.Errorf("not UTF-8: %q", got)
	}
}

// plant puts a text wherever a peer, or an error that quotes one, can put any.
func plant(l *Log, text string) {
	from := netip.MustParseAddrPort("73.162.215.9:55555")
	err := fault.Wrap(errors.New(text), fault.IotHubUnauthorized, "op", "%s", text)
	party := func(n int) device.Party {
		p := nth(n)
		p.Client = device.Client{ID: text, Type: text, APIVersion: text, ModelID: text}
		p.Conn.TLS = device.TLS{Version: 0x0304, ServerName: text, ALPN: text}
		p.Conn.Remote = from
		return p
	}
	loser, winner := party(1), party(2)
	l.Connected(loser)
	l.Ended(device.Ending{Party: loser, At: start, Code: fault.GenericBadRequest, Reason: text, By: &winner})
	hello := device.Hello{
		Identity: iot.Identity{Device: text, Module: text}, Host: text, Credential: device.Credential{SAS: text},
		Client: loser.Client, Conn: loser.Conn, Will: &iot.Raw{Props: []byte(text), Body: []byte(text)},
	}
	l.Refused(hello, err, start)
	l.Refused(hello, errors.New(text), start)
	l.IdentityError(text, hello.Identity, from, err, start)
	l.TelemetryError(hello.Identity, device.MQTT, 1, err, start)
}

func TestNoSecretAndNoWholeAddressIsWritten(t *testing.T) {
	var operator, stdout bytes.Buffer
	dir := t.TempDir()
	l, err := Open(Config{Dir: dir, HubName: "hub", Stdout: &stdout, Logger: slog.New(slog.NewTextHandler(&operator, nil))})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		token, dsn, key32, key64, signature, "host/d/?api-version=x&DeviceClientType=" + token, `"` + dsn + `"`,
		strings.Repeat(".", maxText-60) + dsn, strings.Repeat(".", maxReason-60) + token, strings.Repeat(".", maxShort-60) + dsn,
	}
	for _, s := range secrets {
		plant(l, s)
	}
	var all bytes.Buffer
	records := read(t, l, iot.LogQuery{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.Read(ctx, iot.LogQuery{}, func(line []byte) error { all.Write(line); return nil }); err != nil {
		t.Fatal(err)
	}
	finish(t, l)
	if want := 6 * len(secrets); len(records) != want {
		t.Fatalf("%d records, want %d", len(records), want)
	}
	for _, where := range []string{all.String(), stdout.String(), operator.String()} {
		for _, trace := range append(traces(), "73.162.215.9") {
			if at := strings.Index(where, trace); at >= 0 {
				t.Errorf("%q was written: …%s", trace, where[max(at-200, 0):at+len(trace)])
			}
		}
	}
	if all.Len() == 0 || stdout.Len() == 0 {
		t.Error("nothing was looked at")
	}
}
