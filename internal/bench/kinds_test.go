package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/mqttwire"
)

func TestPacedPublishSendsWhatIsDue(t *testing.T) {
	b := &broker{}
	begun := time.Now()
	r, err := Publish{
		Devices: 2, Rate: 4000, Inflight: 4, Size: 10, Duration: 100 * time.Millisecond, Workers: 2,
	}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	// Every device has a burst of 4 due each 2 ms: what came is bounded by the pace from above,
	// and by nothing from below on a machine that has other things to do. The devices are paced
	// from before the measured window opens to after it closes.
	due := uint64(time.Since(begun).Seconds()*4000) + 2*4
	if r.Failed != 0 || r.Done > due || r.Rate != 4000 {
		t.Errorf("got %d, at most %d were due; failures %v", r.Done, due, r.Failures)
	}
}

func TestPacedPublishEndsWithItsMessages(t *testing.T) {
	b := &broker{}
	r, err := Publish{Devices: 2, Rate: 1e6, Inflight: 8, Size: 10, Messages: 100, Workers: 2}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || r.Done != 200 {
		t.Errorf("got %d, want 200; failures %v", r.Done, r.Failures)
	}
}

func TestPacedPublishSaysWhenAcknowledgementsStop(t *testing.T) {
	b := &broker{silentAt: 10}
	plan := Publish{Devices: 1, Rate: 1e5, Inflight: 4, Size: 10, Duration: 20 * time.Millisecond, Workers: 1, Drain: 20 * time.Millisecond}
	r, err := plan.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 1 || r.Done != 10 || !strings.Contains(r.Failures[0], "did not acknowledge") {
		t.Errorf("got %d done, failures %v", r.Done, r.Failures)
	}
}

func TestFairnessCountsTheFloodApart(t *testing.T) {
	b := &broker{}
	r, err := Fair{
		Devices: 2, Inflight: 4, Size: 10, Warmup: 5 * time.Millisecond, Duration: 50 * time.Millisecond, Workers: 2,
	}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	f := r.Fairness
	if r.Failed != 0 || f == nil {
		t.Fatalf("got %+v", r)
	}
	if f.Rate != r.PerSecond/2 || b.topics["t/c"] == 0 {
		t.Errorf("paced at %.0f of %.0f, the third device sent %d", f.Rate, r.PerSecond, b.topics["t/c"])
	}
}

func TestConnectSubscribes(t *testing.T) {
	b := &broker{}
	r, err := Connect{Devices: 2, Workers: 1, Subscribe: true}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || *r.Alive != 2 || cmp.Diff([]string{"f/a", "f/b"}, b.filters) != "" {
		t.Errorf("got %+v, subscriptions %v", r, b.filters)
	}
	b = &broker{suback: mqttwire.SubackFailure}
	r, err = Connect{Devices: 1, Workers: 1, Subscribe: true}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 1 || !strings.Contains(r.Failures[0], `subscribe to "f/a"`) {
		t.Errorf("refused: got %+v", r)
	}
}

func TestPacedTakeoverKeepsItsRate(t *testing.T) {
	b := &broker{}
	r, err := Takeover{Devices: 4, Workers: 2, Rate: 200, Duration: 100 * time.Millisecond}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if due := uint64(r.Seconds*200) + 2; r.Done > due || r.Failed != 0 {
		t.Errorf("got %d takeovers, at most %d were due; failures %v", r.Done, due, r.Failures)
	}
}

func TestTakeoverKnowsWhenTheKernelTookInTheEnd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux is asked")
	}
	b := &broker{farewell: true}
	target := b.start(t)
	for { // the kernel begins to stamp a moment after the first socket has asked for it
		r, err := Takeover{Devices: 1, Workers: 1, Rounds: 20}.Run(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if r.Kernel == nil || r.Kernel.Count < 20 {
			continue
		}
		if r.Kernel.Max > r.Seconds*1e6 {
			t.Errorf("got %+v by stamps in %.6f s, %+v by the clock", r.Kernel, r.Seconds, r.Latency)
		}
		return
	}
}

// shaker is a server that shakes hands and closes; silent, it does not close.
func shaker(t *testing.T, silent bool) *Target {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { greet(c, silent) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &Target{Address: ln.Addr().String(), TLS: &tls.Config{ServerName: "localhost", RootCAs: roots, MinVersion: tls.VersionTLS13}}
}

func greet(c net.Conn, silent bool) {
	defer c.Close()
	if c.(*tls.Conn).Handshake() == nil && silent {
		c.Write([]byte("more"))
	}
}

func TestHandshakesAreCounted(t *testing.T) {
	target := shaker(t, false)
	r, err := Handshake{Workers: 2, Duration: 50 * time.Millisecond}.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || r.Done == 0 || r.Latency.Count != r.Done || !strings.HasPrefix(r.Cipher, "TLS 1.3, TLS_") {
		t.Errorf("got %+v", r)
	}
}

func TestAServerThatDoesNotCloseIsNoHandshakeLoop(t *testing.T) {
	r, err := Handshake{Workers: 1, Duration: time.Minute}.Run(t.Context(), shaker(t, true))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 1 || !strings.Contains(r.Failures[0], "did not close") {
		t.Errorf("got %+v", r)
	}
}

func TestReadCountsEveryReadersEvents(t *testing.T) {
	short := errors.New("cut")
	for name, test := range map[string]struct {
		events int
		err    error
		failed uint64
	}{
		"all":     {events: 100},
		"too few": {events: 99, failed: 3},
		"cut":     {events: 100, err: short, failed: 3},
	} {
		r, err := Read{Target: "x", Readers: 3, Events: 100, Stream: func(_ context.Context, each func()) error {
			for range test.events {
				each()
			}
			return test.err
		}}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Done != uint64(3*test.events) || r.Failed != test.failed || r.Latency.Count != 3 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

func TestMorePlansAreChecked(t *testing.T) {
	target := &Target{Address: "127.0.0.1:1", Account: func(int) (Account, error) { return Account{}, errors.New("no account") }}
	for name, run := range map[string]func() (*Report, error){
		"no window": func() (*Report, error) { return Fair{Devices: 1, Inflight: 1, Workers: 1}.Run(t.Context(), target) },
		"no pace": func() (*Report, error) {
			return Publish{Devices: 1, Inflight: 1, Messages: 1, Workers: 1, Rate: -1}.Run(t.Context(), target)
		},
		"no handshakes": func() (*Report, error) { return Handshake{Workers: 1}.Run(t.Context(), target) },
		"no TLS": func() (*Report, error) {
			return Handshake{Workers: 1, Duration: time.Second}.Run(t.Context(), target)
		},
		"no stream": func() (*Report, error) { return Read{Readers: 1}.Run(t.Context()) },
		"no readers": func() (*Report, error) {
			return Read{Stream: func(context.Context, func()) error { return nil }}.Run(t.Context())
		},
	} {
		if r, err := run(); err == nil {
			t.Errorf("%s: no error, %+v", name, r)
		}
	}
}
