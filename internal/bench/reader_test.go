package bench

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// tape is a connection that plays what it holds and keeps what is written.
type tape struct {
	net.Conn

	plays bytes.Reader
	kept  bytes.Buffer
}

func (p *tape) Read(b []byte) (int, error)         { return p.plays.Read(b) }
func (p *tape) Write(b []byte) (int, error)        { return p.kept.Write(b) }
func (p *tape) SetReadDeadline(_ time.Time) error  { return nil }
func (p *tape) SetWriteDeadline(_ time.Time) error { return nil }

// TestReaderSettlesByRangeWhenCreditIsDue: a message of several frames counts once, what
// came is settled in one range whenever a link gets credit and at the end, and of each read
// the lag of one event of each partition is recorded.
func TestReaderSettlesByRangeWhenCreditIsDue(t *testing.T) {
	b := amqpwire.AppendSection(nil, amqpwire.CodeMessageAnnotations)
	b, at := amqpwire.OpenMap(b)
	b = amqpwire.AppendSymbol(b, "x-opt-enqueued-time")
	b = amqpwire.AppendTimestamp(b, time.Now().Add(-time.Minute).UnixMilli())
	payload := amqpwire.AppendData(amqpwire.CloseMap(b, at, 1), []byte("x"))
	event := func(link, id uint32) []byte {
		return amqpwire.Transfer{Handle: link, DeliveryID: amqpwire.Some(id), Tag: []byte("t"), Payload: payload}.AppendFrame(nil, 0)
	}
	stream := event(0, 7)
	stream = append(stream, event(1, 8)...)
	stream = append(stream, event(0, 9)...) // half of the credit of link 0
	stream = amqpwire.AppendEmpty(stream)
	stream = amqpwire.Transfer{Handle: 1, DeliveryID: amqpwire.Some[uint32](10), Tag: []byte("t"), More: true, Payload: payload[:3]}.AppendFrame(stream, 0)
	stream = amqpwire.Transfer{Handle: 1, Payload: payload[3:]}.AppendFrame(stream, 0) // and of link 1
	stream = append(stream, event(0, 11)...)
	p := &tape{plays: *bytes.NewReader(stream)}
	r := &eventReader{
		conn:  &conn{Conn: p, peer: &peer{Conn: p, most: peerFrame, buf: make([]byte, peerBuffer), begun: 100}},
		links: []*inlet{{handle: 0, size: 4}, {handle: 1, size: 4}}, lagged: make([]int, 2),
	}
	var want atomic.Uint64
	var measure atomic.Bool
	var lag meter
	want.Store(5)
	measure.Store(true)
	if err := r.until(t.Context(), &want, lag.of(0), &measure); err != nil {
		t.Fatal(err)
	}
	var settled, credit [][3]uint32
	for out := p.kept.Bytes(); len(out) > 0; {
		f, n, err := amqpwire.Split(out, peerFrame)
		if err != nil {
			t.Fatal(err)
		}
		out = out[n:]
		switch code, _ := f.Code(); code {
		case amqpwire.CodeDisposition:
			d, err := f.Disposition()
			if err != nil || !d.Settled {
				t.Fatal(d, err)
			}
			settled = append(settled, [3]uint32{d.First, d.Last})
		case amqpwire.CodeFlow:
			w, err := f.Flow()
			if err != nil {
				t.Fatal(err)
			}
			credit = append(credit, [3]uint32{w.Handle.V, w.DeliveryCount.V, w.NextIncomingID.V})
		default:
			t.Errorf("it wrote %s", code)
		}
	}
	if diff := cmp.Diff([][3]uint32{{7, 9}, {10, 10}, {11, 11}}, settled); diff != "" {
		t.Errorf("settled: %s", diff)
	}
	if diff := cmp.Diff([][3]uint32{{0, 0, 100}, {1, 0, 100}, {0, 2, 103}, {1, 2, 105}}, credit); diff != "" {
		t.Errorf("credit (link, deliveries, transfers): %s", diff)
	}
	if l := lag.summary(); l.Count != 2 || l.Max < 59e6 || r.seen != 5 {
		t.Errorf("saw %d events, lag %+v", r.seen, l)
	}
}

func TestReaderSaysWhyItEnds(t *testing.T) {
	stolen := amqpwire.Detach{Handle: 0, Closed: true, Error: &amqpwire.Error{Condition: amqpwire.CondStolen, Description: "another reads"}}
	for want, stream := range map[string][]byte{
		`group "g": the server sent amqp:detach:list: amqp:link:stolen: another reads`: amqpwire.AppendFrame(nil, 0, stolen),
		`group "g": the server sent on link 3, of 1`:                                   amqpwire.Transfer{Handle: 3, DeliveryID: amqpwire.Some[uint32](1), Tag: []byte("t")}.AppendFrame(nil, 0),
		`group "g": EOF`: nil,
	} {
		p := &tape{plays: *bytes.NewReader(stream)}
		r := &eventReader{
			group: "g", conn: &conn{Conn: p, peer: &peer{Conn: p, most: peerFrame, buf: make([]byte, peerBuffer)}},
			links: []*inlet{{size: 4}}, lagged: make([]int, 1),
		}
		var number atomic.Uint64
		var measure atomic.Bool
		number.Store(1)
		err := r.until(t.Context(), &number, new(histogram), &measure)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
