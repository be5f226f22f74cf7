package crash

import (
	"testing"
	"time"
)

// TestSettleSeesEveryBreach plants each way in which a hub could break its promise.
func TestSettleSeesEveryBreach(t *testing.T) {
	for _, c := range []struct {
		name   string
		stored []uint64
		good   bool
	}{
		{"exactly what was acknowledged", []uint64{7, 8, 9}, true},
		{"and more that was sent", []uint64{7, 8, 9, 10}, true},
		{"all that was sent", []uint64{7, 8, 9, 10, 11}, true},
		{"the last acknowledged is missing", []uint64{7, 8}, false},
		{"the first is missing", []uint64{8, 9, 10}, false},
		{"one in the middle is missing", []uint64{7, 9, 10}, false},
		{"doubled", []uint64{7, 8, 8, 9}, false},
		{"swapped", []uint64{7, 9, 8}, false},
		{"more than was sent", []uint64{7, 8, 9, 10, 11, 12}, false},
		{"nothing", nil, false},
	} {
		p := publisher{sent: []uint64{7, 8, 9, 10, 11}, acked: 3}
		if err := p.settle(c.stored); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPlaceSeesEveryBreach plants what must not be between two events of a partition.
func TestPlaceSeesEveryBreach(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := record{Sequence: 4, Offset: "100", EnqueuedTime: at}
	for _, c := range []struct {
		name string
		next record
		good bool
	}{
		{"next", record{Sequence: 5, Offset: "164", EnqueuedTime: at}, true},
		{"gap", record{Sequence: 6, Offset: "164", EnqueuedTime: at}, false},
		{"again", record{Sequence: 4, Offset: "164", EnqueuedTime: at}, false},
		{"offset stands", record{Sequence: 5, Offset: "100", EnqueuedTime: at}, false},
		{"offset is no number", record{Sequence: 5, Offset: "x", EnqueuedTime: at}, false},
		{"time steps back", record{Sequence: 5, Offset: "164", EnqueuedTime: at.Add(-time.Millisecond)}, false},
	} {
		p := place{next: 4}
		if err := p.take(first); err != nil {
			t.Fatal(err)
		}
		digest := p.digest
		err := p.take(c.next)
		if (err == nil) != c.good || c.good && p.digest == digest {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
