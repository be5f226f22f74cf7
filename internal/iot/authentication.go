package iot

import "errors"

// Authentication is how an identity proves itself, as the service API writes it.
// In a request a missing sub-object means the same as null.
type Authentication struct {
	SymmetricKey   *SymmetricKey      `json:"symmetricKey"`
	X509Thumbprint *X509Thumbprint    `json:"x509Thumbprint"`
	Type           AuthenticationType `json:"type"`
}

// SymmetricKey holds an identity's two keys, base64 of 16 to 64 bytes. In a request
// an empty key means "generate" (reaching-the-hub 8).
type SymmetricKey struct {
	PrimaryKey   NullString `json:"primaryKey"`
	SecondaryKey NullString `json:"secondaryKey"`
}

// X509Thumbprint holds the thumbprints of an identity's self-signed certificates,
// hex of SHA-1 or SHA-256.
type X509Thumbprint struct {
	PrimaryThumbprint   NullString `json:"primaryThumbprint"`
	SecondaryThumbprint NullString `json:"secondaryThumbprint"`
}

// Keys gives the two keys, empty where not set; a may be nil.
func (a *Authentication) Keys() (primary, secondary string) {
	if a == nil || a.SymmetricKey == nil {
		return "", ""
	}
	return string(a.SymmetricKey.PrimaryKey), string(a.SymmetricKey.SecondaryKey)
}

// Thumbprints gives the two thumbprints, empty where not set; a may be nil.
func (a *Authentication) Thumbprints() (primary, secondary string) {
	if a == nil || a.X509Thumbprint == nil {
		return "", ""
	}
	return string(a.X509Thumbprint.PrimaryThumbprint), string(a.X509Thumbprint.SecondaryThumbprint)
}

// Kind is the type, or what stands for an absent one: selfSigned if there is a
// thumbprint, else sas (service-rest B.1); a may be nil.
func (a *Authentication) Kind() AuthenticationType {
	if a != nil && a.Type != "" {
		return a.Type
	}
	if p, s := a.Thumbprints(); p != "" || s != "" {
		return AuthenticationSelfSigned
	}
	return AuthenticationSAS
}

// Check says what is wrong with an authentication that a client sent: keys that are
// not base64 of 16 to 64 bytes, thumbprints that are not SHA-1 or SHA-256 in hex or
// differ in length, selfSigned without a thumbprint, keys beside thumbprints
// (service-rest B.1). No error quotes a key. a may be nil.
func (a *Authentication) Check() error {
	pk, sk := a.Keys()
	pt, st := a.Thumbprints()
	for _, err := range []error{checkKey(pk), checkKey(sk), checkThumbprint(pt), checkThumbprint(st)} {
		if err != nil {
			return err
		}
	}
	keys, thumbprints := pk+sk != "", pt+st != ""
	switch {
	case pt != "" && st != "" && len(pt) != len(st):
		return errors.New("primary and secondary thumbprint must be hashes of the same kind")
	case keys && thumbprints:
		return errors.New("an identity has symmetric keys or thumbprints, not both")
	case a.Kind() == AuthenticationSelfSigned && !thumbprints:
		return errors.New("authentication type selfSigned needs a thumbprint")
	}
	return nil
}

// checkKey checks a key, if there is one.
func checkKey(text string) error {
	if text == "" {
		return nil
	}
	_, err := ParseKey(text)
	return err
}

// checkThumbprint checks a thumbprint, if there is one.
func checkThumbprint(text string) error {
	if text == "" || ValidThumbprint(text) {
		return nil
	}
	return errThumbprint
}
