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
	changed := []string{}
	for d := dir; ; d = fs.PathDir(d) {
		_, err := fs.Stat(d)
		if d != dir {
			changed = append(changed, d)
		}
		if err == nil || d == fs.PathDir(d) {
			break
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pebble: make %s: %w", dir, err)
	}
	if len(changed) == 0 {
		changed = append(changed, fs.PathDir(dir)) // made by a start that the power left
	}
	for _, d := range changed {
		if err := syncFolder(fs, d); err != nil {
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
