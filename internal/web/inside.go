package web

import (
	"context"
	"errors"
	"net"
	"sync"
)

// inside is the listener of net/http: it accepts who has come through the door.
type inside struct {
	net.Listener // for its address

	arrived chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newInside(ln net.Listener) *inside {
	return &inside{Listener: ln, arrived: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for the next who comes through.
func (in *inside) Accept() (net.Conn, error) {
	select {
	case nc := <-in.arrived:
		return nc, nil
	case <-in.closed:
		return nil, net.ErrClosed
	}
}

// Close ends accepting.
func (in *inside) Close() error {
	in.once.Do(func() { close(in.closed) })
	return nil
}

// serve hands one who has come through the door to net/http, and waits until it is no
// stranger any more, or gone. A stranger whose time is over is closed.
func (in *inside) serve(ctx context.Context, g *guest) {
	select {
	case in.arrived <- g:
	case <-in.closed:
		_ = g.Close() // nobody is served any more
		return
	}
	select {
	case <-g.settled:
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			_ = g.Close() // it had its time
		}
	}
}
