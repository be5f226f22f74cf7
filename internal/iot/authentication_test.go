package iot

import (
	"bytes"
	"strings"
	"testing"
)

func TestAuthenticationCheckAndKind(t *testing.T) {
	key := NullString(FormatKey(make([]byte, KeySize)))
	sha1, sha256 := NullString(strings.Repeat("aB", 20)), NullString(strings.Repeat("0f", 32))
	keys := func(p, s NullString) *SymmetricKey { return &SymmetricKey{PrimaryKey: p, SecondaryKey: s} }
	prints := func(p, s NullString) *X509Thumbprint {
		return &X509Thumbprint{PrimaryThumbprint: p, SecondaryThumbprint: s}
	}
	for _, tc := range []struct {
		name string
		a    *Authentication
		kind AuthenticationType
		ok   bool
	}{
		{"nothing", nil, AuthenticationSAS, true},
		{"empty", &Authentication{}, AuthenticationSAS, true},
		{"two keys", &Authentication{SymmetricKey: keys(key, key)}, AuthenticationSAS, true},
		{"short key", &Authentication{SymmetricKey: keys("AAAA", key)}, AuthenticationSAS, false},
		{"no base64", &Authentication{SymmetricKey: keys(key, "%%%%")}, AuthenticationSAS, false},
		{"thumbprint", &Authentication{X509Thumbprint: prints(sha1, "")}, AuthenticationSelfSigned, true},
		{"secondary only", &Authentication{X509Thumbprint: prints("", sha256)}, AuthenticationSelfSigned, true},
		{"hashes of two kinds", &Authentication{X509Thumbprint: prints(sha1, sha256)}, AuthenticationSelfSigned, false},
		{"no hash", &Authentication{X509Thumbprint: prints("xyz", "")}, AuthenticationSelfSigned, false},
		{"self-signed without", &Authentication{Type: AuthenticationSelfSigned}, AuthenticationSelfSigned, false},
		{"keys and thumbprint", &Authentication{SymmetricKey: keys(key, ""), X509Thumbprint: prints(sha1, "")}, AuthenticationSelfSigned, false},
		{"CA", &Authentication{Type: AuthenticationCA}, AuthenticationCA, true},
		{"none", &Authentication{Type: AuthenticationNone}, AuthenticationNone, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.a.Check()
			if (err == nil) != tc.ok {
				t.Errorf("Check: %v, want ok %v", err, tc.ok)
			}
			if got := tc.a.Kind(); got != tc.kind {
				t.Errorf("Kind: %s, want %s", got, tc.kind)
			}
		})
	}
}

func TestParseKeyBoundsAndSecrecy(t *testing.T) {
	for size, ok := range map[int]bool{0: false, 15: false, 16: true, 32: true, 64: true, 65: false, 5000: false} {
		key := bytes.Repeat([]byte{0xfb}, size)
		got, err := ParseKey(FormatKey(key))
		if (err == nil) != ok || ok && !bytes.Equal(got, key) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for _, text := range []string{"c2VjcmV0c2VjcmV0c2VjcmV0", "c2VjcmV0c2VjcmV0c2VjcmV0!", "not base64 at all, a secret"} {
		if _, err := ParseKey(text); err != nil && strings.Contains(err.Error(), "cmV0") {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
	if _, err := ParseKey("AAAAAAAAAAAAAAAAAAAAAA"); err == nil {
		t.Error("a key without padding is taken")
	}
}
