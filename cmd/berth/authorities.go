package main

import (
	"context"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/registry"
)

// authorities shows the registry's certificate authorities to the HTTPS port, where
// one is added and removed but never replaced.
type authorities struct{ *registry.Registry }

// AddCA registers a certificate authority.
func (a authorities) AddCA(ctx context.Context, name string, certificate []byte, trust iot.Trust) (iot.Authority, error) {
	return a.PutCA(ctx, name, certificate, trust == iot.TrustFile, iot.Match{Kind: iot.MatchCreate})
}

// ChallengeCA opens a proof of possession.
func (a authorities) ChallengeCA(ctx context.Context, name string) (iot.Authority, error) {
	return a.NewVerificationCode(ctx, name)
}

// RemoveCA removes a certificate authority.
func (a authorities) RemoveCA(ctx context.Context, name string) error {
	return a.DeleteCA(ctx, name, iot.Match{Kind: iot.MatchAny})
}
