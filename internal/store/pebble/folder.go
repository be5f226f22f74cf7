package pebble

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// makeFolder makes a folder and those above it, so that a loss of power cannot take
// them away again: a folder is durable once the folder that names it is flushed, and
// Pebble flushes only its own.
func makeFolder(fs vfs.FS, dir string) error {
	missing := 0 // folders to make
	above := []string{}
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err != nil {
			missing++
		}
		if d == fs.PathDir(d) {
			break
		}
		above = append(above, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pebble: make %s: %w", dir, err)
	}
	for i, d := range above {
		// Others may have made the rest just now, or long ago and read-only to us.
		if err := syncFolder(fs, d); err != nil && i < missing {
			return err
		}
	}
	return nil
}

// syncFolder flushes what a folder names.
func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("pebble: open %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("pebble: flush %s: %w", dir, err)
	}
	return nil
}
