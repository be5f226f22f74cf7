package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// The folders beside the log's own (docs/format.md).
const (
	suffixMended  = ".mended"  // the copy of what can be read, until it takes the log's place
	suffixDamaged = ".damaged" // the log as it was found
	suffixSuspect = ".suspect" // a file: a damaged table was met, look at the next start
)

// openLog opens the log. A damaged table would stand in the way of every read behind it
// and of every compaction over it, so where there is one, what can be read is copied into a
// log without it. If that is not possible, the log is used as it is.
func (e *Engine) openLog(fs vfs.FS, t *translator, o Options) (*kv.DB, error) {
	if err := finishMending(fs, t.dir); err != nil {
		return nil, err
	}
	db, err := e.openInstance(fs, t, e.logOptions(o, t))
	if err != nil {
		return nil, err
	}
	_, suspect := fs.Stat(t.dir + suffixSuspect)
	if suspect != nil && readable(db) {
		return db, nil
	}
	o.Log.Warn("the telemetry log holds a damaged table; what can be read is copied", slog.String("dir", t.dir))
	m := &mender{fs: fs, dir: t.dir, from: db, log: o.Log}
	if err := m.run(func() (*kv.DB, error) {
		return e.openInstance(fs, newTranslator(t.dir+suffixMended, o.Log), e.logOptions(o, t))
	}); err != nil {
		o.Log.Error("the damaged telemetry log could not be copied and is used as it is; after 14 GiB more it takes nothing",
			slog.String("dir", t.dir), slog.Any("err", err))
		return db, nil
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	if err := replaceLog(fs, t.dir); err != nil {
		return nil, err
	}
	t.table.Store(false) // what the copying met is no longer there: no word for the next start
	o.Log.Error("the telemetry log was damaged and is copied; what could not be read is lost to readers, and kept in the folder named",
		slog.String("kept", t.dir+suffixDamaged), slog.Int("copied", m.copied), slog.Int("places", m.lost))
	return e.openInstance(fs, t, e.logOptions(o, t))
}

// suspect leaves word for the next start once a damaged table was met, until stop is
// closed.
func (e *Engine) suspect(fs vfs.FS, t *translator) {
	tick := time.NewTicker(suspectEvery)
	defer tick.Stop()
	for {
		stopping := false
		select {
		case <-e.stop:
			stopping = true
		case <-tick.C:
		}
		if t.table.Load() {
			if err := leaveWord(fs, t.dir+suffixSuspect); err == nil {
				return
			} else if !stopping {
				t.log.Warn("that the log is damaged cannot be noted for the next start", slog.Any("err", err))
			}
		}
		if stopping {
			return
		}
	}
}

// leaveWord makes an empty file.
func leaveWord(fs vfs.FS, name string) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncFolder(fs, fs.PathDir(name)))
}

// readable reports whether the ends and the marks of all partitions can be found. Damage
// between them is met by compactions.
func readable(db *kv.DB) bool {
	for p := range uint32(maxPartitions) {
		for _, prefix := range []string{prefixMark, prefixBlock} {
			it, err := db.NewIter(within(prefix, p))
			if err != nil {
				return false
			}
			it.First()
			if it.Error() == nil {
				it.Last()
			}
			if it.Close() != nil {
				return false
			}
		}
	}
	return true
}

// within bounds an iterator to one partition.
func within(prefix string, partition uint32) *kv.IterOptions {
	return &kv.IterOptions{LowerBound: logKey(prefix, partition, 0), UpperBound: partitionEnd(prefix, partition)}
}

// finishMending ends what a crash interrupted: a copy that was whole takes its place, one
// that was not is removed.
func finishMending(fs vfs.FS, dir string) error {
	there := func(name string) bool {
		_, err := fs.Stat(name)
		return err == nil
	}
	switch {
	case !there(dir + suffixMended):
		return nil
	case !there(dir) && there(dir+suffixDamaged):
		return settleLog(fs, dir)
	}
	return fs.RemoveAll(dir + suffixMended)
}

