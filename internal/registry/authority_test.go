package registry

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func TestAuthorityProvesThatItsKeyIsHeld(t *testing.T) {
	f := newFixture(t)
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	root, other := authority(t, "root", from, to, issued{}), authority(t, "other", from, to, issued{})
	f.device(t, "d", &iot.Authentication{Type: iot.AuthenticationCA})
	dev, cred := iot.Identity{Device: "d"}, certs(leaf(t, "d", from, to, root))

	ca, err := f.PutCA(t.Context(), "plant", root.pem(), false, iot.Match{})
	wantCode(t, err, 0)
	first := ca.VerificationCode
	want := iot.Authority{
		Name: "plant", Subject: "CN=root", Thumbprint: strings.ToUpper(sha256Of(root)),
		NotBefore: iot.TimeOf(root.cert.NotBefore), NotAfter: iot.TimeOf(root.cert.NotAfter),
		Created: iot.TimeOf(testStart), Updated: iot.TimeOf(testStart),
		VerificationCode: first, Certificate: string(root.pem()), ETag: ca.ETag,
	}
	if diff := cmp.Diff(want, ca); diff != "" || len(first) != 48 || strings.ToUpper(first) != first || ca.ETag == "" {
		t.Errorf("code %q: %s", first, diff)
	}
	_, err = f.Authenticate(t.Context(), dev, testHost, cred)
	wantCode(t, err, fault.IotHubUnauthorized)

	ca, err = f.NewVerificationCode(t.Context(), "plant")
	wantCode(t, err, 0)
	if ca.VerificationCode == first || ca.IsVerified {
		t.Errorf("got %+v", ca)
	}
	code := ca.VerificationCode
	twice := issue(t, &x509.Certificate{
		Subject:   pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidCommonName(), Value: "d"}, {Type: oidCommonName(), Value: code}}},
		NotBefore: from, NotAfter: to,
	}, root)
	for name, tc := range map[string]struct {
		proof  issued
		detail string
	}{
		"the code before":      {leaf(t, first, from, to, root), "is not the verification code"},
		"no code":              {leaf(t, "d", from, to, root), "is not the verification code"},
		"another authority":    {leaf(t, code, from, to, other), "is not signed by certificate authority 'plant'"},
		"signed by itself":     {selfSigned(t, code, from, to), "is not signed by"},
		"expired":              {leaf(t, code, from, testStart.Add(-time.Minute), root), "expired at"},
		"two names":            {twice, "2 common names"},
		"the authority itself": {root, "is not the verification code"},
	} {
		_, err := f.VerifyCA(t.Context(), "plant", tc.proof.pem())
		if fault.Of(err) != fault.ArgumentInvalid || !strings.Contains(fault.Detail(err), tc.detail) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err = f.VerifyCA(t.Context(), "plant", []byte("rubbish"))
	wantCode(t, err, fault.ArgumentInvalid)
	_, err = f.Authenticate(t.Context(), dev, testHost, cred)
	wantCode(t, err, fault.IotHubUnauthorized)

	proof := leaf(t, code, from, to, root)
	ca, err = f.VerifyCA(t.Context(), "plant", proof.pem())
	wantCode(t, err, 0)
	if !ca.IsVerified || ca.VerificationCode != "" {
		t.Errorf("got %+v", ca)
	}
	_, err = f.Authenticate(t.Context(), dev, testHost, cred)
	wantCode(t, err, 0)
	_, err = f.VerifyCA(t.Context(), "plant", proof.pem()) // a code counts once
	wantCode(t, err, fault.InvalidOperation)

	// After a restart it is still there.
	f = newFixtureOn(t, f.engine)
	_, err = f.Authenticate(t.Context(), dev, testHost, cred)
	wantCode(t, err, 0)
}

