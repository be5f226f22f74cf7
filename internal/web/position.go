package web

import (
	"strconv"
	"strings"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// position is where a stream stands in each partition it reads: the sequence last
// seen, -1 for "before the first"; a partition that is not in it stands where the
// query said.
type position map[int]int64

// String gives "partition:sequence", of several partitions joined by commas in
// ascending order: the id of a server-sent event. One id resumes all partitions.
func (p position) String() string {
	var b strings.Builder
	for partition, left := 0, len(p); left > 0; partition++ {
		sequence, ok := p[partition]
		if !ok {
			continue
		}
		left--
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(partition))
		b.WriteByte(':')
		b.WriteString(strconv.FormatInt(sequence, 10))
	}
	return b.String()
}

// parsePosition reads a Last-Event-ID, nil for an empty one.
func parsePosition(text string, partitions int) (position, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no position is no error
	}
	bad := fault.New(fault.ArgumentInvalid, "web.position", "Last-Event-ID is not partition:sequence")
	if len(text) > maxLastEventID {
		return nil, bad
	}
	p := make(position)
	for part := range strings.SplitSeq(text, ",") {
		k, v, ok := strings.Cut(part, ":")
		partition, errK := strconv.Atoi(k)
		sequence, errV := strconv.ParseInt(v, 10, 64)
		if !ok || errK != nil || errV != nil || partition < 0 || partition >= partitions || sequence < -1 {
			return nil, bad
		}
		p[partition] = sequence
	}
	return p, nil
}

// start is where to begin in a partition: behind the position, or where the query
// says.
func (p position) start(partition int, otherwise device.Start) device.Start {
	if sequence, ok := p[partition]; ok {
		return device.Start{At: device.StartSequence, Sequence: uint64(sequence + 1)}
	}
	return otherwise
}
