package pki

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/file"
)

// clock is a clock that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// open makes an authority of a folder, at a time.
func open(t *testing.T, dir string, now time.Time, names ...string) *Authority {
	t.Helper()
	a, err := Open(Config{Dir: dir, Names: names, Now: (&clock{now}).Now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pool is the trust of a client that was given the CA's file.
func pool(t *testing.T, a *Authority) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM([]byte(read(t, a.CAPath()))) {
		t.Fatal("the CA's file holds no certificate")
	}
	return p
}

func TestFirstStartMakesWhatClientsNeed(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "data"), time.Now()
	a := open(t, dir, now, "hub.localtest", "hub.device.localtest", "10.1.2.3")
	certs := *a.certs.Load()
	if len(certs) != 2 || certs[0].Leaf.PublicKeyAlgorithm != x509.ECDSA || certs[1].Leaf.PublicKeyAlgorithm != x509.RSA {
		t.Fatalf("want an ECDSA and an RSA certificate, in this order; got %d", len(certs))
	}
	for _, cert := range certs {
		for _, name := range []string{"hub.localtest", "HUB.device.localtest", "10.1.2.3", "localhost", "127.0.0.1", "::1"} {
			for _, at := range []time.Time{now, now.Add(-23 * time.Hour), now.Add(2 * 365 * 24 * time.Hour)} {
				_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool(t, a), CurrentTime: at})
				if err != nil {
					t.Errorf("%s at %v: %v", name, at, err)
				}
			}
		}
		if cert.Leaf.VerifyHostname("other.localtest") == nil {
			t.Error("the certificate is valid for a name nobody gave")
		}
	}
	if missing := a.Missing([]string{"hub.localtest", "other.localtest"}); !cmp.Equal(missing, []string{"other.localtest"}) {
		t.Errorf("missing %v", missing)
	}
	for path, want := range map[string]fs.FileMode{"ca.pem": 0o644, "ca.key": 0o600, "server-ecdsa.pem": 0o600, "server-rsa.pem": 0o600} {
		info, err := os.Stat(filepath.Join(dir, "pki", path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if a.CAPath() != CAPath(dir) || a.CAPath() != filepath.Join(dir, "pki", "ca.pem") {
		t.Errorf("CA path %s", a.CAPath())
	}
	left, err := filepath.Glob(filepath.Join(dir, "pki", ".tmp-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestTheCAIsOfThePrivateKind(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	open(t, dir, now)
	cert, err := parseCert([]byte(read(t, CAPath(dir))))
	if err != nil {
		t.Fatal(err)
	}
	if !cert.IsCA || !cert.MaxPathLenZero || cert.KeyUsage&x509.KeyUsageCertSign == 0 || cert.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("CA %+v", cert)
	}
	if years := cert.NotAfter.Sub(now).Hours() / 24 / 365; years < 19.9 || years > 20.1 {
		t.Errorf("valid for %.1f years", years)
	}
	if cert.SerialNumber.BitLen() < 120 {
		t.Errorf("serial number %v is not random", cert.SerialNumber)
	}
	if other := t.TempDir(); read(t, open(t, other, now).CAPath()) == read(t, CAPath(dir)) {
		t.Error("two folders have one CA")
	}
}

// TestLaterStartsKeepWhatFits: the CA always, a server certificate until its names
// change or its end nears.
func TestLaterStartsKeepWhatFits(t *testing.T) {
	dir, start := t.TempDir(), time.Now()
	open(t, dir, start, "a.localtest", "b.localtest")
	ca, key := read(t, dir, "pki", "ca.pem"), read(t, dir, "pki", "ca.key")
	leaf := read(t, dir, "pki", "server-ecdsa.pem")
	rsaLeaf := read(t, dir, "pki", "server-rsa.pem")
	for _, tc := range []struct {
		name  string
		at    time.Duration
		names []string
		same  bool
	}{
		{"the same names in another order", time.Hour, []string{"B.localtest", "a.localtest", "a.localtest"}, true},
		{"shortly before renewal", leafLife - leafRenew - time.Hour, []string{"a.localtest", "b.localtest"}, true},
		{"near its end", leafLife - leafRenew, []string{"a.localtest", "b.localtest"}, false},
		{"the clock fell back", -48 * time.Hour, []string{"a.localtest", "b.localtest"}, false},
		{"a name more", 0, []string{"a.localtest", "b.localtest", "c.localtest"}, false},
		{"a name less", 0, []string{"a.localtest"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			restore(t, dir, "server-ecdsa.pem", leaf)
			restore(t, dir, "server-rsa.pem", rsaLeaf)
			a := open(t, dir, start.Add(tc.at), tc.names...)
			if got := read(t, dir, "pki", "server-ecdsa.pem") == leaf; got != tc.same {
				t.Errorf("kept: %v, want %v", got, tc.same)
			}
			if read(t, dir, "pki", "ca.pem") != ca || read(t, dir, "pki", "ca.key") != key {
				t.Error("the CA changed")
			}
			if missing := a.Missing(tc.names); len(missing) > 0 {
				t.Errorf("the certificate lacks %v", missing)
			}
		})
	}
}

func restore(t *testing.T, dir, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "pki", path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedServerCertificateIsIssuedAnew(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	open(t, dir, now)
	whole := read(t, dir, "pki", "server-ecdsa.pem")
	for _, text := range []string{"", "garbage", whole[:len(whole)/2]} {
		restore(t, dir, "server-ecdsa.pem", text)
		a := open(t, dir, now)
		if got := read(t, dir, "pki", "server-ecdsa.pem"); got == text {
			t.Errorf("%.10q is kept", text)
		}
		if (*a.certs.Load())[0].Leaf.CheckSignatureFrom(mustCA(t, dir, now).cert) != nil {
			t.Error("the new one is not the CA's")
		}
	}
}

func mustCA(t *testing.T, dir string, now time.Time) *ca {
	t.Helper()
	c, err := openCA(filepath.Join(dir, "pki"), now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACutShortFirstStartIsContinued(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	open(t, dir, now)
	key := read(t, dir, "pki", "ca.key")
	for _, path := range []string{"ca.pem", "server-ecdsa.pem", "server-rsa.pem"} {
		if err := os.Remove(filepath.Join(dir, "pki", path)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, now)
	if read(t, dir, "pki", "ca.key") != key {
		t.Error("the key that was there is not used")
	}
}

// TestACAIsNeverReplaced: every device trusts it, so damage is for the operator.
func TestACAIsNeverReplaced(t *testing.T) {
	whole, now := t.TempDir(), time.Now()
	open(t, whole, now)
	other := t.TempDir()
	open(t, other, now)
	for _, tc := range []struct {
		name   string
		damage func(dir string) error
		at     time.Time
		want   string
	}{
		{"key lost", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, now, "ca.key"},
		{"key garbled", func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.key"), []byte("x"), 0o600) }, now, "no PEM private key"},
		{"certificate garbled", func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("x"), 0o600) }, now, "no PEM certificate"},
		{"another's key", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "ca.key"), []byte(read(t, other, "pki", "ca.key")), 0o600)
		}, now, "do not belong together"},
		{"ended", func(string) error { return nil }, now.Add(caLife + time.Hour), "ended on"},
		{"key is a folder", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "ca.key")), os.Mkdir(filepath.Join(dir, "ca.key"), 0o700))
		}, now, "ca.key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(filepath.Join(dir, "pki")); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Config{Dir: dir, Now: (&clock{tc.at}).Now})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// own writes a certificate of the operator's own, for a name and a time.
func own(t *testing.T, names []string, at time.Time) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	authority := mustCAIn(t, dir, at)
	signer, err := leafECDSA.newKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := authority.issue(signer, leafECDSA, names, at)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, _ := strings.Cut(string(text), "-----BEGIN PRIVATE")
	cert, key = filepath.Join(dir, "own.pem"), filepath.Join(dir, "own.key")
	if err := errors.Join(os.WriteFile(cert, []byte(certPEM), 0o600), os.WriteFile(key, []byte("-----BEGIN PRIVATE"+keyPEM), 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func mustCAIn(t *testing.T, dir string, now time.Time) *ca {
	t.Helper()
	c, err := openCA(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACertificateOfOnesOwn(t *testing.T) {
	now := time.Now()
	cert, key := own(t, []string{"hub.example.org"}, now)
	a, err := Open(Config{Dir: filepath.Join(t.TempDir(), "none"), Names: []string{"hub.localtest"}, Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if a.CAPath() != "" || (*a.certs.Load())[0].Leaf.DNSNames[0] != "hub.example.org" {
		t.Errorf("CA %q, certificate %v", a.CAPath(), (*a.certs.Load())[0].Leaf.DNSNames)
	}
	if missing := a.Missing([]string{"hub.localtest", "hub.example.org"}); !cmp.Equal(missing, []string{"hub.localtest"}) {
		t.Errorf("missing %v", missing)
	}
	newer, newerKey := own(t, []string{"new.example.org"}, now)
	if err := errors.Join(os.Rename(newer, cert), os.Rename(newerKey, key), a.Reload()); err != nil {
		t.Fatal(err)
	}
	if got := (*a.certs.Load())[0].Leaf.DNSNames[0]; got != "new.example.org" {
		t.Errorf("after Reload: %s", got)
	}
	if err := os.WriteFile(cert, []byte("damage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(); err == nil || (*a.certs.Load())[0].Leaf.DNSNames[0] != "new.example.org" {
		t.Errorf("a failed Reload must keep what there was: %v", err)
	}
}

func TestACertificateOfOnesOwnThatNobodyWouldAccept(t *testing.T) {
	now := time.Now()
	cert, key := own(t, []string{"hub.example.org"}, now)
	_, otherKey := own(t, []string{"hub.example.org"}, now)
	nameless, namelessKey := own(t, nil, now)
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, file.Most+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		c    Config
		want string
	}{
		{"no key named", Config{Cert: cert}, "both files"},
		{"no certificate named", Config{Key: key}, "both files"},
		{"no such file", Config{Cert: cert + "x", Key: key}, "certificate cannot be read"},
		{"no such key", Config{Cert: cert, Key: key + "x"}, "key cannot be read"},
		{"another's key", Config{Cert: cert, Key: otherKey}, "does not match"},
		{"the files the wrong way round", Config{Cert: key, Key: cert}, "certificate"},
		{"ended", Config{Cert: cert, Key: key, Now: (&clock{now.Add(leafLife)}).Now}, "ended on"},
		{"of the future", Config{Cert: cert, Key: key, Now: (&clock{now.Add(-2 * backdate)}).Now}, "begins only"},
		{"no names", Config{Cert: nameless, Key: namelessKey}, "subject alternative names"},
		{"huge", Config{Cert: big, Key: key}, "larger than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Open(tc.c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

func TestAFolderThatCannotBeWrittenIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: path}); err == nil || !strings.Contains(err.Error(), "certificate folder") {
		t.Errorf("got %v", err)
	}
}

func TestCommonNameFits(t *testing.T) {
	long := strings.Repeat("a", 65)
	if got := commonName([]string{long, "short"}); got != "short" {
		t.Errorf("got %s", got)
	}
	if got := commonName([]string{long}); got != "berth" {
		t.Errorf("got %s", got)
	}
}