// replaceLog puts the copy in the place of the log, which is kept.
func replaceLog(fs vfs.FS, dir string) error {
	if err := fs.RemoveAll(dir + suffixDamaged); err != nil {
		return fmt.Errorf("pebble: remove %s: %w", dir+suffixDamaged, err)
	}
	if err := fs.Rename(dir, dir+suffixDamaged); err != nil {
		return fmt.Errorf("pebble: keep %s: %w", dir, err)
	}
	return settleLog(fs, dir)
}

// settleLog gives the copy its name.
func settleLog(fs vfs.FS, dir string) error {
	if err := fs.Rename(dir+suffixMended, dir); err != nil {
		return fmt.Errorf("pebble: replace %s: %w", dir, err)
	}
	if err := syncFolder(fs, fs.PathDir(dir)); err != nil {
		return err
	}
	if _, err := fs.Stat(dir + suffixSuspect); err == nil {
		return fs.Remove(dir + suffixSuspect)
	}
	return nil
}

// mender copies a damaged log.
type mender struct {
	// fixed

	fs   vfs.FS
	dir  string
	from *kv.DB
	log  *slog.Logger

	// owned by run

	to     *kv.DB
	batch  *kv.Batch
	copied int // blocks and marks
	lost   int // places that could not be read
}

// run copies everything that can be read, and is whole on stable storage when it returns.
func (m *mender) run(open func() (*kv.DB, error)) (err error) {
	if err := m.room(); err != nil {
		return err
	}
	if m.to, err = open(); err != nil {
		return err
	}
	m.batch = m.to.NewBatch()
	for p := uint32(0); p < maxPartitions && err == nil; p++ {
		err = m.partition(p)
	}
	if value, closer, getErr := m.from.Get([]byte(keyGeneration)); getErr == nil && err == nil {
		err = errors.Join(m.batch.Set([]byte(keyGeneration), value, nil), closer.Close())
	}
	if err == nil {
		err = m.to.Apply(m.batch, kv.Sync)
	}
	if err == nil {
		err = m.to.Flush()
	}
	return errors.Join(err, m.batch.Close(), m.to.Close())
}

// room checks that the copy fits on the disk.
func (m *mender) room() error {
	names, err := m.fs.List(m.dir)
	if err != nil {
		return err
	}
	var size uint64
	for _, name := range names {
		if i, err := m.fs.Stat(m.fs.PathJoin(m.dir, name)); err == nil {
			size += uint64(max(i.Size(), 0))
		}
	}
	usage, err := m.fs.GetDiskUsage(m.dir)
	if err == nil && usage.AvailBytes < size+defaultReserve {
		return fmt.Errorf("%w: a copy of %d MiB needs more than there is", store.ErrFull, size>>20)
	}
	return nil
}

// partition copies the marks and blocks of one partition, and notes if its end is lost.
func (m *mender) partition(p uint32) error {
	if _, err := m.keys(prefixMark, p, &note{}); err != nil {
		return err
	}
	var n note
	lost, err := m.keys(prefixBlock, p, &n)
	if err != nil {
		return err
	}
	if !lost {
		earlier, ok := readNote(m.from, p)
		if !ok || earlier.behind != n.behind {
			return nil
		}
		n = earlier // no block has come since
	}
	return m.batch.Set(logKey(prefixNote, p, 0), n.append(nil), nil)
}

// keys copies one kind of keys of a partition. lost says that its end cannot be read; then
// n says what is known of it.
func (m *mender) keys(prefix string, p uint32, n *note) (lost bool, err error) {
	from := uint64(0)
	for {
		last, found, stop := m.stretch(prefix, p, from, n)
		if stop == nil {
			return false, nil
		}
		if !kv.IsCorruptionError(stop) {
			return false, stop
		}
		m.lost++
		n.why = stop.Error()
		if found {
			from = last + 1
		}
		next, ok := m.sound(prefix, p, from)
		if !ok {
			return true, nil
		}
		from = next
	}
}

