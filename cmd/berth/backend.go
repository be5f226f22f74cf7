package main

import (
	"context"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/registry"
)

// backend shows the registry to the HTTPS port.
type backend struct{ *registry.Registry }

// Authorize refuses a token without the right.
func (b backend) Authorize(token, host, path string, need iot.Right) (string, error) {
	rights, err := b.Registry.Authorize(context.Background(), token, host, path)
	if err == nil && !rights.Has(need) {
		err = fault.New(fault.IotHubUnauthorizedAccess, "registry.authorize", "the shared access policy lacks the right %s", need)
	}
	return "", err
}

// AddCA registers a certificate authority.
func (b backend) AddCA(ctx context.Context, name string, certificate []byte, trust iot.Trust) (iot.Authority, error) {
	return b.PutCA(ctx, name, certificate, trust == iot.TrustFile, iot.Match{Kind: iot.MatchCreate})
}

// ChallengeCA opens a proof of possession.
func (b backend) ChallengeCA(ctx context.Context, name string) (iot.Authority, error) {
	return b.NewVerificationCode(ctx, name)
}

// RemoveCA removes a certificate authority.
func (b backend) RemoveCA(ctx context.Context, name string) error {
	return b.DeleteCA(ctx, name, iot.Match{Kind: iot.MatchAny})
}
