package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// presence says whether an identity is connected.
type presence interface {
	Presence(ctx context.Context, id iot.Identity) (iot.Presence, error)
}

// Config is what a Registry is made of. Records and Hosts are required.
type Config struct {
	Records  store.Records
	HubName  string                 // first label of the first host name; names the hub in errors
	Hosts    func(host string) bool // is this an alias of the hub? letter case does not matter; no port
	Policies []iot.Policy           // shared access policies, at most 64, each with keys of 16 to 64 bytes
	Presence presence               // nil: every identity is disconnected
	// Kept names the records that others keep of an identity: they are deleted with it, in
	// the same batch. It must be the same for the same identity; nil: there are none.
	Kept     func(id iot.Identity) []string
	Messages messages         // nil: no messages wait for anybody
	Skew     time.Duration    // how long after se a token still counts; 0 is 5 minutes, negative is none
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // nil: crypto/rand
	Logger   *slog.Logger     // nil: discarded
}

// Registry keeps identities. Its methods may be called from any goroutine; it has
// none of its own and needs no Close.
type Registry struct {
	// fixed

	records  store.Records
	hub      string
	hosts    func(string) bool
	policies map[string]iot.Policy
	presence presence
	kept     func(iot.Identity) []string
	messages messages
	skew     time.Duration
	now      func() time.Time
	log      *slog.Logger
	digests  *digests
	keyring  *keyring

	// shared

	random      *source
	watchers    watchers
	generations atomic.Uint64 // the last generationId given
	anchors     atomic.Pointer[anchors]
}

// New makes a Registry and reads the certificate authorities from the store.
func New(cfg Config) (*Registry, error) {
	if cfg.Records == nil || cfg.Hosts == nil {
		return nil, fmt.Errorf("registry: Config needs Records and Hosts")
	}
	ring := newKeyring()
	r := &Registry{
		records: watchedRecords{cfg.Records, ring}, keyring: ring, hub: cfg.HubName, hosts: cfg.Hosts, presence: cfg.Presence, kept: cfg.Kept, messages: cfg.Messages,
		skew: cfg.Skew, now: cfg.Now, log: cfg.Logger, random: &source{r: cfg.Random},
	}
	if r.skew == 0 {
		r.skew = defaultSkew
	}
	r.skew = max(r.skew, 0)
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.kept == nil {
		r.kept = func(iot.Identity) []string { return nil }
	}
	if cfg.Random == nil {
		r.random.r = rand.Reader
	}
	var err error
	if r.policies, err = policyTable(cfg.Policies); err != nil {
		return nil, err
	}
	key, err := r.random.bytes(digestKeySize)
	if err != nil {
		return nil, fmt.Errorf("registry: random bytes: %w", err)
	}
	r.digests = newDigests(key)
	if err := r.loadAuthorities(context.Background()); err != nil {
		return nil, fmt.Errorf("registry: read certificate authorities: %w", err)
	}
	return r, nil
}

// policyTable checks policies and keys them by lower-case name: policy names are
// matched without regard to case.
func policyTable(policies []iot.Policy) (map[string]iot.Policy, error) {
	if len(policies) > maxPolicies {
		return nil, fmt.Errorf("registry: %d shared access policies, at most %d", len(policies), maxPolicies)
	}
	table := make(map[string]iot.Policy, len(policies))
	for _, p := range policies {
		name := strings.ToLower(p.Name)
		if _, twice := table[name]; twice || name == "" {
			return nil, fmt.Errorf("registry: shared access policy %q has no name or is named twice", p.Name)
		}
		for _, key := range [][]byte{p.Primary, p.Secondary} {
			if len(key) < iot.MinKeySize || len(key) > iot.MaxKeySize {
				return nil, fmt.Errorf("registry: a key of shared access policy %q is not %d to %d bytes",
					p.Name, iot.MinKeySize, iot.MaxKeySize)
			}
		}
		table[name] = p
	}
	return table, nil
}

// nextGeneration gives the generationId of a new identity: the ticks of now, or the
// last one given plus one, so that no two of a run are equal though the clock stand
// still or step back.
func (r *Registry) nextGeneration() uint64 {
	ticks := iot.Ticks(r.now())
	for {
		last := r.generations.Load()
		next := max(ticks, last+1)
		if r.generations.CompareAndSwap(last, next) {
			return next
		}
	}
}
