package registry

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// authorities is the value of the record reg/ca: all of them in one record, so that
// their number and their uniqueness are checked by one compare-and-swap.
type authorities struct {
	Version     int             `json:"version"`
	Authorities []iot.Authority `json:"authorities"`
}

// anchors are the verified authorities, ready to verify a chain with.
type anchors struct {
	rev      store.Rev // of the record they were made from
	pool     *x509.CertPool
	verified int
	names    map[[sha256.Size]byte]string // by the certificate's SHA-256
}

// name gives the authority at the end of a verified chain.
func (a *anchors) name(chain []*x509.Certificate) string {
	return a.names[sha256.Sum256(chain[len(chain)-1].Raw)]
}

// loadAuthorities makes the anchors from what is stored.
func (r *Registry) loadAuthorities(ctx context.Context) error {
	list, rev, err := r.readAuthorities(ctx)
	if err != nil {
		return err
	}
	return r.setAnchors(list, rev)
}

// setAnchors replaces the anchors unless they are newer already.
func (r *Registry) setAnchors(list []iot.Authority, rev store.Rev) error {
	next := &anchors{rev: rev, pool: x509.NewCertPool(), names: make(map[[sha256.Size]byte]string)}
	for _, a := range list {
		if !a.IsVerified {
			continue
		}
		cert, err := parseCertificate("registry.anchors", []byte(a.Certificate))
		if err != nil {
			return fmt.Errorf("certificate authority %q: %w", a.Name, err)
		}
		next.pool.AddCert(cert)
		next.names[sha256.Sum256(cert.Raw)] = a.Name
		next.verified++
	}
	for {
		last := r.anchors.Load()
		if last != nil && last.rev > rev {
			return nil
		}
		if r.anchors.CompareAndSwap(last, next) {
			return nil
		}
	}
}

// PutCA registers a certificate authority from its certificate, as PEM or as the
// base64 of DER, or replaces the certificate of one, as m says. If verified, the
// caller vouches for it and it counts at once; else it counts once VerifyCA has seen
// a proof of possession, and the answer carries the code for that. Putting the
// certificate that is there already keeps a proof that was given. Codes:
// ArgumentInvalid for a bad name or what is no CA certificate, GenericConflict for a
// name or a certificate that is taken, CertificateNotFound, PreconditionFailed,
// InvalidOperation beyond 25.
func (r *Registry) PutCA(ctx context.Context, name string, certificate []byte, verified bool, m iot.Match) (iot.Authority, error) {
	const op = "registry.put_ca"
	put, err := r.newAuthority(op, name, certificate, verified)
	if err != nil {
		return iot.Authority{}, err
	}
	stored, lost := iot.Authority{}, false
	err = r.changeAuthorities(ctx, op, func(list []iot.Authority) ([]iot.Authority, error) {
		stored, lost = put, false
		at := -1
		for i, a := range list {
			switch {
			case a.Name == name:
				at = i
			case a.Thumbprint == put.Thumbprint:
				return nil, fault.New(fault.GenericConflict, op, "the certificate is registered already, as %s", quote(a.Name))
			}
		}
		if at < 0 {
			if m.Kind != iot.MatchCreate {
				return nil, noAuthority(op, name)
			}
			if len(list) >= iot.MaxAuthorities {
				return nil, fault.New(fault.InvalidOperation, op, "the hub has %d certificate authorities, the most there may be", len(list))
			}
			return append(list, stored), nil
		}
		old := list[at]
		if m.Kind == iot.MatchCreate {
			return nil, fault.New(fault.GenericConflict, op, "a certificate authority named %s is registered already", quote(name))
		}
		if !m.Holds(old.ETag) {
			return nil, staleAuthority(op, name)
		}
		stored.Created = old.Created
		if old.Thumbprint != put.Thumbprint {
			lost = old.IsVerified
		} else if old.IsVerified {
			stored.IsVerified, stored.VerificationCode = true, ""
		}
		list[at] = stored
		return list, nil
	})
	if err != nil {
		return iot.Authority{}, err
	}
	if lost {
		r.watchers.tellCA(name)
	}
	return stored, nil
}

