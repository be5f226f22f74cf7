package amqp

import (
	"context"
	"sync"

	"github.com/berth-iot/berth/internal/fault"
)

// sleeper is whatever a connection is woken for: its owner calls woken in its next turn.
type sleeper interface{ woken(c *conn) }

// mailbox is what other goroutines leave for the owner of a connection.
type mailbox struct {
	// fixed

	wake func()

	// guarded by mu

	mu      sync.Mutex
	awake   []sleeper
	rung    map[sleeper]struct{} // the same, so that each stands there once
	done    []func()
	waiting []func() func()
	running int
	closed  bool
	jobs    sync.WaitGroup
}

// ring wakes the owner for s. Any goroutine may call it, at any time.
func (m *mailbox) ring(s sleeper) {
	m.mu.Lock()
	_, rung := m.rung[s]
	if !rung && !m.closed {
		if m.rung == nil {
			m.rung = make(map[sleeper]struct{})
		}
		m.rung[s] = struct{}{}
		m.awake = append(m.awake, s)
	}
	m.mu.Unlock()
	if !rung {
		m.wake()
	}
}

// collect gives what has been left since the last call.
func (m *mailbox) collect() (awake []sleeper, done []func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	awake, done = m.awake, m.done
	m.awake, m.done = nil, nil
	clear(m.rung)
	return awake, done
}

// do has work done beside the owner, and then what it gave by the owner. Beyond maxJobs it
// waits its turn.
func (m *mailbox) do(work func() func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return fault.New(fault.ConnectionForcefullyClosed, "amqp.job", "the connection is closing")
	case m.running < maxJobs:
		m.running++
		m.jobs.Go(func() { m.work(work) })
	case len(m.waiting) < maxWaitingJobs:
		m.waiting = append(m.waiting, work)
	default:
		return fault.New(fault.ThrottleBacklogLimitExceeded, "amqp.job", "%d operations of the connection are waiting already", maxWaitingJobs)
	}
	return nil
}

// work does one job after the other until none waits.
func (m *mailbox) work(job func() func()) {
	for job != nil {
		then := job()
		m.mu.Lock()
		m.done = append(m.done, then)
		job = nil
		if len(m.waiting) > 0 {
			job, m.waiting[0] = m.waiting[0], nil // what it needed is let go of with it
			if m.waiting = m.waiting[1:]; len(m.waiting) == 0 {
				m.waiting = nil
			}
		} else {
			m.running--
		}
		m.mu.Unlock()
		m.wake()
	}
}

// close lets go of what nobody will do any more, and gives what was done and not yet
// collected once the running jobs are over.
func (m *mailbox) close(cancel context.CancelFunc) []func() {
	m.mu.Lock()
	m.closed, m.waiting, m.awake, m.rung = true, nil, nil, nil
	m.mu.Unlock()
	cancel()
	m.jobs.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}
