package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate is a certificate with its key, in memory and in PEM files.
type certificate struct {
	x509     *x509.Certificate
	key      *ecdsa.PrivateKey
	pair     tls.Certificate
	certFile string // leaf first, then what signed it
	keyFile  string
}

// sha1 and sha256 thumbprints, as Azure writes them.
func (c certificate) sha1() string {
	sum := sha1.Sum(c.x509.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (c certificate) sha256() string {
	sum := sha256.Sum256(c.x509.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// selfSigned makes a certificate that signs itself.
func selfSigned(t *testing.T, name string) certificate {
	t.Helper()
	return issue(t, name, nil, false, time.Now().Add(time.Hour))
}

// authority makes a certificate authority; parent nil makes a root.
func authority(t *testing.T, name string, parent *certificate) certificate {
	t.Helper()
	return issue(t, name, parent, true, time.Now().Add(time.Hour))
}

// leaf makes a client certificate signed by an authority.
func leaf(t *testing.T, name string, parent certificate) certificate {
	t.Helper()
	return issue(t, name, &parent, false, time.Now().Add(time.Hour))
}

func issue(t *testing.T, name string, parent *certificate, isCA bool, until time.Time) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: isCA,
	}
	if isCA {
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if parent == nil && !isCA {
		template.DNSNames = []string{name} // so that it can be a server's
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.x509, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate{key: key, pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
	if c.x509, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if parent != nil {
		c.pair.Certificate = append(c.pair.Certificate, parent.pair.Certificate...)
	}
	dir := t.TempDir()
	c.certFile, c.keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var chain []byte
	for _, der := range c.pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		c.certFile: chain, c.keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
