package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// issued is a certificate and its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (i issued) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

// issue makes a certificate signed by parent, or by itself if that has no key.
func issue(tb testing.TB, template *x509.Certificate, parent issued) issued {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		tb.Fatal(err)
	}
	signer, by := template, key
	if parent.key != nil {
		signer, by = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, by)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return issued{cert, key}
}

func selfSigned(tb testing.TB, name string, from, to time.Time) issued {
	tb.Helper()
	return issue(tb, &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to}, issued{})
}

func authority(tb testing.TB, name string, from, to time.Time, parent issued) issued {
	tb.Helper()
	return issue(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, parent)
}

func leaf(tb testing.TB, name string, from, to time.Time, parent issued) issued {
	tb.Helper()
	return issue(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
	}, parent)
}

// certs is the credential of a client that sends these certificates, leaf first.
func certs(chain ...issued) device.Credential {
	var c device.Credential
	for _, i := range chain {
		c.Certificates = append(c.Certificates, i.cert)
	}
	return c
}

func sha1Of(i issued) string {
	sum := sha1.Sum(i.cert.Raw)
	return hex.EncodeToString(sum[:])
}

func sha256Of(i issued) string {
	sum := sha256.Sum256(i.cert.Raw)
	return hex.EncodeToString(sum[:])
}

func thumbprints(primary, secondary string) *iot.Authentication {
	return &iot.Authentication{Type: iot.AuthenticationSelfSigned, X509Thumbprint: &iot.X509Thumbprint{
		PrimaryThumbprint: iot.NullString(primary), SecondaryThumbprint: iot.NullString(secondary),
	}}
}

