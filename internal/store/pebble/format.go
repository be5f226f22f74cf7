package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// The FORMAT file (docs/format.md): one line, "berth-store" and the version.
const (
	formatFile   = "FORMAT"
	formatMagic  = "berth-store"
	formatNumber = 1
	// formatMax bounds what is read of the file.
	formatMax = 64
)

// checkFormat refuses a folder of another version, and marks a new folder with ours.
func checkFormat(fsys vfs.FS, dir string) error {
	name := fsys.PathJoin(dir, formatFile)
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(fsys, dir)
	}
	if err != nil {
		return fmt.Errorf("pebble: open %s: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, formatMax))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("pebble: read %s: %w", name, err)
	}
	word, number, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	version, err := strconv.Atoi(number)
	switch {
	case !ok || word != formatMagic || err != nil || version < 1:
		return fmt.Errorf("%w: %s does not say %q and a version", store.ErrCorrupt, name, formatMagic)
	case version > formatNumber:
		return fmt.Errorf("%w: %s says version %d, this program knows %d", store.ErrFormat, name, version, formatNumber)
	}
	return nil
}

// writeFormat marks a new folder. The file appears whole or not at all; a folder that
// holds records and no FORMAT was never ours.
func writeFormat(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(fsys.PathJoin(dir, "records")); err == nil {
		return fmt.Errorf("%w: %s holds records but no %s file", store.ErrCorrupt, dir, formatFile)
	}
	temporary := fsys.PathJoin(dir, formatFile+".new")
	f, err := fsys.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("pebble: mark %s: %w", dir, err)
	}
	_, err = fmt.Fprintf(f, "%s %d\n", formatMagic, formatNumber)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("pebble: write %s: %w", temporary, err)
	}
	if err := fsys.Rename(temporary, fsys.PathJoin(dir, formatFile)); err != nil {
		return fmt.Errorf("pebble: mark %s: %w", dir, err)
	}
	return syncFolder(fsys, dir)
}
