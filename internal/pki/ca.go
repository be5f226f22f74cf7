package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-iot/berth/internal/file"
)

// The types of the PEM blocks that are read and written.
const (
	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"
)

// ca is the private CA.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// openCA reads the CA of a folder, or makes it. The key is written first: a key
// without a certificate is a first start that was cut short, and is used; a
// certificate without its key is damage that only the operator can judge, because
// a new CA would be unknown to every device.
func openCA(dir string, now time.Time) (*ca, error) {
	certFile, keyFile := caFile(dir), filepath.Join(dir, "ca.key")
	keyPEM, keyErr := file.Read(keyFile)
	certPEM, certErr := file.Read(certFile)
	switch {
	case keyErr == nil && certErr == nil:
		return parseCA(certFile, certPEM, keyFile, keyPEM, now)
	case certErr == nil:
		return nil, fmt.Errorf("the private CA's key cannot be read: %w; put %s back, or delete %s to have a new CA made, which every device must then be given",
			keyErr, keyFile, certFile)
	case !errors.Is(certErr, os.ErrNotExist):
		return nil, fmt.Errorf("the private CA cannot be read: %w", certErr)
	case keyErr != nil && !errors.Is(keyErr, os.ErrNotExist):
		return nil, fmt.Errorf("the private CA's key cannot be read: %w", keyErr)
	}
	key, err := caKey(keyFile, keyPEM)
	if err != nil {
		return nil, err
	}
	return makeCA(certFile, key, now)
}

// caFile is where the CA's certificate stands.
func caFile(dir string) string { return filepath.Join(dir, "ca.pem") }

// parseCA reads a CA that is there.
func parseCA(certFile string, certPEM []byte, keyFile string, keyPEM []byte, now time.Time) (*ca, error) {
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if !samePublic(cert.PublicKey, key.Public()) {
		return nil, fmt.Errorf("%s and %s do not belong together", certFile, keyFile)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of a CA", certFile)
	}
	if now.After(cert.NotAfter) {
		return nil, fmt.Errorf("the private CA in %s ended on %s; delete %s and %s to have a new one made, which every device must then be given",
			certFile, cert.NotAfter.Format(time.DateOnly), certFile, keyFile)
	}
	return &ca{cert: cert, key: key}, nil
}

// caKey gives the key that a cut-short start left behind, or makes and writes one.
func caKey(keyFile string, keyPEM []byte) (crypto.Signer, error) {
	if keyPEM != nil {
		key, err := parseKey(keyPEM)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyFile, err)
		}
		return key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the private CA's key: %w", err)
	}
	b, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := file.Replace(keyFile, b, 0o600); err != nil {
		return nil, fmt.Errorf("write the private CA's key: %w", err)
	}
	return key, nil
}

// makeCA issues and writes the CA's certificate.
func makeCA(certFile string, key crypto.Signer, now time.Time) (*ca, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Berth private CA " + serial.Text(16)[:8], Organization: []string{"Berth"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs server certificates and nothing else
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the private CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the private CA: %w", err)
	}
	if err := file.Replace(certFile, encodeCert(der), 0o644); err != nil {
		return nil, fmt.Errorf("write the private CA: %w", err)
	}
	return &ca{cert: cert, key: key}, nil
}

// newSerial is a random certificate serial number of 127 bits, never 0 and always
// of full length.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("random serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: der})
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

// parseCert reads the first certificate of a PEM text.
func parseCert(text []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == pemCert {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("there is no PEM certificate in it")
}

// parseKey reads the PKCS 8 key of a PEM text.
func parseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemKey {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("its private key cannot be read")
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	return nil, errors.New("there is no PEM private key in it")
}

// samePublic reports whether two public keys are equal.
func samePublic(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}
