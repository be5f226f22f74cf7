package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// nextGeneration raises the stored generation, synced, before anything uses it. It stands
// in both instances: damage of one must not keep the engine from opening, and without
// knowing it revisions and epochs would be used again.
func (e *Engine) nextGeneration() (uint64, error) {
	inRecords, err := readGeneration(e.records.db, spaceKey(spaceMeta, metaGeneration), e.records.translator)
	inLog, logErr := readGeneration(e.events.db, []byte(keyGeneration), e.events.translator)
	for _, stands := range []struct {
		err   error
		other uint64
	}{{err, inLog}, {logErr, inRecords}} {
		if stands.err != nil && (stands.other == 0 || !errors.Is(stands.err, store.ErrCorrupt)) {
			return 0, errors.Join(err, logErr)
		}
	}
	generation := max(inRecords, inLog) + 1
	if err := e.writeGeneration(e.records.db, spaceKey(spaceMeta, metaGeneration), generation); err != nil {
		return 0, err
	}
	return generation, e.writeGeneration(e.events.db, []byte(keyGeneration), generation)
}

// readGeneration gives what one instance says, 0 if it says nothing.
func readGeneration(db *kv.DB, key []byte, t *translator) (uint64, error) {
	value, closer, err := db.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, t.translate(err)
	}
	if len(value) != 8 {
		return 0, errors.Join(fmt.Errorf("%w: %s: a generation of %d bytes", store.ErrCorrupt, t.dir, len(value)), closer.Close())
	}
	return binary.LittleEndian.Uint64(value), closer.Close()
}

func (e *Engine) writeGeneration(db *kv.DB, key []byte, generation uint64) error {
	b := db.NewBatch()
	if err := b.Set(key, binary.LittleEndian.AppendUint64(nil, generation), nil); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := e.write(db, b, kv.Sync); err != nil {
		return err
	}
	return b.Close()
}
