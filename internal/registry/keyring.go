package registry

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// keyring keeps the credentials of identities that proved themselves lately: one that
// comes again costs no read of its record, and with the token it showed before no
// signature. It holds keys as the records do, of tokens and certificates a digest alone.
//
// Its one invariant: what it gives is what the records say at that moment. That rests
// on this process alone writing them, and on every write passing watchedRecords: while
// an identity is being written it is not in the keyring, and what was read before the
// write does not get in after it. Whoever proved nothing leaves nothing here, so that
// strangers cannot crowd out devices.
type keyring struct {
	// fixed

	seed   maphash.Seed
	shards [ringShards]ringShard
}

// ringShard is one part of the keyring.
type ringShard struct {
	mu sync.Mutex

	// guarded by mu

	entries  map[iot.Identity]*ringEntry
	changing map[iot.Identity]int // identities being written, and by how many
	version  uint64               // raised when a write ends
	ends     ringEntry            // its newer is the entry longest unused, its older the latest
	bytes    int
}

// ringEntry is one identity in a list in the order of use.
type ringEntry struct {
	known

	id           iot.Identity
	size         int
	newer, older *ringEntry
}

// known is what a check needs of an identity's record, and what the last one proved.
type known struct {
	rev        store.Rev
	generation uint64
	method     method
	disabled   bool
	keys       [2][]byte
	thumbs     [2]string
	token      provedToken
	chain      *provedChain // nil: none was proved
}

// knownOf is what a check needs of a record.
func knownOf(rec *record, rev store.Rev) *known {
	return &known{
		rev: rev, generation: rec.generation, method: rec.method, disabled: rec.disabled,
		keys: rec.keys, thumbs: rec.thumbs,
	}
}

func newKeyring() *keyring {
	k := &keyring{seed: maphash.MakeSeed()}
	for i := range k.shards {
		sh := &k.shards[i]
		sh.entries, sh.changing = map[iot.Identity]*ringEntry{}, map[iot.Identity]int{}
		sh.ends.newer, sh.ends.older = &sh.ends, &sh.ends
	}
	return k
}

func (k *keyring) shard(id iot.Identity) *ringShard {
	return &k.shards[maphash.Comparable(k.seed, id)%ringShards]
}

// find gives what is known of an identity, and nil if nothing is. moment is for keep.
func (k *keyring) find(id iot.Identity) (found *known, moment uint64) {
	sh := k.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[id]
	if e == nil {
		return nil, sh.version
	}
	sh.unlink(e)
	sh.link(e)
	copied := e.known
	return &copied, sh.version
}

// keep remembers an identity as it was at the moment that find gave, unless something
// may have changed since.
func (k *keyring) keep(id iot.Identity, what *known, moment uint64) {
	sh := k.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.version != moment || sh.changing[id] > 0 {
		return
	}
	sh.drop(sh.entries[id])
	// The strings are copied: an id may be part of a longer text that came with it.
	id = iot.Identity{Device: strings.Clone(id.Device), Module: strings.Clone(id.Module)}
	e := &ringEntry{known: *what, id: id}
	e.size = entrySize + len(id.Device) + len(id.Module) + len(e.keys[0]) + len(e.keys[1]) + len(e.thumbs[0]) + len(e.thumbs[1])
	if e.chain != nil {
		e.size += chainSize
	}
	sh.entries[id] = e
	sh.link(e)
	sh.bytes += e.size
	for len(sh.entries) > maxKnown/ringShards || sh.bytes > maxKnownBytes/ringShards {
		sh.drop(sh.ends.newer)
	}
}

// changing forgets the identities that writes concern, and lets none of them in until
// the function it gives is called.
func (k *keyring) changing(writes []store.Write) (done func()) {
	ids := make([]iot.Identity, 0, len(writes))
	for i := range writes {
		if isIdentity(writes[i].Key) {
			ids = append(ids, identityOf(writes[i].Key))
		}
	}
	for _, id := range ids {
		sh := k.shard(id)
		sh.mu.Lock()
		sh.drop(sh.entries[id])
		sh.changing[id]++
		sh.mu.Unlock()
	}
	return func() {
		for _, id := range ids {
			sh := k.shard(id)
			sh.mu.Lock()
			sh.version++
			if sh.changing[id]--; sh.changing[id] == 0 {
				delete(sh.changing, id)
			}
			sh.mu.Unlock()
		}
	}
}

// drop takes an entry out; nil is none.
func (sh *ringShard) drop(e *ringEntry) {
	if e == nil {
		return
	}
	sh.unlink(e)
	delete(sh.entries, e.id)
	sh.bytes -= e.size
}

// link puts an entry in as the latest used.
func (sh *ringShard) link(e *ringEntry) {
	e.older, e.newer = sh.ends.older, &sh.ends
	e.older.newer, e.newer.older = e, e
}

func (sh *ringShard) unlink(e *ringEntry) { e.older.newer, e.newer.older = e.newer, e.older }

// watchedRecords are the records as the registry writes them: nothing that is being
// changed is in the keyring.
type watchedRecords struct {
	store.Records

	keyring *keyring
}

// Apply implements store.Records.
func (w watchedRecords) Apply(ctx context.Context, b store.Batch) ([]store.Rev, error) {
	done := w.keyring.changing(b.Writes)
	defer done()
	return w.Records.Apply(ctx, b)
}
