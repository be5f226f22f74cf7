package diagnosis

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// start is when every scene begins.
var start = time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)

// actor is one client of a scene, as it connects.
type actor struct {
	token   uint64
	expires time.Duration // of the token, after start
	slot    string
	cert    string
	addr    string
	kind    string
	hello   uint64
	lineage uint64
	keep    time.Duration
	over    device.Transport // MQTT if empty
	api     string           // the usual one if empty
}

// node and others are the clients that scenes are made of.
func node(token uint64, addr string) actor {
	return actor{
		token: token, expires: time.Hour + time.Duration(token)*time.Minute, slot: "primary", addr: addr, kind: "azure-iot-device/1.18",
		hello: 7, keep: 3 * time.Minute, lineage: token << 32,
	}
}

func (a actor) with(change func(*actor)) actor { change(&a); return a }

// handshake is how long a client of a scene takes from its dial to its session.
const handshake = 5 * time.Millisecond

func (a actor) party(opened, lastIn time.Duration) Party {
	return Party{
		Run: 1, Epoch: "1.1", Conn: uint64(opened) + a.token + 1, Transport: cmp.Or(a.over, device.MQTT), Listener: "0.0.0.0:8883",
		Remote:     netip.AddrPortFrom(netip.MustParseAddr(a.addr), 40000),
		ClientType: a.kind, APIVersion: cmp.Or(a.api, "2021-04-12"), KeepAlive: a.keep, Auth: "sas", Slot: a.slot, Thumbprint: a.cert,
		Token: a.token, Expires: start.Add(a.expires), Accepted: start.Add(opened - handshake), Opened: start.Add(opened), LastIn: start.Add(lastIn),
		TLS: device.TLS{Version: 0x304, CipherSuite: 0x1301, HelloHash: a.hello, Lineage: a.lineage},
		TCP: device.TCP{State: 1, RTT: 10 * time.Millisecond},
	}
}

// The afterlives of scenes.
func life(kind device.AfterlifeKind, after time.Duration) *Afterlife {
	return &Afterlife{Afterlife: device.Afterlife{Kind: kind, After: after}}
}

func prompt() *Afterlife { return life(device.AfterlifeAlive, 12*time.Millisecond) }
func late() *Afterlife   { return life(device.AfterlifeAlive, 2*time.Second) }
func silent() *Afterlife { return life(device.AfterlifeSilent, 5*time.Second) }
func reset() *Afterlife  { return life(device.AfterlifeReset, 9*time.Millisecond) }
func goodbye() *Afterlife {
	a := prompt()
	a.Farewell, a.Bytes = true, 2
	return a
}

// scene is a story in the making.
type scene struct {
	holder actor
	opened time.Duration
	heard  time.Duration // when the holder was last heard of
	all    []Displacement
}

func begin(a actor) *scene { return &scene{holder: a} }

// active: the holder was heard of at that time.
func (s *scene) active(at time.Duration) *scene { s.heard = at; return s }

// displace: by displaces the holder at that time, who then behaves as given.
func (s *scene) displace(at time.Duration, by actor, then *Afterlife) *scene {
	s.all = append(s.all, Displacement{
		At: start.Add(at), Code: fault.ConnectionForcefullyClosedOnNewConnection,
		Loser: s.holder.party(s.opened, s.heard), Winner: by.party(at, at), Afterlife: then,
	})
	s.holder, s.opened, s.heard = by, at, at
	return s
}

// stalled: the kernel had no answer from the last loser.
func (s *scene) stalled() *scene {
	s.all[len(s.all)-1].Loser.TCP.Retransmits = 3
	return s
}

func (s *scene) history() *History {
	h := &History{}
	for _, d := range s.all {
		h.Add(d)
	}
	return h
}

// duel: a and b displace each other n times, every step.
func duel(a, b actor, n int, step time.Duration, then func() *Afterlife) *scene {
	s := begin(a)
	for i := range n {
		s.active(time.Duration(i)*step+step/2).displace(time.Duration(i+1)*step, []actor{b, a}[i%2], then())
	}
	return s
}
