package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// Serve speaks MQTT with a peer until the connection has ended, or hands it to the lot (see
// park.Conn.Run), and closes it in any case. Its facts are shared with the hub. ctx has a
// deadline, and bounds the arrival only: whoever is admitted lives until the lot shuts down.
func (s *Server) Serve(ctx context.Context, p park.Peer) {
	c, err := s.door.Lot().Admit(p.Conn, &p.Facts.Traffic)
	if err != nil {
		_ = p.Conn.Close()
		return
	}
	log := s.log.With(slog.Uint64("conn", p.Facts.ID), slog.String("remote", p.Facts.Remote.String()))
	a := arrival{server: s, facts: p.Facts, certs: p.Certs, wake: c.Wake, log: log}
	m, leftover, last := a.admit(ctx, p.Conn, p.In)
	if m == nil {
		c.Leave(last)
		return
	}
	p.Admitted()
	c.Run(m, leftover)
}

// whole reports whether in begins with a whole CONNECT, or with something that is none.
func whole(in []byte) bool {
	if mqttwire.Type(in[0]>>4) != mqttwire.TypeConnect {
		return true
	}
	_, _, err := mqttwire.Split(in, park.MaxArrival)
	return !errors.Is(err, mqttwire.ErrShort)
}

// arrival is one peer between accept and CONNACK.
type arrival struct {
	// fixed

	server *Server
	facts  *device.Conn
	certs  []*x509.Certificate
	wake   func()
	log    *slog.Logger
}

// admit reads the CONNECT, of which in may hold all, and opens a session. Without a machine
// the connection is refused: last, which may be empty, is written and the connection closed.
// A panic on the way refuses this peer only.
func (a *arrival) admit(ctx context.Context, nc net.Conn, in []byte) (m *machine, leftover, last []byte) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("an arrival panicked", slog.String("op", "mqtt.connect"),
				slog.String("err", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			m, leftover, last = nil, nil, nil
		}
	}()
	if len(in) == 0 {
		var err error
		if in, err = a.gather(ctx, nc); err != nil {
			return nil, nil, a.refuse(ctx, err)
		}
	}
	connect, leftover, err := read(in)
	if err != nil {
		return nil, nil, a.refuse(ctx, err)
	}
	a.facts.Traffic.PacketsIn.Add(1)
	m, err = a.open(ctx, connect)
	if err != nil {
		return nil, nil, a.refuse(ctx, err)
	}
	return m, leftover, nil
}

// gather reads what a peer says first that comes by another protocol.
func (a *arrival) gather(ctx context.Context, nc net.Conn) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	_ = nc.SetReadDeadline(deadline) // a socket that refuses fails at the first read
	in, err := park.Gather(nc, whole)
	a.facts.Traffic.In(time.Now(), len(in))
	return in, err
}

// errNotConnect: the first packet is another one.
var errNotConnect = errors.New("the first packet is not a CONNECT [MQTT-3.1.0-1]")

// read reads a CONNECT, and gives what came behind it.
func read(in []byte) (connect mqttwire.Connect, leftover []byte, err error) {
	if mqttwire.Type(in[0]>>4) != mqttwire.TypeConnect {
		return mqttwire.Connect{}, nil, errNotConnect
	}
	f, used, err := mqttwire.Split(in, park.MaxArrival)
	if err != nil {
		return mqttwire.Connect{}, nil, err
	}
	connect, err = f.Connect()
	return connect, in[used:], err
}

// refuse gives the last words for an error: a return code for a refusal the client should
// know of, nothing for a peer that does not speak the protocol.
func (a *arrival) refuse(ctx context.Context, err error) []byte {
	level := slog.LevelDebug
	var last []byte
	if version, ok := errors.AsType[*mqttwire.VersionError](err); ok {
		last = versionRefusal(version)
	} else if refused, ok := errors.AsType[*fault.Error](err); ok {
		last = refusal(err)
		if refused.Code.Status() >= 500 {
			level = slog.LevelWarn
		}
	}
	a.log.LogAttrs(ctx, level, "connection refused",
		slog.String("op", "mqtt.connect"), slog.String("err", err.Error()))
	return last
}

