package hubtest_test

import (
	"context"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// gates hold up the calls of a connection's sessions into the hub, as a processor does that
// has other things to do: what was decided before a gate happens behind it, when the world
// has changed.
type gates struct {
	mu   sync.Mutex
	shut map[uint64]chan struct{} // by connection
}

// toggle shuts the gate of a connection, or opens it, and says which.
func (g *gates) toggle(conn uint64) (shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gate, ok := g.shut[conn]; ok {
		close(gate)
		delete(g.shut, conn)
		return false
	}
	g.shut[conn] = make(chan struct{})
	return true
}

// pass waits until the gate of a connection is open.
func (g *gates) pass(conn uint64) {
	g.mu.Lock()
	gate := g.shut[conn]
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// slowCore is a core behind gates.
type slowCore struct {
	device.Core

	gates *gates
}

// Open implements device.Core. The gate stands behind the claim.
func (c slowCore) Open(ctx context.Context, hello device.Hello, wake func()) (device.Session, error) {
	s, err := c.Core.Open(ctx, hello, wake)
	c.gates.pass(hello.Conn.ID)
	if err != nil {
		return nil, err
	}
	return slowSession{s, c.gates, hello.Conn.ID}, nil
}

type slowSession struct {
	device.Session

	gates *gates
	conn  uint64
}

// Append implements device.Session.
func (s slowSession) Append(ms []iot.Raw) (int, error) {
	s.gates.pass(s.conn)
	return s.Session.Append(ms)
}

// Do implements device.Session.
func (s slowSession) Do(op device.Op) error {
	s.gates.pass(s.conn)
	return s.Session.Do(op)
}
