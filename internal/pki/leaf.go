package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/file"
)

// A leafKind is one of the two server certificates: the hub offers both, and each
// handshake takes what the client can do.
type leafKind string

// The kinds, in the order they are offered.
const (
	leafECDSA leafKind = "ecdsa" // P-256
	leafRSA   leafKind = "rsa"   // 2048 bits, for old clients
)

// openLeaf reads a server certificate, or issues it: if it is missing or damaged,
// another CA's, for other names, or near its end.
func (c *ca) openLeaf(dir string, kind leafKind, names []string, now time.Time) (tls.Certificate, error) {
	path := filepath.Join(dir, "server-"+string(kind)+".pem") // key and certificate together: written as one
	if text, err := file.Read(path); err == nil {
		if pair, err := tls.X509KeyPair(text, text); err == nil && c.serves(pair.Leaf, kind, names, now) {
			return pair, nil
		}
	}
	key, err := kind.newKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's %s key: %w", kind, err)
	}
	text, err := c.issue(key, kind, names, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := file.Replace(path, text, 0o600); err != nil {
		return tls.Certificate{}, fmt.Errorf("write the server certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server certificate just made: %w", err)
	}
	return pair, nil
}

// newKey makes a key of the kind.
func (k leafKind) newKey() (crypto.Signer, error) {
	if k == leafRSA {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// serves reports whether a certificate may go on being used.
func (c *ca) serves(leaf *x509.Certificate, kind leafKind, names []string, now time.Time) bool {
	want := x509.ECDSA
	if kind == leafRSA {
		want = x509.RSA
	}
	return leaf.PublicKeyAlgorithm == want &&
		leaf.CheckSignatureFrom(c.cert) == nil &&
		!now.Before(leaf.NotBefore) &&
		(now.Add(leafRenew).Before(leaf.NotAfter) || leaf.NotAfter.Equal(c.cert.NotAfter)) &&
		slices.Equal(certNames(leaf), canonicalNames(names))
}

// issue signs a server certificate and gives it in PEM, its key behind it.
func (c *ca) issue(key crypto.Signer, kind leafKind, names []string, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName(names)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              earlier(now.Add(leafLife), c.cert.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if kind == leafRSA {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	for _, name := range canonicalNames(names) {
		if addr, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("make the server certificate for %s: %w", strings.Join(names, ", "), err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return append(encodeCert(der), keyPEM...), nil
}

// maxCommonName is the longest common name, in bytes (X.520); clients look at the
// alternative names, so it matters to people alone.
const maxCommonName = 64

// commonName is the first name that fits.
func commonName(names []string) string {
	for _, name := range names {
		if len(name) <= maxCommonName {
			return name
		}
	}
	return "berth"
}

// certNames gives a certificate's names as canonicalNames writes them.
func certNames(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return canonicalNames(names)
}

// canonicalNames sorts names and addresses, in lower case, each once.
func canonicalNames(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		name = strings.ToLower(name)
		if addr, err := netip.ParseAddr(name); err == nil {
			name = addr.Unmap().WithZone("").String()
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
