package client

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"

	"github.com/berth-iot/berth/internal/file"
	"github.com/berth-iot/berth/internal/iot"
)

// ReadCertificate reads the first certificate of a file, PEM or DER, and gives it as
// PEM. A private key that stands in the file is not sent anywhere.
func ReadCertificate(name string) (string, error) {
	text, err := file.Read(name)
	if err != nil {
		return "", err
	}
	der := text
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			der = block.Bytes
			break
		}
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return "", fmt.Errorf("%s holds no certificate", name)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// AddAuthority registers a CA certificate (PEM). Trusted skips the proof of possession.
func (h *Hub) AddAuthority(ctx context.Context, name, certificate string, trusted bool) (iot.Authority, error) {
	return h.authority(ctx, http.MethodPut, map[string]any{"certificate": certificate, "isVerified": trusted}, name)
}

// VerificationCode opens a proof of possession; the answer holds the code.
func (h *Hub) VerificationCode(ctx context.Context, name string) (iot.Authority, error) {
	return h.authority(ctx, http.MethodPost, nil, name, "verification-code")
}

// VerifyAuthority closes it with a certificate (PEM) that the CA signed for the code.
func (h *Hub) VerifyAuthority(ctx context.Context, name, certificate string) (iot.Authority, error) {
	return h.authority(ctx, http.MethodPost, map[string]any{"certificate": certificate}, name, "verify")
}

func (h *Hub) authority(ctx context.Context, method string, body any, path ...string) (iot.Authority, error) {
	var a iot.Authority
	err := h.Do(ctx, Request{Method: method, Path: append([]string{"berth", "v1", "cas"}, path...), Body: body}, &a)
	return a, err
}

// Authorities lists the registered CAs.
func (h *Hub) Authorities(ctx context.Context) ([]iot.Authority, error) {
	var all []iot.Authority
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: []string{"berth", "v1", "cas"}}, &all)
	return all, err
}

// RemoveAuthority removes a registered CA.
func (h *Hub) RemoveAuthority(ctx context.Context, name string) error {
	return h.Do(ctx, Request{Method: http.MethodDelete, Path: []string{"berth", "v1", "cas", name}, IfMatch: "*"}, nil)
}
