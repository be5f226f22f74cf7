package crash

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// window is how many PUBLISH packets a stream has in flight, and pace how long it waits
// between two windows: some load, and not more than a small disk holds.
const (
	window = 4
	pace   = 5 * time.Millisecond
)

// visit is one connection of a stream: what it sent, and how much of it, from the front,
// was acknowledged.
type visit struct{ sent, acked int }

// stream is a device that publishes numbered messages, and connects again whenever it is
// sent away. No number is sent twice, so that what is stored of each visit can be told
// from the others.
type stream struct {
	// fixed

	id  rig.Identity
	hub *rig.Hub
	tls *tls.Config

	// owned by run

	next uint64

	// guarded by mu

	mu     sync.Mutex
	visits []visit
}

// run publishes until ctx ends. It gives an error for what no hub may do.
func (s *stream) run(ctx context.Context) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := s.visit(ctx, tick.C); err != nil {
			return err
		}
		select { // whoever is sent away waits a little
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// visit publishes on one connection until it ends.
func (s *stream) visit(ctx context.Context, tick <-chan time.Time) error {
	l, err := s.hub.TryDial(ctx, s.tls)
	if err != nil {
		return nil // the hub is gone, or ctx has ended
	}
	defer l.Conn.Close()
	p, err := l.TryGreet(s.id.Hello())
	if err != nil || p.Type != rig.ConnAck || len(p.Body) != 2 || p.Body[1] != 0 {
		return nil // the hub is gone, or lets nobody in: then nothing is acknowledged either, which tests see
	}
	s.mu.Lock()
	s.visits = append(s.visits, visit{})
	s.mu.Unlock()
	r := bufio.NewReader(l.Conn)
	books := publisher{id: s.id, next: s.next}
	defer func() { s.next = books.next }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
		var out []byte
		for range window {
			out = append(out, rig.PublishBytes(s.id.EventsTopic(), 0x02, packetID(len(books.sent)), books.body(books.next))...)
			books.sent = append(books.sent, books.next)
			books.next++
		}
		broken := l.TrySend(out) != nil
		s.note(&books)
		for books.acked < len(books.sent) || broken {
			if err := l.Conn.SetReadDeadline(time.Now().Add(rig.Within)); err != nil {
				return nil // the connection is gone
			}
			died, err := books.takeAck(r)
			s.note(&books)
			if died || err != nil {
				return err
			}
		}
	}
}

// note writes the books of the present visit down.
func (s *stream) note(p *publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits[len(s.visits)-1] = visit{sent: len(p.sent), acked: p.acked}
}

// acked is how many messages were acknowledged in all.
func (s *stream) acked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.visits {
		n += v.acked
	}
	return n
}

// settle compares what the log holds of the stream with what was sent: of each visit a
// prefix, at least as long as what was acknowledged, in order, each once.
func (s *stream) settle(stored []uint64) error {
	first := uint64(0)
	for i, v := range s.visits {
		p := publisher{id: s.id, acked: v.acked}
		for n := range v.sent {
			p.sent = append(p.sent, first+uint64(n))
		}
		first += uint64(v.sent)
		of := 0
		for of < len(stored) && stored[of] < first {
			of++
		}
		if err := p.settle(stored[:of]); err != nil {
			return fmt.Errorf("visit %d of %d: %w", i, len(s.visits), err)
		}
		stored = stored[of:]
	}
	if len(stored) > 0 {
		return fmt.Errorf("%s: %v is stored and was never sent", s.id.DeviceID, stored)
	}
	return nil
}

// streams runs all until the function it gives is called, which gives what went wrong.
func streams(ctx context.Context, all []*stream) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	failed := make(chan error, len(all))
	for _, s := range all {
		wg.Go(func() {
			if err := s.run(ctx); err != nil {
				failed <- err
			}
		})
	}
	return func() error {
		cancel()
		wg.Wait()
		close(failed)
		var errs []error
		for err := range failed {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}
