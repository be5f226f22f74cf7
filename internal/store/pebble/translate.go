package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// translator gives the errors of one instance the store's names, and tells the operator
// of each damage once.
type translator struct {
	// fixed

	dir string
	log *slog.Logger

	// shared

	table atomic.Bool // a damaged table was met

	// guarded by mu

	mu   sync.Mutex
	told map[string]struct{} // at most maxTold
}

func newTranslator(dir string, log *slog.Logger) *translator {
	return &translator{dir: dir, log: log, told: map[string]struct{}{}}
}

// translate gives Pebble's error the store's name, and names the file of a checksum
// error.
func (t *translator) translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrNotFound):
		return store.ErrNotFound
	case errors.Is(err, store.ErrCorrupt):
		return err
	case kv.IsCorruptionError(err):
		where := t.dir // Pebble's text has the file's number
		if info := kv.ExtractDataCorruptionInfo(err); info != nil {
			where = info.Path
		}
		t.damaged(where, err)
		return fmt.Errorf("%w: %s: %w", store.ErrCorrupt, where, err)
	case vfs.IsNoSpaceError(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// damaged tells the operator, once for each place.
func (t *translator) damaged(where string, err error) {
	if strings.HasSuffix(where, ".sst") {
		t.table.Store(true)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := where + err.Error()
	if _, ok := t.told[key]; ok || len(t.told) >= maxTold {
		return
	}
	t.told[key] = struct{}{}
	t.log.Error("stored data is damaged; reads of it are refused, the rest goes on", slog.String("file", where), slog.Any("err", err))
}
