package crash

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-iot/berth/test/rig"
)

// history is everything that was ever read of one partition that retention works on: what
// a sequence held once, it holds for ever, or it is gone with everything before it.
type history struct {
	partition int
	first     uint64 // the earliest kept
	next      uint64 // the sequence that must come next
	held      map[uint64]message
	devices   map[string]bool // whose messages were ever read here
}

// message is what an event said.
type message struct {
	device string
	number uint64
	offset uint64
}

// line is one line of a stream: an event, or a stretch that is not there.
type line struct {
	record
	Gap *struct {
		From    *uint64 `json:"fromSequence"`
		To      *uint64 `json:"toSequence"`
		Code    int     `json:"code"`
		Message string  `json:"message"`
	} `json:"gap"`
}

// reread reads the partition from its beginning and gives what is new, in order.
func (h *history) reread(tb testing.TB, hub *rig.Hub) (fresh []message) {
	tb.Helper()
	at, before := uint64(0), h.next
	begun := false
	eachLine(tb, hub, h.partition, func(l line) {
		if l.Gap != nil {
			if l.Gap.From == nil || l.Gap.To == nil || *l.Gap.From != at || !begun || l.Gap.Code/1000 != 404 {
				tb.Fatalf("partition %d at %d: a gap that retention does not make: %s", h.partition, at, l.Gap.Message)
			}
			at = *l.Gap.To + 1
			return
		}
		if !begun && l.Sequence < h.first {
			tb.Fatalf("partition %d begins at %d, it began at %d", h.partition, l.Sequence, h.first)
		}
		if begun && l.Sequence != at {
			tb.Fatalf("partition %d: sequence %d comes where %d must", h.partition, l.Sequence, at)
		}
		if !begun {
			h.first = l.Sequence
		}
		begun, at = true, l.Sequence+1
		m, err := parse(l.record)
		if err != nil {
			tb.Fatal(err)
		}
		if old, known := h.held[l.Sequence]; known && old != m {
			tb.Fatalf("partition %d: sequence %d holds %+v, it held %+v", h.partition, l.Sequence, m, old)
		}
		if prior, ok := h.held[l.Sequence-1]; ok && prior.offset >= m.offset {
			tb.Fatalf("partition %d: sequence %d is at offset %d, behind %d", h.partition, l.Sequence, m.offset, prior.offset)
		}
		h.held[l.Sequence], h.devices[m.device] = m, true
		if l.Sequence >= before {
			fresh = append(fresh, m)
		}
	})
	if at < before {
		tb.Fatalf("partition %d ends at %d, it ended at %d", h.partition, at, before)
	}
	h.next = at
	for s := range h.held {
		if s < h.first {
			delete(h.held, s)
		}
	}
	return fresh
}

// parse reads the body that a publisher made.
func parse(e record) (message, error) {
	fields := strings.Fields(e.Body)
	offset, err := strconv.ParseUint(e.Offset, 10, 64)
	if err != nil || len(fields) != 3 || fields[0] != e.DeviceID || strings.Trim(fields[2], ".") != "" {
		return message{}, fmt.Errorf("message of %s at offset %q has the body %.60q", e.DeviceID, e.Offset, e.Body)
	}
	n, err := strconv.ParseUint(fields[1], 10, 64)
	return message{device: e.DeviceID, number: n, offset: offset}, err
}

// eachLine reads one partition from the earliest event to the end.
func eachLine(tb testing.TB, h *rig.Hub, partition int, each func(line)) {
	tb.Helper()
	eachEvent(tb, h, partition, "from=earliest", func(text []byte) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			tb.Fatalf("line %.200q: %v", text, err)
		}
		each(l)
	})
}

// settleKept is settle where retention may have taken the first of what was stored: passed
// says that it came as far as the connection's messages.
func (p *publisher) settleKept(stored []uint64, passed bool) error {
	if !passed {
		return p.settle(stored)
	}
	if len(stored) == 0 { // retention has passed all of it, or nothing was stored: nobody can tell
		return nil
	}
	for i, n := range p.sent {
		if n == stored[0] {
			rest := publisher{id: p.id, sent: p.sent[i:], acked: max(p.acked-i, 0)}
			return rest.settle(stored)
		}
	}
	return fmt.Errorf("%s: message %d is stored and was not sent", p.id.DeviceID, stored[0])
}
