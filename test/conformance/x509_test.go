package conformance

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// x509Device makes a client of azure-iot-device that proves itself with a certificate.
func x509Device(t *testing.T, h *rig.Hub, id rig.Identity, transport string, c certificate) *puppet {
	t.Helper()
	p := newPuppet(t, h, "device")
	p.must("create", args{
		"connection": id.String(), "transport": transport, "ca": h.CAFile, "cert": c.certFile, "key": c.keyFile,
	}, nil)
	return p
}

// thumbprintDevice registers a device that is known by the thumbprints of certificates.
func thumbprintDevice(h *rig.Hub, id, primary, secondary string) rig.Identity {
	return h.Put(rig.Identity{DeviceID: id, Authentication: rig.Authentication{
		Type: "selfSigned", X509Thumbprint: &rig.X509Thumbprint{PrimaryThumbprint: primary, SecondaryThumbprint: secondary},
	}}, "")
}

// authMethods gives the auth-method of each message in the log, by body.
func authMethods(h *rig.Hub) map[string]string {
	got := map[string]string{}
	for _, e := range h.Events() {
		got[e.Text()] = e.System["iothub-connection-auth-method"]
	}
	return got
}

const x509Method = `{"scope":"device","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}`

// TestSDKThumbprint connects the SDK with self-signed certificates, over both
// transports, by SHA-1 and SHA-256 thumbprint, in either slot.
func TestSDKThumbprint(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	first, second, third := selfSigned(t, "dev1"), selfSigned(t, "any name"), selfSigned(t, "dev1")
	byHash := thumbprintDevice(h, "dev1", first.sha1(), second.sha1())
	bySHA256 := thumbprintDevice(h, "dev2", first.sha256(), second.sha256())

	want := map[string]string{}
	for _, c := range []struct {
		body, transport string
		id              rig.Identity
		cert            certificate
	}{
		{"sha1 primary over TCP", overTCP, byHash, first},
		{"sha1 secondary over WS", overWS, byHash, second},
		{"sha256 primary over WS", overWS, bySHA256, first},
		{"sha256 secondary over TCP", overTCP, bySHA256, second},
	} {
		p := x509Device(t, h, c.id, c.transport, c.cert)
		p.must("open", nil, nil)
		send(t, p, c.body)
		want[c.body] = x509Method
	}
	if err := x509Device(t, h, byHash, overTCP, third).try("open", nil, nil); err == nil {
		t.Error("a certificate that nobody registered was let in")
	}
	if diff := cmp.Diff(want, authMethods(h)); diff != "" {
		t.Errorf("auth methods by message (-want +got):\n%s", diff)
	}
}

// TestSDKAuthority connects the SDK with certificates that a registered authority
// signed: the root, or an intermediate whose root nobody knows.
func TestSDKAuthority(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	root := authority(t, "Plant Root", nil)
	line := authority(t, "Line 3", &root)
	otherRoot := authority(t, "Other Root", nil)
	otherLine := authority(t, "Other Line", &otherRoot)
	h.Berth("ca", "add", "plant", root.certFile, "--trusted").Must()
	// As Azure asks: a certificate signed by the authority, with the hub's code as its name.
	h.Berth("ca", "add", "other", otherLine.certFile).Must()
	code := h.Berth("ca", "code", "other").Must().Line()
	if r := h.Berth("ca", "verify", "other", leaf(t, code, root).certFile); r.ExitCode == 0 {
		t.Error("an authority was verified by another's signature")
	}
	dev3 := h.Put(rig.Identity{DeviceID: "dev3", Authentication: rig.Authentication{Type: "certificateAuthority"}}, "")
	if got, _ := h.Dial(t, leaf(t, "dev3", otherLine).pair).Greet(dev3.Hello()); got != 5 {
		t.Errorf("before the authority was verified: CONNACK %d, want 5", got)
	}
	h.Berth("ca", "verify", "other", leaf(t, code, otherLine).certFile).Must()

	ca := rig.Authentication{Type: "certificateAuthority"}
	dev1 := h.Put(rig.Identity{DeviceID: "dev1", Authentication: ca}, "")
	dev2 := h.Put(rig.Identity{DeviceID: "dev2", Authentication: ca}, "")

	want := map[string]string{}
	for _, c := range []struct {
		body, transport string
		id              rig.Identity
		cert            certificate
	}{
		{"root over TCP", overTCP, dev1, leaf(t, "dev1", root)},
		{"root over WS", overWS, dev1, leaf(t, "dev1", root)},
		{"intermediate of a known root", overTCP, dev2, leaf(t, "dev2", line)},
		{"known intermediate", overWS, dev3, leaf(t, "dev3", otherLine)},
	} {
		p := x509Device(t, h, c.id, c.transport, c.cert)
		p.must("open", nil, nil)
		send(t, p, c.body)
		want[c.body] = x509Method
	}
	if diff := cmp.Diff(want, authMethods(h)); diff != "" {
		t.Errorf("auth methods by message (-want +got):\n%s", diff)
	}

	stray := authority(t, "Stray Root", nil)
	for _, c := range []struct {
		why  string
		hi   rig.Hello
		cert certificate
	}{
		{"another device's name", dev1.Hello(), leaf(t, "dev2", root)},
		{"an authority nobody registered", dev1.Hello(), leaf(t, "dev1", stray)},
		{"the unknown root of a known intermediate", dev3.Hello(), leaf(t, "dev3", otherRoot)},
		{"expired", dev1.Hello(), issue(t, "dev1", &root, false, time.Now().Add(-time.Hour))},
		{"self-signed", dev1.Hello(), selfSigned(t, "dev1")},
	} {
		if code, _ := h.Dial(t, c.cert.pair).Greet(c.hi); code != 5 {
			t.Errorf("%s: CONNACK %d, want 5", c.why, code)
		}
	}
}

// TestCertificateAndTokenRules are the rules of X.509 identities that no SDK can break
// by itself.
func TestCertificateAndTokenRules(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	cert := selfSigned(t, "dev1")
	x := thumbprintDevice(h, "x1", cert.sha256(), "")
	sas := h.AddDevice("s1")
	withPassword := x.Hello()
	withPassword.Password = rig.Token(x.Resource(), sas.Key(), "")
	noPassword := sas.Hello()
	noPassword.Password = ""

	for _, c := range []struct {
		name  string
		hello rig.Hello
		certs []tls.Certificate
		want  byte
	}{
		{"certificate", x.Hello(), []tls.Certificate{cert.pair}, 0},
		{"certificate device without certificate", x.Hello(), nil, 5},
		{"certificate device with a password", withPassword, nil, 5},
		{"sas device with only a certificate", noPassword, []tls.Certificate{cert.pair}, 5},
		{"sas device with neither", noPassword, nil, 5},
		{"sas device with a token and an unrelated certificate", sas.Hello(), []tls.Certificate{cert.pair}, 0},
	} {
		if code, _ := h.Dial(t, c.certs...).Greet(c.hello); code != c.want {
			t.Errorf("%s: CONNACK %d, want %d", c.name, code, c.want)
		}
	}
}
