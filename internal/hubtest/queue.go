package hubtest

import (
	"encoding/binary"
	"slices"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// pending is a message that waits for an identity, or that a session has.
type pending struct {
	iot.LockedMessage

	by *Session // who has it; nil: nobody
}

// Send queues a message for an identity, and wakes its session.
func (c *Core) Send(id iot.Identity, m iot.CloudMessage) {
	c.mu.Lock()
	c.sent++
	c.queues[id] = append(c.queues[id], &pending{LockedMessage: iot.LockedMessage{
		CloudMessage: m, Sequence: c.sent, Number: uint16(c.sent),
	}})
	s := c.live[id]
	c.mu.Unlock()
	if s != nil {
		s.wake()
	}
}

// Pending gives the messages of an identity that are not settled, oldest first; those
// that a session has carry its lock.
func (c *Core) Pending(id iot.Identity) []iot.LockedMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []iot.LockedMessage{}
	for _, p := range c.queues[id] {
		m := p.LockedMessage
		if p.by == nil {
			m.Lock = iot.LockToken{}
		}
		list = append(list, m)
	}
	return list
}

// Lapse ends the locks of an identity's messages, as time does, and wakes its session.
func (c *Core) Lapse(id iot.Identity) {
	c.mu.Lock()
	s := c.live[id]
	c.releaseLocked(s)
	c.mu.Unlock()
	if s != nil {
		s.wake()
	}
}

// releaseLocked gives back what s has.
func (c *Core) releaseLocked(s *Session) {
	if s == nil {
		return
	}
	for _, p := range c.queues[s.Hello.Identity] {
		if p.by == s {
			p.by, p.Again = nil, true
		}
	}
}

// take gives messages to s as far as there is room.
func (c *Core) take(s *Session, dst []device.Delivery, room device.Room) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, p := range c.queues[s.Hello.Identity] {
		size := p.Size()
		if n == len(dst) || n >= room.Messages || room.Bytes <= 0 || n > 0 && size > room.Bytes {
			break
		}
		if p.by != nil {
			continue
		}
		room.Bytes -= size
		c.locks++
		p.by = s
		binary.BigEndian.PutUint64(p.Lock[8:], c.locks)
		m := p.LockedMessage
		dst[n] = device.Delivery{Message: &m}
		n++
	}
	return n
}

// settle performs a settlement of s.
func (c *Core) settle(s *Session, what device.Settle) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[s.Hello.Identity]
	i := slices.IndexFunc(q, func(p *pending) bool { return p.by == s && p.Lock == what.Lock })
	if i < 0 {
		return fault.New(fault.DeviceMessageLockLost, "hubtest.settle", "the lock has ended")
	}
	if what.Outcome == device.Abandon {
		q[i].by, q[i].Again = nil, true
		q[i].DeliveryCount++
		return nil
	}
	c.queues[s.Hello.Identity] = slices.Delete(q, i, i+1)
	return nil
}
