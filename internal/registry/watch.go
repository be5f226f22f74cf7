package registry

import (
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/iot"
)

// Change is what happened to an identity that a live connection of it must hear.
type Change uint8

// The changes that end what was built on an identity.
const (
	// Disabled: the device may no longer connect, nor may its modules. It is told of the
	// device alone.
	Disabled Change = iota + 1
	// Deleted: the identity is gone. It is told of the device and of each of its modules.
	Deleted
	// CredentialsChanged: a key or thumbprint that was good is no longer, or the
	// identity authenticates in another way. A device's change does not touch its modules.
	CredentialsChanged
)

// String names the change for a log.
func (c Change) String() string {
	switch c {
	case Disabled:
		return "disabled"
	case Deleted:
		return "deleted"
	case CredentialsChanged:
		return "credentials changed"
	}
	return "unknown"
}

// watchers are told of changes.
type watchers struct {
	// guarded by mu

	mu          sync.Mutex
	identities  []func(iot.Identity, Change)
	authorities []func(name string)
}

// Watch calls f with every change that makes a credential worthless, after the
// change is durable and before the call that made it returns. f must not call a
// method of the registry that changes anything. Concurrent changes of one identity
// may be told in another order than they were stored.
func (r *Registry) Watch(f func(id iot.Identity, change Change)) {
	r.watchers.mu.Lock()
	defer r.watchers.mu.Unlock()
	r.watchers.identities = append(r.watchers.identities, f)
}

// WatchCAs calls f with the name of every verified certificate authority that was
// removed, under the rules of Watch: certificates it signed are good no longer.
func (r *Registry) WatchCAs(f func(name string)) {
	r.watchers.mu.Lock()
	defer r.watchers.mu.Unlock()
	r.watchers.authorities = append(r.watchers.authorities, f)
}

func (w *watchers) tell(id iot.Identity, change Change) {
	w.mu.Lock()
	fs := slices.Clone(w.identities)
	w.mu.Unlock()
	for _, f := range fs {
		f(id, change)
	}
}

func (w *watchers) tellCA(name string) {
	w.mu.Lock()
	fs := slices.Clone(w.authorities)
	w.mu.Unlock()
	for _, f := range fs {
		f(name)
	}
}
