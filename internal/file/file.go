// Package file reads small files and replaces them.
//
// Its one invariant: a file is there as it was or as it is to be, whatever fails, and once
// Replace has returned it survives a loss of power.
package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Most is the largest file that is read, in bytes.
const Most = 1 << 20

// Read reads a file of at most Most bytes.
func Read(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, Most+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > Most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, Most)
	}
	return b, nil
}

// Replace writes a file whole or not at all: a temporary file beside it is written, flushed
// and renamed, and the folder is flushed.
func Replace(name string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, IgnoreMissing(os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes a rename in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// IgnoreMissing makes nil of an error that says only that a file is not there.
func IgnoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
