package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Multiplex measures what devices cost that share one AMQP connection: a back-end's login
// attaches for each of them a link to send on and one to receive on, holds all of them idle
// for Hold, and has each send one message.
type Multiplex struct {
	Devices int
	Hold    time.Duration // idle time before memory is read
}

func (m Multiplex) check() error {
	return errors.Join(check("devices", m.Devices, 1, MaxShared), checkDuration("hold", m.Hold))
}

// Run attaches and reports. A link that is refused, or a message that is not accepted, is an
// error or a device that is not alive at the end.
func (m Multiplex) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := errors.Join(m.check(), t.check(), t.only(AMQP), t.serviced()); err != nil {
		return nil, err
	}
	both, err := watchBoth(t.PID)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := both.open(); err != nil {
		return nil, err
	}
	c, err := t.backend(ctx, 0, peerBuffer, func(*conn) error { return nil })
	if err != nil {
		return nil, err
	}
	defer c.leave() //nolint:errcheck // the peer may be gone: nothing is lost by that
	run := &gateway{conn: c, byName: make(map[string]*guest)}
	if err := run.attach(ctx, t, m.Devices); err != nil {
		return nil, err
	}
	length := time.Since(started)
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	if err := run.hold(ctx, m.Hold); err != nil {
		return nil, err
	}
	if err := both.remember(); err != nil {
		return nil, err
	}
	r := &Report{
		Run: "multiplex", Target: t.Address, Protocol: AMQP.String(), TLS: t.TLS != nil, Cipher: t.settled(), Started: started.UTC(), Seconds: length.Seconds(),
		Devices: m.Devices, Done: uint64(len(run.guests)), Latency: run.attached.summary(),
	}
	var failed failures
	alive, err := run.send(ctx)
	if err != nil {
		failed.add(err)
	}
	r.Alive = &alive
	r.finish(length, both, &failed)
	return r, nil
}

// gateway is one connection with many devices. One goroutine uses it.
type gateway struct {
	*conn

	guests   []*guest
	byName   map[string]*guest // by the names of their links, while these are not attached
	byHandle []*guest          // whose link to send on it is; nil: one to receive on
	attached meter
}

// guest is one device of them.
type guest struct {
	outlet outlet
	links  int // attached
	since  time.Time
}

// attach attaches every device, attachAtOnce of them at once.
func (g *gateway) attach(ctx context.Context, t *Target, devices int) error {
	for len(g.guests) < devices {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := g.SetDeadline(time.Now().Add(ackWait)); err != nil {
			return err
		}
		var out []byte
		for range min(attachAtOnce, devices-len(g.guests)) {
			account, err := t.Account(len(g.guests))
			if err != nil {
				return err
			}
			out = g.ask(out, account)
		}
		if _, err := g.Write(out); err != nil {
			return err
		}
		for len(g.byName) > 0 {
			if err := g.granted(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask appends the attaches of a device.
func (g *gateway) ask(b []byte, a Account) []byte {
	n := &guest{since: time.Now(), outlet: outlet{handle: g.peer.handles}}
	out, in := outgoing(a.Topic), incoming(a.Filter, amqpwire.Value{})
	out.Handle, in.Handle = g.peer.handles, g.peer.handles+1
	g.peer.handles += 2
	g.guests, g.byHandle = append(g.guests, n), append(g.byHandle, n, nil)
	g.byName[out.Name], g.byName[in.Name] = n, n
	return amqpwire.AppendFrame(amqpwire.AppendFrame(b, 0, out), 0, in)
}

// granted takes one frame while links are being attached.
func (g *gateway) granted() error {
	f, code, err := g.step()
	if err != nil || code == amqpwire.CodeFlow {
		return err
	}
	p, err := f.Decode()
	if err != nil {
		return err
	}
	a, ok := p.(amqpwire.Attach)
	n := g.byName[a.Name]
	if !ok || n == nil {
		return fmt.Errorf("the server sent %s %q, which was not asked for", code, a.Name)
	}
	if a.Role == amqpwire.RoleReceiver && a.Target == nil || a.Role == amqpwire.RoleSender && a.Source == nil {
		_, err := await[amqpwire.Detach](g.peer) // says why
		return fmt.Errorf("attach %s: %w", a.Name, err)
	}
	delete(g.byName, a.Name)
	if n.links++; n.links == 2 {
		g.attached.of(0).record(time.Since(n.since))
	}
	if a.Role == amqpwire.RoleSender { // we receive on it
		_, err = g.Write(g.peer.allow(nil, &inlet{handle: n.outlet.handle + 1, size: deviceCredit}))
	}
	return err
}

// step gives the next frame; flows have been taken.
func (g *gateway) step() (amqpwire.Frame, amqpwire.Code, error) {
	f, code, err := g.peer.step()
	if err != nil || code != amqpwire.CodeFlow {
		return f, code, err
	}
	w, err := f.Flow()
	if err == nil && w.Handle.Set && int(w.Handle.V) < len(g.byHandle) {
		if n := g.byHandle[w.Handle.V]; n != nil {
			n.outlet.flow(&w)
		}
	}
	return f, code, err
}

// hold leaves the connection idle, but for the frames that keep it alive.
func (g *gateway) hold(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if err := wait(ctx, nil, nil, min(left, amqpBeat)); err != nil || left <= amqpBeat {
			return err
		}
		_ = g.SetWriteDeadline(time.Now().Add(closeWait))
		if _, err := g.Write(amqpwire.AppendEmpty(nil)); err != nil {
			return err
		}
	}
}

// send has every device send one message, and counts those that are accepted.
func (g *gateway) send(ctx context.Context) (alive int, err error) {
	p, flying := g.peer, make(map[uint32]bool)
	payload := amqpwire.AppendData(nil, []byte("alive"))
	for _, n := range g.guests {
		if err := errors.Join(context.Cause(ctx), g.SetDeadline(time.Now().Add(ackWait))); err != nil {
			return alive, err
		}
		for n.outlet.credit == 0 || p.window == 0 || len(flying) >= attachAtOnce {
			accepted, err := g.outcomes(flying)
			if alive += accepted; err != nil {
				return alive, err
			}
		}
		t := amqpwire.Transfer{
			Handle: n.outlet.handle, DeliveryID: amqpwire.Some(p.next), Tag: binary.BigEndian.AppendUint32(nil, p.next),
			MessageFormat: amqpwire.Some[uint32](0), Settled: amqpwire.Some(false), Payload: payload,
		}
		flying[p.next] = true
		p.next++
		p.window--
		n.outlet.sent++
		n.outlet.credit--
		if _, err := g.Write(t.AppendFrame(nil, 0)); err != nil {
			return alive, err
		}
	}
	for len(flying) > 0 {
		accepted, err := g.outcomes(flying)
		if alive += accepted; err != nil {
			return alive, err
		}
	}
	return alive, nil
}

// outcomes takes one frame while messages are in flight, and gives how many it accepted.
func (g *gateway) outcomes(flying map[uint32]bool) (accepted int, err error) {
	f, code, err := g.step()
	if err != nil || code == amqpwire.CodeFlow {
		return 0, err
	}
	if code != amqpwire.CodeDisposition {
		return 0, fmt.Errorf("the server sent %s", code)
	}
	for id := range flying {
		is, err := settles(f, amqpwire.Some(id))
		if err != nil {
			return accepted, err
		}
		if is {
			delete(flying, id)
			accepted++
		}
	}
	return accepted, nil
}
