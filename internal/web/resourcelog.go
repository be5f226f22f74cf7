package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/fault"
)

// resourceLog answers GET /berth/v1/events/resource-log: the records as they stand
// in the log, addresses masked as they are there.
func (s *Server) resourceLog(c *call) error {
	q, err := parseLogQuery(c.query)
	if err != nil {
		return err
	}
	st, err := c.open()
	if err != nil {
		return err
	}
	defer st.close()
	ctx, cancel := context.WithCancel(c.r.Context())
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	lines := make(chan []byte)
	taken := make(chan struct{}, 1)
	var failed error
	reader.Go(func() {
		defer close(lines)
		failed = s.cfg.ResourceLog.Read(ctx, q, func(line []byte) error {
			select {
			case lines <- line:
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
	all, err := relay(ctx, st, lines, taken)
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

// relay writes lines until there are no more or ctx ends. It flushes when the log
// has nothing more at hand. all says that the log was read to its end.
func relay(ctx context.Context, st *stream, lines <-chan []byte, taken chan<- struct{}) (all bool, err error) {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return true, nil
			}
			if err := st.event("", "", line); err != nil {
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
