package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/berth-iot/berth/internal/store"
)

// partitionsKey is the record that fixes the number of partitions of a data folder
// (docs/format.md): a device's partition follows from it.
const partitionsKey = "hub/partitions"

// fixedPartitions gives the number of partitions of the data folder, fixing wanted
// if it has none yet.
func fixedPartitions(ctx context.Context, records store.Records, wanted int) (int, error) {
	rec, err := records.Get(ctx, partitionsKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		_, err := records.Apply(ctx, store.Batch{Writes: []store.Write{{
			Key: partitionsKey, Value: []byte(strconv.Itoa(wanted)), If: store.Absent,
		}}})
		if err != nil {
			return 0, fmt.Errorf("fix the number of partitions: %w", err)
		}
		return wanted, nil
	case err != nil:
		return 0, fmt.Errorf("read the number of partitions: %w", err)
	}
	n, err := strconv.Atoi(string(rec.Value))
	if err != nil {
		return 0, fmt.Errorf("the record %s is damaged: %w", partitionsKey, err)
	}
	return n, nil
}
