package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Groups say who reads the messages of devices through the Event Hubs-compatible endpoint:
// one reader for each consumer group, with one connection and a link to every partition.
type Groups struct {
	Names      []string
	Hub        string // the event hub's name
	Partitions int
}

func (g Groups) check() error {
	return errors.Join(
		check("groups", len(g.Names), 1, MaxReaders),
		check("partitions", g.Partitions, 1, maxPartitions),
	)
}

// The filters of a reader.
const (
	selector    = "apache.org:selector-filter:string"
	fromLatest  = "amqp.annotation.x-opt-offset > '@latest'"
	fromInstant = "amqp.annotation.x-opt-enqueued-time >= '%d'"
)

// since is the filter for what was enqueued at a time or later.
func since(t time.Time) string { return fmt.Sprintf(fromInstant, t.UnixMilli()) }

// eventReader reads for one consumer group. It is lean, so that it costs little beside the
// server: events are counted, not looked into, and settled by the range whenever a link is
// given credit. One goroutine at a time uses it.
type eventReader struct {
	// fixed

	conn  *conn
	group string
	links []*inlet // by handle

	// owned by its user

	seen    uint64
	out     []byte // what is to be written
	first   uint32 // of the deliveries that are not settled
	last    uint32
	open    bool  // there are such
	lagged  []int // by handle: the read in which the lag was taken last
	reads   int
	granted bool
}

// reader logs in and attaches to every partition, from where a filter says. No event comes
// before it reads.
func (t *Target) reader(ctx context.Context, n int, g Groups, filter string) (*eventReader, error) {
	r := &eventReader{group: g.Names[n], lagged: make([]int, g.Partitions)}
	var err error
	r.conn, err = t.backend(ctx, n, peerBuffer, func(c *conn) error {
		where := amqpwire.Map(amqpwire.Symbol(selector), amqpwire.Described(amqpwire.Symbol(selector), amqpwire.String(filter)))
		for i := range g.Partitions {
			address := g.Hub + "/ConsumerGroups/" + r.group + "/Partitions/" + strconv.Itoa(i)
			l, err := c.peer.receiving(address, where, readerCredit)
			if err != nil {
				return err
			}
			r.links = append(r.links, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readers logs every group's reader in, or none.
func (t *Target) readers(ctx context.Context, g Groups, filter string) ([]*eventReader, error) {
	var all []*eventReader
	for n := range g.Names {
		r, err := t.reader(ctx, n, g, filter)
		if err != nil {
			leaveAll(all)
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func leaveAll(readers []*eventReader) {
	for _, r := range readers {
		_ = r.conn.leave() // the peer may be gone: nothing is lost by that
	}
}

// until reads until it has seen want events, which may change meanwhile. It ends with an
// error when that is known and nothing comes any more. Of every read, the lag of one event
// of each partition is recorded while measure is set.
func (r *eventReader) until(ctx context.Context, want *atomic.Uint64, lag *histogram, measure *atomic.Bool) error {
	p, heard, beat := r.conn.peer, time.Now(), time.Now()
	if !r.granted {
		r.granted = true
		for _, l := range r.links {
			r.out = p.allow(r.out, l)
		}
	}
	for r.seen < want.Load() {
		if time.Since(beat) > amqpBeat {
			beat = time.Now()
			r.out = amqpwire.AppendEmpty(r.out)
		}
		if err := r.write(); err != nil {
			return err
		}
		_ = r.conn.SetReadDeadline(time.Now().Add(lookEvery))
		err := p.fill()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			heard = time.Now()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return r.named(err)
		case want.Load() == unknown:
			heard = time.Now()
			continue
		case time.Since(heard) > ackWait:
			return r.named(fmt.Errorf("no more came after %d of %d events", r.seen, want.Load()))
		default:
			continue
		}
		r.reads++
		if err := r.take(heard, lag, measure); err != nil {
			return r.named(err)
		}
	}
	r.settle()
	return r.write()
}

// unknown is how many events are to be seen while that is not known.
const unknown = ^uint64(0)

func (r *eventReader) named(err error) error { return fmt.Errorf("group %q: %w", r.group, err) }

func (r *eventReader) write() error {
	if len(r.out) == 0 {
		return nil
	}
	_ = r.conn.SetWriteDeadline(time.Now().Add(ackWait))
	_, err := r.conn.Write(r.out)
	r.out = r.out[:0]
	return err
}

// take takes the frames that have been read.
func (r *eventReader) take(now time.Time, lag *histogram, measure *atomic.Bool) error {
	p := r.conn.peer
	for {
		f, ok, err := p.buffered()
		if err != nil || !ok {
			return err
		}
		if len(f.Body) == 0 {
			continue
		}
		code, err := f.Code()
		if err != nil {
			return err
		}
		switch code {
		case amqpwire.CodeTransfer:
			t, err := f.Transfer()
			if err != nil {
				return err
			}
			if err := r.event(&t, now, lag, measure); err != nil {
				return err
			}
		case amqpwire.CodeFlow:
		default:
			if err := ending(f, code); err != nil {
				return err
			}
			return fmt.Errorf("the server sent %s", code)
		}
	}
}

// event counts one event.
func (r *eventReader) event(t *amqpwire.Transfer, now time.Time, lag *histogram, measure *atomic.Bool) error {
	if int(t.Handle) >= len(r.links) {
		return fmt.Errorf("the server sent on link %d, of %d", t.Handle, len(r.links))
	}
	if t.DeliveryID.Set {
		if !r.open {
			r.open, r.first = true, t.DeliveryID.V
		}
		r.last = t.DeliveryID.V
		if r.lagged[t.Handle] != r.reads && !t.More && measure.Load() {
			r.lagged[t.Handle] = r.reads
			enqueued, err := enqueuedAt(t.Payload)
			if err != nil {
				return err
			}
			lag.record(max(0, now.Sub(enqueued)))
		}
	}
	l := r.links[t.Handle]
	if !t.More {
		r.seen++
	}
	before := len(r.out)
	r.out = r.conn.peer.came(r.out, l, t)
	if len(r.out) > before && !t.More { // credit was due: settle too
		r.settle()
	}
	return nil
}

// settle settles what came.
func (r *eventReader) settle() {
	if !r.open {
		return
	}
	r.open = false
	r.out = amqpwire.Disposition{
		Role: amqpwire.RoleReceiver, First: r.first, Last: r.last, Settled: true, State: amqpwire.Accepted{},
	}.AppendFrame(r.out, 0)
}

// enqueuedAt is when the server took an event in, to the millisecond.
func enqueuedAt(payload []byte) (time.Time, error) {
	m, err := amqpwire.ScanMessage(payload)
	if err != nil {
		return time.Time{}, err
	}
	annotations, err := amqpwire.DecodeAnnotations(m.MessageAnnotations)
	if err != nil {
		return time.Time{}, err
	}
	ms, ok := annotations.Get("x-opt-enqueued-time").AsTimestamp()
	if !ok {
		return time.Time{}, errors.New("an event does not say when it was enqueued")
	}
	return time.UnixMilli(ms), nil
}
