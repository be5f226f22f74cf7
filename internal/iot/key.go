package iot

import (
	"encoding/base64"
	"errors"
)

// The lengths of a symmetric key, in bytes once decoded (service-rest B.1).
const (
	MinKeySize = 16
	MaxKeySize = 64
	KeySize    = 32 // of a key the hub makes
)

var (
	errKeyBase64  = errors.New("a symmetric key must be base64")
	errKeySize    = errors.New("a symmetric key must be base64 of 16 to 64 bytes")
	errThumbprint = errors.New("a thumbprint must be 40 (SHA-1) or 64 (SHA-256) hexadecimal digits")
)

// ParseKey decodes a symmetric key: base64, padded, of 16 to 64 bytes. Its errors
// never quote the text.
func ParseKey(text string) ([]byte, error) {
	if len(text) > base64.StdEncoding.EncodedLen(MaxKeySize) {
		return nil, errKeySize
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errKeyBase64
	}
	if len(key) < MinKeySize || len(key) > MaxKeySize {
		return nil, errKeySize
	}
	return key, nil
}

// FormatKey is the base64 text of a key. A new key is FormatKey of KeySize random
// bytes.
func FormatKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

// ValidThumbprint reports whether s is the hex of a SHA-1 or SHA-256 hash, in
// either letter case.
func ValidThumbprint(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if unhex(s[i]) < 0 {
			return false
		}
	}
	return true
}

// unhex is the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
