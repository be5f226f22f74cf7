package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

const partitions = 4

// record is what the checks need of an event.
type record struct {
	Partition    int       `json:"partition"`
	Sequence     uint64    `json:"sequenceNumber"`
	Offset       string    `json:"offset"`
	EnqueuedTime time.Time `json:"enqueuedTime"`
	DeviceID     string    `json:"deviceId"`
	Body         string    `json:"body"`
}

// place is how far one partition has been read, and a digest of all that was read.
type place struct {
	next     uint64 // the sequence that must come next
	offset   uint64
	enqueued time.Time
	digest   uint64
}

// take checks one event against the one before it.
func (at *place) take(e record) error {
	offset, err := strconv.ParseUint(e.Offset, 10, 64)
	if err != nil {
		return err
	}
	switch {
	case e.Sequence != at.next:
		return fmt.Errorf("partition %d: sequence %d comes where %d must", e.Partition, e.Sequence, at.next)
	case e.Sequence > 0 && offset <= at.offset:
		return fmt.Errorf("partition %d: offset %d of sequence %d is not above %d", e.Partition, offset, e.Sequence, at.offset)
	case e.EnqueuedTime.Before(at.enqueued):
		return fmt.Errorf("partition %d: sequence %d was enqueued before the one before it", e.Partition, e.Sequence)
	}
	at.next, at.offset, at.enqueued = e.Sequence+1, offset, e.EnqueuedTime
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %d %s %s", at.digest, e.Sequence, offset, e.DeviceID, e.Body)
	at.digest = h.Sum64()
	return nil
}

// readOn reads one partition from at to its end and hands every event to each.
func readOn(tb testing.TB, h *rig.Hub, partition int, at *place, each func(record)) {
	tb.Helper()
	eachEvent(tb, h, partition, fmt.Sprintf("fromSequence=%d", at.next), func(text []byte) {
		var e record
		if err := json.Unmarshal(text, &e); err != nil {
			tb.Fatalf("line %q: %v", text, err)
		}
		if e.Partition != partition {
			tb.Fatalf("an event of partition %d among those of %d", e.Partition, partition)
		}
		if err := at.take(e); err != nil {
			tb.Fatal(err)
		}
		each(e)
	})
}

// eachEvent reads one partition from a place, as a query says it, to the end, a line at a time.
func eachEvent(tb testing.TB, h *rig.Hub, partition int, from string, each func(text []byte)) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	url := fmt.Sprintf("https://%s/berth/v1/events/telemetry?api-version=%s&follow=false&partition=%d&%s", rig.Host, rig.APIVersion, partition, from)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", h.OwnerToken())
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := h.HTTPClient().Do(req)
	if err != nil {
		tb.Fatalf("read partition %d: %v", partition, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		tb.Fatalf("read partition %d: status %s", partition, res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 2<<20)
	for lines.Scan() {
		if len(lines.Bytes()) > 0 {
			each(lines.Bytes())
		}
	}
	if err := lines.Err(); err != nil {
		tb.Fatalf("read partition %d: %v", partition, err)
	}
}