// newAuthority makes an authority of a certificate.
func (r *Registry) newAuthority(op, name string, certificate []byte, verified bool) (iot.Authority, error) {
	if !iot.ValidAuthorityName(name) {
		return iot.Authority{}, fault.New(fault.ArgumentInvalid, op,
			"the name %s of a certificate authority is not 1 to %d characters of A-Z a-z 0-9 - _ .", quote(name), iot.MaxAuthorityName)
	}
	cert, err := parseCertificate(op, certificate)
	if err != nil {
		return iot.Authority{}, err
	}
	now := r.now()
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return iot.Authority{}, fault.New(fault.ArgumentInvalid, op, "the certificate is not one of a certificate authority (basicConstraints CA:TRUE)")
	case now.After(cert.NotAfter):
		return iot.Authority{}, fault.New(fault.ArgumentInvalid, op, "%s", validity(cert, now))
	}
	a := iot.Authority{
		Name: name, Subject: cert.Subject.String(), Thumbprint: thumbprint(cert),
		NotBefore: iot.TimeOf(cert.NotBefore), NotAfter: iot.TimeOf(cert.NotAfter),
		Created: iot.TimeOf(now), Updated: iot.TimeOf(now), IsVerified: verified,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
	}
	counter, err := r.firstETag(op)
	if err != nil {
		return iot.Authority{}, err
	}
	a.ETag = iot.IdentityETag(counter)
	if !verified {
		a.VerificationCode, err = r.newCode(op)
	}
	return a, err
}

// ListCAs gives all certificate authorities in the order of their names.
func (r *Registry) ListCAs(ctx context.Context) ([]iot.Authority, error) {
	const op = "registry.list_cas"
	list, _, err := r.readAuthorities(ctx)
	if err != nil {
		return nil, store.Fault(err, op, unreadable)
	}
	return list, nil
}

// NewVerificationCode gives an authority a new verification code; the one before counts no
// more. Codes: CertificateNotFound.
func (r *Registry) NewVerificationCode(ctx context.Context, name string) (iot.Authority, error) {
	const op = "registry.new_verification_code"
	code, err := r.newCode(op)
	if err != nil {
		return iot.Authority{}, err
	}
	return r.changeAuthority(ctx, op, name, func(a *iot.Authority) error {
		a.VerificationCode = code
		return nil
	})
}

// VerifyCA accepts a certificate that the authority signed over its verification
// code, which proves that whoever registered it holds its key. Codes:
// CertificateNotFound, InvalidOperation if no code is open, ArgumentInvalid for a
// certificate that proves nothing.
func (r *Registry) VerifyCA(ctx context.Context, name string, certificate []byte) (iot.Authority, error) {
	const op = "registry.verify_ca"
	proof, err := parseCertificate(op, certificate)
	if err != nil {
		return iot.Authority{}, err
	}
	now := r.now()
	return r.changeAuthority(ctx, op, name, func(a *iot.Authority) error {
		if a.VerificationCode == "" {
			return fault.New(fault.InvalidOperation, op, "certificate authority %s has no open verification code", quote(name))
		}
		ca, err := parseCertificate(op, []byte(a.Certificate))
		if err != nil {
			return err
		}
		switch {
		case commonNames(proof) > 1: // the authority may have signed for another of them
			return fault.New(fault.ArgumentInvalid, op, "the certificate has %d common names, and which of them counts is not agreed", commonNames(proof))
		case proof.Subject.CommonName != a.VerificationCode:
			return fault.New(fault.ArgumentInvalid, op, "the certificate's common name is not the verification code")
		case proof.CheckSignatureFrom(ca) != nil:
			return fault.New(fault.ArgumentInvalid, op, "the certificate is not signed by certificate authority %s", quote(name))
		case validity(proof, now) != "":
			return fault.New(fault.ArgumentInvalid, op, "%s", validity(proof, now))
		}
		a.IsVerified, a.VerificationCode = true, ""
		return nil
	})
}

// DeleteCA removes a certificate authority and, if it was verified, tells WatchCAs:
// CertificateNotFound, PreconditionFailed. Without a tag it is unconditional.
func (r *Registry) DeleteCA(ctx context.Context, name string, m iot.Match) error {
	const op = "registry.delete_ca"
	var verified bool
	err := r.changeAuthorities(ctx, op, func(list []iot.Authority) ([]iot.Authority, error) {
		i := slices.IndexFunc(list, func(a iot.Authority) bool { return a.Name == name })
		switch {
		case i < 0:
			return nil, noAuthority(op, name)
		case !m.ForDelete().Holds(list[i].ETag):
			return nil, staleAuthority(op, name)
		}
		verified = list[i].IsVerified
		return slices.Delete(list, i, i+1), nil
	})
	if err != nil {
		return err
	}
	if verified {
		r.watchers.tellCA(name)
	}
	return nil
}

