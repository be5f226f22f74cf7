package diagnosis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// The keys of the store. Ids never hold '/', so a device's prefix is its modules' too.
//
//	diag/run                     the number of the last run of the hub
//	diag/h/<device>/<module>     the head of an identity's story; <module> may be empty
//	diag/c/<device>/<module>/NN  a displacement: see slot
//	diag/p/<device>/<module>/NN  an earlier story as it was explained: its number modulo maxPast
const (
	runKey           = "diag/run"
	headKeys         = "diag/h/"
	displacementKeys = "diag/c/"
	pastKeys         = "diag/p/"
)

// recordVersion is the version of every record here; all are JSON.
const recordVersion = 1

func headKey(id iot.Identity) string { return headKeys + id.Device + "/" + id.Module }

func displacementKey(id iot.Identity, number uint64) string {
	return fmt.Sprintf("%s%s/%s/%02d", displacementKeys, id.Device, id.Module, slot(number))
}

// slot is where the displacement with that number is kept: the first ones for good, the
// others in turn.
func slot(number uint64) uint64 {
	if number <= maxFirst {
		return number - 1
	}
	return maxFirst + (number-maxFirst-1)%(maxKept-maxFirst)
}

func pastKey(id iot.Identity, story uint64) string {
	return fmt.Sprintf("%s%s/%s/%02d", pastKeys, id.Device, id.Module, story%maxPast)
}

// identityOf is the inverse of headKey.
func identityOf(key string) iot.Identity {
	dev, module, _ := strings.Cut(strings.TrimPrefix(key, headKeys), "/")
	return iot.Identity{Device: dev, Module: module}
}

// head is the stored form of a story but for its displacements.
type head struct {
	Version int                 `json:"version"`
	Story   uint64              `json:"story"`   // of the identity, from 1 on
	Counted []iot.Verdict       `json:"counted"` // the verdicts that it has come to
	Summary iot.ConflictSummary `json:"summary"`
	History History             `json:"history"`
}

// displacementRecord is the stored form of a displacement.
type displacementRecord struct {
	Version int    `json:"version"`
	Story   uint64 `json:"story"`
	Displacement
}

// pastRecord is the stored form of an earlier story.
type pastRecord struct {
	Version     int             `json:"version"`
	Story       uint64          `json:"story"`
	Since       time.Time       `json:"since"`
	Explanation iot.Explanation `json:"explanation"`
}

// decode reads a record of any kind; a newer version is store.ErrFormat.
func decode(value []byte, v any) error {
	if len(value) > maxRecord {
		return errors.New("the record is too long")
	}
	var form struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(value, &form); err != nil {
		return err
	}
	if form.Version != recordVersion {
		return fmt.Errorf("record of version %d: %w", form.Version, store.ErrFormat)
	}
	return json.Unmarshal(value, v)
}

// beginRun gives this run of the hub its number, greater than every earlier one: a
// FILETIME, so that sequence numbers look as Azure's do. again says that there was one.
// A full store keeps no hub from starting: then the number is to be written later.
func beginRun(ctx context.Context, records store.Records, started time.Time) (run uint64, again bool, later []store.Write, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	run = iot.Ticks(started) - fileTimeOrigin
	rec, err := records.Get(ctx, runKey)
	switch {
	case err == nil:
		last, err := strconv.ParseUint(string(rec.Value), 10, 64)
		if err != nil {
			return 0, false, nil, fmt.Errorf("read %s: %w", runKey, err)
		}
		run, again = max(run, last+1), true
	case !errors.Is(err, store.ErrNotFound):
		return 0, false, nil, fmt.Errorf("read %s: %w", runKey, err)
	}
	write := []store.Write{{Key: runKey, Value: strconv.AppendUint(nil, run, 10), If: store.Any}}
	_, err = records.Apply(ctx, store.Batch{Writes: write})
	if errors.Is(err, store.ErrFull) {
		return run, again, write, nil
	}
	if err != nil {
		return 0, false, nil, fmt.Errorf("write %s: %w", runKey, err)
	}
	return run, again, nil, nil
}

// fileTimeOrigin is 1601, the first FILETIME, in ticks.
const fileTimeOrigin = 504_911_232_000_000_000