func TestRemovedAuthorityIsToldAndCountsNoMore(t *testing.T) {
	f := newFixture(t)
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	root, next := authority(t, "root", from, to, issued{}), authority(t, "next", from, to, issued{})
	f.device(t, "d", &iot.Authentication{Type: iot.AuthenticationCA})
	dev, cred := iot.Identity{Device: "d"}, certs(leaf(t, "d", from, to, root))
	var told []string
	f.WatchCAs(func(name string) {
		if _, err := f.Authenticate(t.Context(), dev, testHost, cred); fault.Of(err) != fault.IotHubUnauthorized {
			t.Errorf("%s is told of before it counts no more: %v", name, err)
		}
		told = append(told, name)
	})
	put := func(name string, ca issued, verified bool, m iot.Match) iot.Authority {
		a, err := f.PutCA(t.Context(), name, ca.pem(), verified, m)
		wantCode(t, err, 0)
		return a
	}
	put("a", root, true, iot.Match{})
	_, err := f.Authenticate(t.Context(), dev, testHost, cred)
	wantCode(t, err, 0)
	wantCode(t, f.DeleteCA(t.Context(), "a", matchETag("MQ==")), fault.PreconditionFailed)
	wantCode(t, f.DeleteCA(t.Context(), "a", iot.Match{}), 0)
	wantCode(t, f.DeleteCA(t.Context(), "a", iot.Match{}), fault.CertificateNotFound)

	put("pending", root, false, iot.Match{})
	wantCode(t, f.DeleteCA(t.Context(), "pending", matchAny), 0) // nothing was built on it

	a := put("b", root, true, iot.Match{})
	same := put("b", root, false, matchETag(a.ETag)) // the same certificate keeps its proof
	if !same.IsVerified || same.VerificationCode != "" || same.ETag == a.ETag {
		t.Errorf("got %+v", same)
	}
	replaced := put("b", next, false, matchAny)
	if replaced.IsVerified || replaced.VerificationCode == "" {
		t.Errorf("another certificate inherits the proof: %+v", replaced)
	}
	if diff := cmp.Diff([]string{"a", "b"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestAuthoritiesAreChecked(t *testing.T) {
	f := newFixture(t)
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	root := authority(t, "root", from, to, issued{})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})
	ca, err := f.PutCA(t.Context(), "root", []byte(base64.StdEncoding.EncodeToString(root.cert.Raw)), true, iot.Match{})
	wantCode(t, err, 0)
	if !ca.IsVerified || ca.VerificationCode != "" {
		t.Errorf("got %+v", ca)
	}
	for _, tc := range []struct {
		name, ca string
		cert     []byte
		match    iot.Match
		want     fault.Code
	}{
		{"bad name", "a b", root.pem(), iot.Match{}, fault.ArgumentInvalid},
		{"no name", "", root.pem(), iot.Match{}, fault.ArgumentInvalid},
		{"rubbish", "x", []byte("rubbish"), iot.Match{}, fault.ArgumentInvalid},
		{"nothing", "x", nil, iot.Match{}, fault.ArgumentInvalid},
		{"a key", "x", keyPEM, iot.Match{}, fault.ArgumentInvalid},
		{"too long", "x", make([]byte, maxCertificate+1), iot.Match{}, fault.ArgumentInvalid},
		{"no authority", "x", leaf(t, "d", from, to, root).pem(), iot.Match{}, fault.ArgumentInvalid},
		{"expired", "x", authority(t, "old", from, testStart.Add(-time.Minute), issued{}).pem(), iot.Match{}, fault.ArgumentInvalid},
		{"name taken", "root", authority(t, "x", from, to, issued{}).pem(), iot.Match{}, fault.GenericConflict},
		{"certificate taken", "x", root.pem(), iot.Match{}, fault.GenericConflict},
		{"update of none", "x", authority(t, "x", from, to, issued{}).pem(), matchAny, fault.CertificateNotFound},
		{"stale etag", "root", root.pem(), matchETag("MQ=="), fault.PreconditionFailed},
	} {
		_, err := f.PutCA(t.Context(), tc.ca, tc.cert, true, tc.match)
		if fault.Of(err) != tc.want || err == nil {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
	got, err := f.ListCAs(t.Context())
	wantCode(t, err, 0)
	if diff := cmp.Diff([]iot.Authority{ca}, got); diff != "" {
		t.Error(diff)
	}
	_, err = f.NewVerificationCode(t.Context(), "x")
	wantCode(t, err, fault.CertificateNotFound)
	_, err = f.VerifyCA(t.Context(), "x", root.pem())
	wantCode(t, err, fault.CertificateNotFound)
}

func TestAtMostTwentyFiveAuthoritiesAlsoInARace(t *testing.T) {
	f := newFixture(t)
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	const n = iot.MaxAuthorities + 5
	cas := make([][]byte, n)
	for i := range cas {
		cas[i] = authority(t, fmt.Sprint("ca", i), from, to, issued{}).pem()
	}
	got := race(n, func(i int) error {
		_, err := f.PutCA(context.Background(), fmt.Sprintf("ca%02d", i), cas[i], true, iot.Match{})
		return err
	})
	if diff := cmp.Diff(map[fault.Code]int{0: iot.MaxAuthorities, fault.InvalidOperation: 5}, got); diff != "" {
		t.Error(diff)
	}
	list, err := f.ListCAs(t.Context())
	wantCode(t, err, 0)
	for i := 1; i < len(list); i++ {
		if list[i-1].Name >= list[i].Name {
			t.Errorf("%s stands before %s", list[i-1].Name, list[i].Name)
		}
	}
	if got := f.anchors.Load().verified; len(list) != iot.MaxAuthorities || got != iot.MaxAuthorities {
		t.Errorf("%d listed, %d count", len(list), got)
	}
}

func TestLateReaderDoesNotBringAnAuthorityBack(t *testing.T) {
	f := newFixture(t)
	ca, err := f.PutCA(t.Context(), "a", authority(t, "a", testStart, testStart.Add(time.Hour), issued{}).pem(), true, iot.Match{})
	wantCode(t, err, 0)
	_, rev, err := f.readAuthorities(t.Context())
	wantCode(t, err, 0)
	wantCode(t, f.DeleteCA(t.Context(), "a", matchAny), 0)
	if err := f.setAnchors([]iot.Authority{ca}, rev); err != nil {
		t.Fatal(err)
	}
	if n := f.anchors.Load().verified; n != 0 {
		t.Errorf("%d authorities count after the last was removed", n)
	}
}
