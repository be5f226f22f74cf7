package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/fault"
)

// reading gives lines of JSON, one by one, until there are no more, ctx ends, or give
// returns an error, which it returns. A line is borrowed until give returns. kind names
// a server-sent event that is not an ordinary one.
type reading func(ctx context.Context, give func(kind string, line []byte) error) error

// relayed is one line on its way to the stream.
type relayed struct {
	kind string
	line []byte
}

// relay answers with a stream of what read gives. That it failed stands at the end of
// the stream, in which nothing else can be said.
func (c *call) relay(read reading) error {
	st, err := c.open()
	if err != nil {
		return err
	}
	defer st.close()
	ctx, cancel := context.WithCancel(c.r.Context())
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	lines := make(chan relayed)
	taken := make(chan struct{}, 1)
	var failed error
	reader.Go(func() {
		defer close(lines)
		failed = read(ctx, func(kind string, line []byte) error {
			select {
			case lines <- relayed{kind, line}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			select {
			case <-taken:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	all, err := st.relay(ctx, lines, taken)
	if err != nil || !all {
		return err
	}
	if failed != nil && !errors.Is(failed, context.Canceled) {
		if err := st.event("error", "", plainJSON(map[string]any{
			"error": map[string]any{"code": int(fault.Of(failed)), "message": fault.Detail(failed)},
		})); err != nil {
			return err
		}
	}
	return st.flush()
}

// relay writes lines until there are no more or ctx ends. It flushes when there is
// nothing more at hand. all says that everything was read.
func (st *stream) relay(ctx context.Context, lines <-chan relayed, taken chan<- struct{}) (all bool, err error) {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				return true, nil
			}
			if err := st.event(l.kind, "", l.line); err != nil {
				return false, err
			}
			taken <- struct{}{} // never blocks: one line, one token
			settle.Reset(flushAfter)
		case <-settle.C:
			if err := st.flush(); err != nil {
				return false, err
			}
		case <-beat.C:
			if err := st.beat(); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, nil
		case <-st.stop:
			return false, nil
		}
	}
}
