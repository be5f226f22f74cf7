package registry

import (
	"crypto/sha1" //nolint:gosec // a thumbprint names a certificate, as Azure's do; nothing is signed with it
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// oidCommonName is the common name among the attributes of a name (RFC 5280 appendix A.1).
func oidCommonName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, 3} }

// proveThumbprint checks the certificate of an identity of type selfSigned: the hash
// of the leaf is registered, and the leaf is valid today. Who signed it is not asked.
func proveThumbprint(c *claim) (device.Proof, error) {
	leaf := c.cred.Certificates[0]
	if why := validity(leaf, c.now); why != "" {
		return device.Proof{}, c.refuse("%s", why)
	}
	sum1, sum256 := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw) //nolint:gosec // as above
	slot := ""
	for i, name := range [2]string{slotPrimary, slotSecondary} {
		want, err := hex.DecodeString(c.own.thumbs[i])
		if err != nil || len(want) == 0 {
			continue
		}
		if subtle.ConstantTimeCompare(want, sum1[:]) == 1 || subtle.ConstantTimeCompare(want, sum256[:]) == 1 {
			slot = name
			break
		}
	}
	if slot == "" {
		return device.Proof{}, c.refuse("the certificate's thumbprint is not one registered for %s", quoteIdentity(c.id))
	}
	return device.Proof{
		Stamp: c.stamp(ownScope(c.id), iot.AuthX509Thumbprint), Slot: slot, Thumbprint: upperHex(sum256[:]),
	}, nil
}

// proveChain checks the certificate of an identity of type certificateAuthority: its
// common name is the identity, and its chain ends at a registered, verified
// authority, root or intermediate.
func (r *Registry) proveChain(c *claim) (device.Proof, error) {
	leaf := c.cred.Certificates[0]
	if why := validity(leaf, c.now); why != "" {
		return device.Proof{}, c.refuse("%s", why)
	}
	if n := commonNames(leaf); n > 1 {
		return device.Proof{}, c.refuse("the certificate has %d common names, and which of them counts is not agreed", n)
	}
	if leaf.Subject.CommonName != c.id.String() {
		return device.Proof{}, c.refuse("the certificate's common name is %s, not %s", quote(leaf.Subject.CommonName), quote(c.id.String()))
	}
	if len(c.cred.Certificates) > maxChain {
		return device.Proof{}, c.refuse("the certificate chain is longer than %d", maxChain)
	}
	trusted := r.anchors.Load()
	if trusted.verified == 0 {
		return device.Proof{}, c.refuse("no certificate authority is registered and verified at this hub")
	}
	middle := x509.NewCertPool()
	for _, cert := range c.cred.Certificates[1:] {
		middle.AddCert(cert)
	}
	// Device certificates are made with all sorts of key usages, or none: Azure asks
	// for none.
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: trusted.pool, Intermediates: middle, CurrentTime: c.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return device.Proof{}, c.refuse("%s", chainText(err))
	}
	proved := &provedChain{leaf: sha256.Sum256(leaf.Raw), anchors: trusted, authority: trusted.name(chains[0])}
	proved.notBefore, proved.notAfter = within(chains[0])
	c.own.chain = proved
	return c.chainProof(proved.leaf, proved.authority), nil
}

// commonNames counts the common names of a certificate. X.509 allows several, and readers
// disagree which one is meant: an authority may have looked at the first, crypto/x509 gives
// the last.
func commonNames(cert *x509.Certificate) (n int) {
	for _, attribute := range cert.Subject.Names {
		if attribute.Type.Equal(oidCommonName()) {
			n++
		}
	}
	return n
}

// chainProof is the proof by a certificate that an authority vouched for.
func (c *claim) chainProof(leaf [sha256.Size]byte, authority string) device.Proof {
	return device.Proof{
		Stamp: c.stamp(ownScope(c.id), iot.AuthX509Certificate), Thumbprint: upperHex(leaf[:]), Authority: authority,
	}
}

// chainText says why a chain was not accepted, without quoting the certificates.
func chainText(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate's chain does not end at a registered and verified certificate authority; the client must send its intermediates"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "a certificate of the chain has expired or is not valid yet"
		}
		return "a certificate of the chain may not sign this one"
	}
	return "the certificate's chain could not be verified"
}

// validity says why a certificate is not valid at now, "" if it is.
func validity(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.After(cert.NotAfter):
		return "the certificate expired at " + cert.NotAfter.UTC().Format(timeText) + ", server time is " + now.UTC().Format(timeText)
	case now.Before(cert.NotBefore):
		return "the certificate is not valid before " + cert.NotBefore.UTC().Format(timeText) + ", server time is " + now.UTC().Format(timeText)
	}
	return ""
}

// thumbprint is the SHA-256 of a certificate in upper-case hex, as the service API
// writes it.
func thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return upperHex(sum[:])
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
