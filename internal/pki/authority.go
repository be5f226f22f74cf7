package pki

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/file"
)

// Config says where the certificates are and whom they are for.
type Config struct {
	Dir   string           // the data folder; certificates go into its folder "pki"
	Names []string         // the host names and addresses clients dial (iot.Hosts.Certified)
	Cert  string           // PEM file of the operator's own certificate chain; empty: the private CA's
	Key   string           // PEM file of its private key
	Now   func() time.Time // the clock; nil: time.Now
}

// Authority holds the certificates that the hub's listeners show.
type Authority struct {
	// fixed

	config Config

	// shared

	certs atomic.Pointer[[]tls.Certificate] // never empty; the one to offer first is first

	// guarded by mu

	mu   sync.Mutex // one Reload at a time
	seen [sha256.Size]byte
}

// Open reads the certificates, making those of the private CA that are missing or
// no longer fit. Making an RSA key takes up to a second, once.
func Open(c Config) (*Authority, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("a certificate of one's own needs both files: certificate and key")
	}
	a := &Authority{config: c}
	a.Changed() // before they are read, so that a change meanwhile is noticed later
	if err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload reads the certificates again, so that new handshakes use what stands in
// the files now; the private CA's server certificates are issued anew when they near
// their end (call it daily). On an error the hub goes on with what it has.
func (a *Authority) Reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	load := a.loadPrivate
	if a.config.Cert != "" {
		load = a.loadOwn
	}
	certs, err := load()
	if err != nil {
		return err
	}
	a.certs.Store(&certs)
	return nil
}

// Changed reports whether the files of the operator's own certificate hold something else
// than when it was last asked, or can no longer be read: then Reload is due. It reads both.
// Without a certificate of one's own nothing ever changes.
func (a *Authority) Changed() bool {
	if a.config.Cert == "" {
		return false
	}
	h := sha256.New()
	for _, name := range []string{a.config.Cert, a.config.Key} {
		text, err := file.Read(name)
		_, _ = fmt.Fprintf(h, "%d %t ", len(text), err == nil) // a hash takes everything
		h.Write(text)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.seen
	h.Sum(a.seen[:0])
	return a.seen != was
}

// CAPath is the file that clients need in order to trust the hub; empty with a
// certificate of one's own, whose CA the hub does not know.
func (a *Authority) CAPath() string {
	if a.config.Cert != "" {
		return ""
	}
	return CAPath(a.config.Dir)
}

// CAPath is where the private CA's certificate stands in a data folder.
func CAPath(dir string) string { return caFile(filepath.Join(dir, "pki")) }

// loadPrivate opens the private CA and its two server certificates.
func (a *Authority) loadPrivate() ([]tls.Certificate, error) {
	dir := filepath.Join(a.config.Dir, "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the certificate folder: %w", err)
	}
	now := a.config.Now()
	authority, err := openCA(dir, now)
	if err != nil {
		return nil, err
	}
	names := serverNames(a.config.Names)
	var certs []tls.Certificate
	for _, kind := range []leafKind{leafECDSA, leafRSA} {
		cert, err := authority.openLeaf(dir, kind, names, now)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// loadOwn reads the operator's certificate.
func (a *Authority) loadOwn() ([]tls.Certificate, error) {
	certPEM, err := file.Read(a.config.Cert)
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	keyPEM, err := file.Read(a.config.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate's key cannot be read: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", a.config.Cert, a.config.Key, err)
	}
	if err := checkOwn(pair.Leaf, a.config.Now()); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", a.config.Cert, err)
	}
	return []tls.Certificate{pair}, nil
}

// checkOwn refuses what no client would accept.
func checkOwn(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it ended on %s", leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it begins only on %s", leaf.NotBefore.Format(time.RFC3339))
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return errors.New("it names no host in its subject alternative names, where clients look")
	}
	return nil
}

// Missing lists those of the given names that no certificate is valid for: with a
// certificate of one's own, clients that dial them will refuse the hub.
func (a *Authority) Missing(names []string) []string {
	var missing []string
	leaf := (*a.certs.Load())[0].Leaf
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// serverNames adds to the configured names those of the machine itself.
func serverNames(configured []string) []string {
	names := append([]string(nil), configured...)
	names = append(names, "localhost", "127.0.0.1", "::1")
	if machine, err := os.Hostname(); err == nil && dnsName(machine) {
		names = append(names, machine)
	}
	return names
}

// dnsName reports whether a machine's name can stand in a certificate.
func dnsName(s string) bool {
	outside := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, outside)
}