// open opens the session that a CONNECT asks for. Its errors are fault.Error.
func (a *arrival) open(ctx context.Context, c mqttwire.Connect) (*machine, error) {
	hello, err := a.hello(c)
	if err != nil {
		return nil, err
	}
	session, err := a.server.core.Open(ctx, hello, a.wake)
	if err != nil {
		if _, ok := errors.AsType[*fault.Error](err); !ok {
			err = fault.Wrap(err, fault.ServerError, "mqtt.connect", "")
		}
		return nil, err
	}
	subs, present := session.Resumed()
	m := &machine{
		session:   session,
		own:       own(hello.Identity),
		facts:     a.facts,
		silence:   silence(hello.Client.KeepAlive),
		scratches: &a.server.scratches,
		log:       a.server.log,
		greeting:  mqttwire.Connack{SessionPresent: present, Code: mqttwire.Accepted}.Append(nil),
		tracking:  tracker{base: randomBase()},
		resumed:   present,
		mail:      mailOf(own(hello.Identity), subs),
	}
	m.hungry = m.mail.open() // what waited comes right behind the CONNACK
	for _, sub := range subs {
		m.responses = m.responses || sub.To == device.TwinResponses
	}
	return m, nil
}

// randomBase makes the tracking ids of one connection unlike any other's.
func randomBase() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// silence is how long a connection may be silent: 1.5 times its keep-alive (MQTT-3.1.2-24),
// never above the ceiling, which also stands in for none.
func silence(keepAlive time.Duration) time.Duration {
	if keepAlive <= 0 {
		return silenceCeiling
	}
	return min(keepAlive*3/2, silenceCeiling)
}

const opConnect = "mqtt.connect"

// hello reads a CONNECT as Azure does. An empty client id, or one that is not the
// identity of the user name, is refused like a bad credential: no SDK sends one, and the
// code for bad client ids would stop some for good.
func (a *arrival) hello(c mqttwire.Connect) (device.Hello, error) {
	if c.Username == nil {
		return device.Hello{}, fault.New(fault.IotHubUnauthorized, opConnect, "CONNECT without a user name")
	}
	u, err := parseUsername(*c.Username)
	if err != nil {
		return device.Hello{}, fault.Wrap(err, fault.IotHubUnauthorized, opConnect, "malformed user name")
	}
	if c.ClientID != u.Identity.String() {
		return device.Hello{}, fault.New(fault.IotHubUnauthorized, opConnect, "the client id is not %q, as the user name demands", u.Identity.String())
	}
	will, err := will(own(u.Identity), c.Will)
	if err != nil {
		return device.Hello{}, err
	}
	return device.Hello{
		Identity:   u.Identity,
		Host:       u.Host,
		Credential: device.Credential{SAS: string(c.Password), Certificates: a.certs},
		Client: device.Client{
			ID:         c.ClientID,
			Type:       u.ClientType,
			APIVersion: u.APIVersion,
			ModelID:    u.ModelID,
			KeepAlive:  time.Duration(c.KeepAlive) * time.Second,
		},
		Conn:  a.facts,
		Clean: c.Clean,
		Will:  will,
	}, nil
}

// will reads a will, which must be telemetry of the identity's own at QoS 0 or 1. The
// bytes are copied: the hub keeps them.
func will(o own, w *mqttwire.Will) (*iot.Raw, error) {
	if w == nil {
		return nil, nil //nolint:nilnil // no will is no error
	}
	what, bag := o.read([]byte(w.Topic))
	switch {
	case what != telemetry:
		return nil, fault.New(fault.IotHubUnauthorized, opConnect, "the will's topic is not the telemetry topic of the identity")
	case iot.ScanBag(bag) != nil:
		return nil, fault.New(fault.IotHubUnauthorized, opConnect, "the will's property bag is malformed")
	case w.QoS == 2:
		return nil, fault.New(fault.IotHubUnauthorized, opConnect, "a will of QoS 2")
	}
	raw := &iot.Raw{Source: iot.SourceBag, Flags: iot.RawWill, Props: append([]byte(nil), bag...), Body: append([]byte(nil), w.Payload...)}
	if w.Retain {
		raw.Flags |= iot.RawRetain
	}
	return raw, nil
}

var _ park.Observed = (*machine)(nil)
