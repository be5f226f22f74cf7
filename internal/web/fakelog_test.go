package web

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// fakeLog is a telemetry log in memory.
type fakeLog struct {
	mu         sync.Mutex
	partitions [][]iot.Event
	trimmed    []uint64          // by partition: the earliest sequence kept
	damaged    map[[2]uint64]int // partition, sequence: how many events cannot be read from there
	changed    chan struct{}
	open       int // readers not yet closed
}

func newFakeLog(n int) *fakeLog {
	return &fakeLog{
		partitions: make([][]iot.Event, n), trimmed: make([]uint64, n), damaged: map[[2]uint64]int{}, changed: make(chan struct{}),
	}
}

// add appends one event to a partition.
func (l *fakeLog) add(partition int, dev, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := uint64(len(l.partitions[partition]))
	l.partitions[partition] = append(l.partitions[partition], iot.Event{
		Partition: partition, Sequence: seq, Offset: seq * 100, Enqueued: noon.Add(time.Duration(seq) * time.Second),
		Stamp: iot.Stamp{Identity: iot.Identity{Device: dev}, Generation: 7},
		Raw:   iot.Raw{Source: iot.SourceHeaders, Props: []byte("iothub-app-n: " + strconv.FormatUint(seq, 10) + "\n"), Body: []byte(body)},
	})
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *fakeLog) Ends() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends := make([]uint64, len(l.partitions))
	for i, p := range l.partitions {
		ends[i] = uint64(len(p))
	}
	return ends
}

func (l *fakeLog) Reader(partition int, start device.Start) (device.EventReader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &fakeReader{log: l, partition: partition}
	switch start.At {
	case device.StartEarliest:
	case device.StartSequence:
		r.at = start.Sequence
	case device.StartOffset:
		r.at = (start.Offset + 99) / 100
	case device.StartTime:
		r.at = uint64(max(start.Time.Sub(noon)/time.Second, 0))
	case device.StartEnd:
		r.at = uint64(len(l.partitions[partition]))
	}
	l.open++
	return r, nil
}

func (l *fakeLog) readers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

type fakeReader struct {
	log       *fakeLog
	partition int
	at        uint64
	run       [2]iot.Event // runs are short, and used again
}

func (r *fakeReader) Next(ctx context.Context) ([]iot.Event, error) {
	for {
		events, changed, err := r.look()
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (r *fakeReader) look() ([]iot.Event, chan struct{}, error) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.at = max(r.at, r.log.trimmed[r.partition])
	if n := r.log.damaged[[2]uint64{uint64(r.partition), r.at}]; n > 0 {
		first := r.at
		r.at += uint64(n)
		return nil, nil, fault.New(fault.ServerError, "fake", "events %d to %d of partition %d are damaged and were skipped", first, r.at-1, r.partition)
	}
	all := r.log.partitions[r.partition]
	if r.at >= uint64(len(all)) {
		return nil, r.log.changed, nil
	}
	n := copy(r.run[:], all[r.at:])
	r.at += uint64(n)
	return r.run[:n], nil, nil
}

func (r *fakeReader) Close() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.open--
}
