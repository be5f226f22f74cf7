package pebble

import (
	"fmt"
	"io"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// LockFolder takes a folder for this process alone, until the lock is closed or the
// process ends. The folder must exist.
func LockFolder(dir string) (io.Closer, error) {
	lock, err := kv.LockDirectory(dir, vfs.Default)
	if err != nil {
		return nil, fmt.Errorf("data folder %s is in use by another hub: %w", dir, err)
	}
	return lock, nil
}
