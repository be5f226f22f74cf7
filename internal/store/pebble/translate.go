package pebble

import (
	"errors"
	"fmt"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// translate gives Pebble's error the store's name, and names the file of a checksum
// error.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrNotFound):
		return store.ErrNotFound
	case kv.IsCorruptionError(err):
		if info := kv.ExtractDataCorruptionInfo(err); info != nil {
			return fmt.Errorf("%w: %s: %w", store.ErrCorrupt, info.Path, err)
		}
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case vfs.IsNoSpaceError(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}