// stretch copies keys from one on, until there are no more or damage stops it. last is the
// last key it came to, if found.
func (m *mender) stretch(prefix string, p uint32, from uint64, n *note) (last uint64, found bool, err error) {
	it, err := m.from.NewIter(within(prefix, p))
	if err != nil {
		return 0, false, err
	}
	for ok := it.SeekGE(logKey(prefix, p, from)); ok; ok = it.Next() {
		last, found = logSequence(it.Key()), true
		value, err := it.ValueAndErr()
		if err != nil {
			n.first = last
			_ = it.Close() // reports the same again
			return last, true, err
		}
		if err := m.put(it.Key(), value); err != nil {
			return last, true, errors.Join(err, it.Close())
		}
		n.behind, n.first = last+1, 0
	}
	return last, found, it.Close()
}

// put adds one key to the copy.
func (m *mender) put(key, value []byte) error {
	if err := m.batch.Set(key, value, nil); err != nil {
		return err
	}
	m.copied++
	if m.batch.Len() < mendBatch {
		return nil
	}
	if err := m.to.Apply(m.batch, kv.NoSync); err != nil {
		return err
	}
	m.batch.Reset()
	return nil
}

// sound gives the first key from a place on, behind damage, that can be found.
func (m *mender) sound(prefix string, p uint32, from uint64) (uint64, bool) {
	if found, ok, err := m.seek(prefix, p, from); err == nil {
		return found, ok
	}
	if _, _, err := m.seek(prefix, p, math.MaxUint64); err != nil && from == 0 {
		return 0, false // nothing is known of the partition, not even that it is one
	}
	low := from // nothing can be found there
	for step := uint64(1); from+step > from; step *= 2 {
		found, ok, err := m.seek(prefix, p, from+step)
		if err != nil {
			low = from + step
			continue
		}
		high := from + step
		for low+1 < high {
			middle := low + (high-low)/2
			if f, there, err := m.seek(prefix, p, middle); err == nil {
				found, ok, high = f, there, middle
			} else {
				low = middle
			}
		}
		return found, ok
	}
	return 0, false
}

// seek gives the first key at a place or behind it. It looks at no value: Pebble searches
// a damaged one for the bit that changed.
func (m *mender) seek(prefix string, p uint32, at uint64) (uint64, bool, error) {
	it, err := m.from.NewIter(within(prefix, p))
	if err != nil {
		return 0, false, err
	}
	var found uint64
	ok := it.SeekGE(logKey(prefix, p, at))
	if ok {
		found = logSequence(it.Key())
	}
	return found, ok, it.Close()
}

// note says of a partition that its end was lost when it was copied. It holds until
// there is a block behind what was left.
type note struct {
	behind uint64 // the last block that was left begins before it; 0: none was
	first  uint64 // the lost end begins there; 0: not known
	why    string
}

// holds reports whether nothing stands behind what the note tells of.
func (n note) holds(t store.Tail) bool {
	if t.Value == nil {
		return n.behind == 0
	}
	return t.First+1 == n.behind
}

func (n note) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, n.behind)
	return append(binary.LittleEndian.AppendUint64(b, n.first), n.why...)
}

// readNote gives the note of a partition, if there is one.
func readNote(db *kv.DB, p uint32) (note, bool) {
	value, closer, err := db.Get(logKey(prefixNote, p, 0))
	if err != nil {
		return note{}, false
	}
	defer func() { _ = closer.Close() }()
	if len(value) < 16 {
		return note{}, false
	}
	return note{
		behind: binary.LittleEndian.Uint64(value), first: binary.LittleEndian.Uint64(value[8:]), why: string(value[16:]),
	}, true
}