func TestSelfSignedCertificateByThumbprint(t *testing.T) {
	f := newFixture(t)
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	a, b := selfSigned(t, "anything", from, to), selfSigned(t, "at all", from, to)
	stranger := selfSigned(t, "anything", from, to)
	old := selfSigned(t, "old", from, testStart.Add(-time.Second))
	early := selfSigned(t, "early", testStart.Add(time.Minute), to)
	f.device(t, "sha256", thumbprints(strings.ToUpper(sha256Of(a)), sha256Of(b)))
	f.device(t, "sha1", thumbprints(sha1Of(a), ""))
	f.device(t, "second", thumbprints("", strings.ToUpper(sha1Of(b))))
	f.device(t, "old", thumbprints(sha1Of(old), sha1Of(early)))
	f.module(t, iot.Identity{Device: "sha1", Module: "m"}, thumbprints(sha256Of(b), ""))
	f.device(t, "sas", sasKeys(testKey(11), testKey(12)))
	f.device(t, "none", &iot.Authentication{Type: iot.AuthenticationNone})
	password := certs(a)
	password.SAS = signed(testHost, testKey(11), to, "")
	unrelated := password

	for _, tc := range []struct {
		name   string
		id     iot.Identity
		cred   device.Credential
		want   fault.Code
		detail string
		slot   string
	}{
		{"SHA-256, primary", iot.Identity{Device: "sha256"}, certs(a), 0, "", "primary"},
		{"SHA-256, secondary", iot.Identity{Device: "sha256"}, certs(b), 0, "", "secondary"},
		{"SHA-1", iot.Identity{Device: "sha1"}, certs(a), 0, "", "primary"},
		{"SHA-1, secondary alone", iot.Identity{Device: "second"}, certs(b), 0, "", "secondary"},
		{"module", iot.Identity{Device: "sha1", Module: "m"}, certs(b), 0, "", "primary"},
		{"device's certificate for its module", iot.Identity{Device: "sha1", Module: "m"}, certs(a), fault.IotHubUnauthorized, "not one registered for module 'm'", ""},
		{"another certificate", iot.Identity{Device: "sha256"}, certs(stranger), fault.IotHubUnauthorized, "thumbprint is not one registered for device 'sha256'", ""},
		{"behind another leaf", iot.Identity{Device: "sha256"}, certs(stranger, a), fault.IotHubUnauthorized, "thumbprint", ""},
		{"expired", iot.Identity{Device: "old"}, certs(old), fault.IotHubUnauthorized, "expired at 2026-01-02T03:04:04Z", ""},
		{"not valid yet", iot.Identity{Device: "old"}, certs(early), fault.IotHubUnauthorized, "not valid before 2026-01-02T03:05:05Z", ""},
		{"none sent", iot.Identity{Device: "sha256"}, device.Credential{}, fault.IotHubUnauthorized, "no client certificate was sent", ""},
		{"with a password", iot.Identity{Device: "sha256"}, password, fault.IotHubUnauthorized, "must not send a token", ""},
		{"sas device with nothing else", iot.Identity{Device: "sas"}, certs(a), fault.IotHubUnauthorized, "only a certificate was sent", ""},
		{"sas device with an unrelated certificate", iot.Identity{Device: "sas"}, unrelated, 0, "", "primary"},
		{"type none", iot.Identity{Device: "none"}, certs(a), fault.IotHubUnauthorized, "type none", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proof, err := f.Authenticate(t.Context(), tc.id, testHost, tc.cred)
			wantCode(t, err, tc.want)
			if err != nil {
				wantDetail(t, err, tc.detail)
				return
			}
			if proof.Slot != tc.slot {
				t.Errorf("slot %q, want %q", proof.Slot, tc.slot)
			}
			if tc.cred.SAS != "" {
				if proof.Stamp.Auth != iot.AuthSAS || proof.Thumbprint != "" {
					t.Errorf("got %+v, want the token's proof", proof)
				}
				return
			}
			want := device.Proof{
				Stamp: iot.Stamp{Identity: tc.id, Generation: proof.Stamp.Generation, Scope: ownScope(tc.id), Auth: iot.AuthX509Thumbprint},
				Slot:  tc.slot, Thumbprint: strings.ToUpper(sha256Of(issued{cert: tc.cred.Certificates[0]})),
			}
			if diff := cmp.Diff(want, proof); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCertificateSignedByARegisteredAuthority(t *testing.T) {
	f := newFixture(t)
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	root := authority(t, "root", from, to, issued{})
	middle := authority(t, "middle", from, to, root)
	lapsed := authority(t, "lapsed", from, testStart.Add(-time.Second), root)
	foreign := authority(t, "foreign", from, to, issued{})
	anchor := authority(t, "anchor", from, to, foreign) // an intermediate is registered, its root is not
	pending := authority(t, "pending", from, to, issued{})
	for name, ca := range map[string]issued{"root": root, "anchor": anchor} {
		if _, err := f.PutCA(t.Context(), name, ca.pem(), true, iot.Match{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.PutCA(t.Context(), "pending", pending.pem(), false, iot.Match{}); err != nil {
		t.Fatal(err)
	}
	ca := &iot.Authentication{Type: iot.AuthenticationCA}
	dev, mod := iot.Identity{Device: "d"}, iot.Identity{Device: "d", Module: "m"}
	f.device(t, "d", ca)
	f.module(t, mod, ca)
	impostor := leaf(t, "d", from, to, leaf(t, "other", from, to, root)) // signed by a leaf
	elsewhere := issue(t, &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"d"}, OrganizationalUnit: []string{"d"}, SerialNumber: "d"}, DNSNames: []string{"d"}, NotBefore: from, NotAfter: to,
	}, root)
	twice := issue(t, &x509.Certificate{
		Subject:   pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidCommonName(), Value: "e"}, {Type: oidCommonName(), Value: "d"}}},
		NotBefore: from, NotAfter: to,
	}, root)
	long := certs(leaf(t, "d", from, to, root))
	for range maxChain {
		long.Certificates = append(long.Certificates, middle.cert)
	}

	for _, tc := range []struct {
		name   string
		id     iot.Identity
		cred   device.Credential
		want   fault.Code
		detail string
	}{
		{"under the root", dev, certs(leaf(t, "d", from, to, root)), 0, ""},
		{"with the root sent too", dev, certs(leaf(t, "d", from, to, root), root), 0, ""},
		{"under an intermediate that is sent", dev, certs(leaf(t, "d", from, to, middle), middle), 0, ""},
		{"under a registered intermediate", dev, certs(leaf(t, "d", from, to, anchor)), 0, ""},
		{"module", mod, certs(leaf(t, "d/m", from, to, root)), 0, ""},
		{"intermediate not sent", dev, certs(leaf(t, "d", from, to, middle)), fault.IotHubUnauthorized, "must send its intermediates"},
		{"unknown authority", dev, certs(leaf(t, "d", from, to, foreign), foreign), fault.IotHubUnauthorized, "does not end at a registered"},
		{"authority not verified", dev, certs(leaf(t, "d", from, to, pending), pending), fault.IotHubUnauthorized, "does not end at a registered"},
		{"signed by a device", dev, certs(impostor), fault.IotHubUnauthorized, "chain"},
		{"another device's name", dev, certs(leaf(t, "e", from, to, root)), fault.IotHubUnauthorized, "common name is 'e', not 'd'"},
		{"letter case", dev, certs(leaf(t, "D", from, to, root)), fault.IotHubUnauthorized, "common name"},
		{"device's certificate for its module", mod, certs(leaf(t, "d", from, to, root)), fault.IotHubUnauthorized, "not 'd/m'"},
		{"module's certificate for its device", dev, certs(leaf(t, "d/m", from, to, root)), fault.IotHubUnauthorized, "common name"},
		{"NUL behind the name", dev, certs(leaf(t, "d\x00.example", from, to, root)), fault.IotHubUnauthorized, "common name"},
		{"space around the name", dev, certs(leaf(t, " d ", from, to, root)), fault.IotHubUnauthorized, "common name"},
		{"the name elsewhere", dev, certs(elsewhere), fault.IotHubUnauthorized, "common name is '', not 'd'"},
		{"two names, its own last", dev, certs(twice), fault.IotHubUnauthorized, "2 common names"},
		{"two names in one", dev, certs(leaf(t, "e,CN=d", from, to, root)), fault.IotHubUnauthorized, "common name"},
		{"a name that would garble a log", dev, certs(leaf(t, "d\n\x1b[2J", from, to, root)), fault.IotHubUnauthorized, "'d??[2J'"},
		{"expired leaf", dev, certs(leaf(t, "d", from, testStart.Add(-time.Minute), root)), fault.IotHubUnauthorized, "the certificate expired at"},
		{"leaf not valid yet", dev, certs(leaf(t, "d", testStart.Add(time.Minute), to, root)), fault.IotHubUnauthorized, "not valid before"},
		{"expired intermediate", dev, certs(leaf(t, "d", from, to, lapsed), lapsed), fault.IotHubUnauthorized, "of the chain has expired"},
		{"chain too long", dev, long, fault.IotHubUnauthorized, "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proof, err := f.Authenticate(t.Context(), tc.id, testHost, tc.cred)
			wantCode(t, err, tc.want)
			if err != nil {
				wantDetail(t, err, tc.detail)
				return
			}
			want := device.Proof{
				Stamp:      iot.Stamp{Identity: tc.id, Generation: proof.Stamp.Generation, Scope: ownScope(tc.id), Auth: iot.AuthX509Certificate},
				Thumbprint: strings.ToUpper(sha256Of(issued{cert: tc.cred.Certificates[0]})),
				Authority:  "root",
			}
			if tc.name == "under a registered intermediate" {
				want.Authority = "anchor"
			}
			if diff := cmp.Diff(want, proof); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoAuthorityNoChain(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", &iot.Authentication{Type: iot.AuthenticationCA})
	_, err := f.Authenticate(t.Context(), iot.Identity{Device: "d"}, testHost, certs(selfSigned(t, "d", testStart, testStart.Add(time.Hour))))
	wantCode(t, err, fault.IotHubUnauthorized)
	wantDetail(t, err, "no certificate authority is registered")
}