func staleAuthority(op, name string) error {
	return fault.New(fault.PreconditionFailed, op, "ETag mismatch for certificate authority %s", quote(name))
}

func noAuthority(op, name string) error {
	return fault.New(fault.CertificateNotFound, op, "no certificate authority is named %s", quote(name))
}

// newCode makes a verification code: upper-case hex, as Azure's.
func (r *Registry) newCode(op string) (string, error) {
	b, err := r.random.bytes(verificationSize)
	if err != nil {
		return "", fault.Wrap(err, fault.ServerError, op, "no random bytes for a verification code")
	}
	return strings.ToUpper(hex.EncodeToString(b)), nil
}

// changeAuthority changes one authority and gives it as stored.
func (r *Registry) changeAuthority(ctx context.Context, op, name string, f func(*iot.Authority) error) (iot.Authority, error) {
	var changed iot.Authority
	counter, err := r.firstETag(op)
	if err != nil {
		return changed, err
	}
	err = r.changeAuthorities(ctx, op, func(list []iot.Authority) ([]iot.Authority, error) {
		i := slices.IndexFunc(list, func(a iot.Authority) bool { return a.Name == name })
		if i < 0 {
			return nil, noAuthority(op, name)
		}
		if err := f(&list[i]); err != nil {
			return nil, err
		}
		list[i].Updated, list[i].ETag = iot.TimeOf(r.now()), iot.IdentityETag(counter)
		changed = list[i]
		return list, nil
	})
	return changed, err
}

// changeAuthorities replaces the list under compare-and-swap, and then what chains
// are verified with.
func (r *Registry) changeAuthorities(ctx context.Context, op string, f func([]iot.Authority) ([]iot.Authority, error)) error {
	return r.attempt(ctx, op, func() error {
		list, rev, err := r.readAuthorities(ctx)
		if err != nil {
			return err
		}
		if list, err = f(list); err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b iot.Authority) int { return strings.Compare(a.Name, b.Name) })
		value, err := json.Marshal(authorities{Version: recordVersion, Authorities: list})
		if err != nil {
			return err
		}
		revs, err := r.records.Apply(ctx, store.Batch{Writes: []store.Write{{Key: caKey, Value: value, If: rev}}})
		if err != nil {
			return err
		}
		r.log.LogAttrs(ctx, slog.LevelInfo, "certificate authorities changed", slog.String("op", op), slog.Int("authorities", len(list)))
		return r.setAnchors(list, revs[0])
	})
}

// readAuthorities gives the list as stored, and its revision.
func (r *Registry) readAuthorities(ctx context.Context) ([]iot.Authority, store.Rev, error) {
	stored, err := r.records.Get(ctx, caKey)
	if errors.Is(err, store.ErrNotFound) {
		return []iot.Authority{}, store.Absent, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var all authorities
	if err := json.Unmarshal(stored.Value, &all); err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %w", store.ErrCorrupt, caKey, err)
	}
	if all.Version != recordVersion {
		return nil, 0, fmt.Errorf("%w: %s of version %d", store.ErrFormat, caKey, all.Version)
	}
	return all.Authorities, stored.Rev, nil
}

// parseCertificate reads one certificate, PEM or base64 of DER, of bounded size.
func parseCertificate(op string, text []byte) (*x509.Certificate, error) {
	if len(text) > maxCertificate {
		return nil, fault.New(fault.ArgumentInvalid, op, "the certificate is longer than %d bytes", maxCertificate)
	}
	der := text
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != "CERTIFICATE" {
			return nil, fault.New(fault.ArgumentInvalid, op, "the PEM block is not a certificate")
		}
		der = block.Bytes
	} else if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))); err == nil {
		der = raw
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.Wrap(err, fault.ArgumentInvalid, op, "the certificate could not be read: it must be X.509, as PEM or base64 of DER")
	}
	return cert, nil
}
