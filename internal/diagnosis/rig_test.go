package diagnosis

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

var dev1 = iot.Identity{Device: "dev1"}

// rig is a Diagnosis in a synctest bubble.
type rig struct {
	*Diagnosis

	t        *testing.T
	engine   *storetest.Memory
	verdicts []iot.Verdict // those that OnVerdict was told of; to be read when it is closed
	lines    *bytes.Buffer // of the log; likewise
	conns    uint64
	holder   map[iot.Identity]device.Party
}

func newRig(t *testing.T, engine *storetest.Memory, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, engine: engine, lines: &bytes.Buffer{}, holder: map[iot.Identity]device.Party{}, conns: uint64(time.Now().Unix()) << 20}
	cfg := Config{
		Records: engine.Records(), Started: time.Now().Add(-time.Hour), Logger: slog.New(slog.NewTextHandler(r.lines, nil)),
		OnVerdict: func(v iot.Verdict) { r.verdicts = append(r.verdicts, v) },
	}
	for _, f := range change {
		f(&cfg)
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Diagnosis = d
	return r
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.Close(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

// connect lets a client connect, displacing the holder; the loser's epoch is given back,
// "" if there was none.
func (r *rig) connect(id iot.Identity, a actor) string {
	r.conns++
	p := device.Party{
		Identity: id, Epoch: fmt.Sprint("1.", r.conns), Opened: time.Now(),
		Client: device.Client{ID: id.String(), Type: a.kind, KeepAlive: a.keep},
		Proof:  device.Proof{Slot: a.slot, TokenHash: a.token, Expires: start.Add(a.expires)},
		Conn: &device.Conn{
			ID: r.conns, Transport: cmp.Or(a.over, device.MQTT), Accepted: time.Now().Add(-handshake), Listener: "127.0.0.1:8883", Remote: netip.MustParseAddrPort(a.addr + ":4000"),
			TLS: device.TLS{Version: 0x304, CipherSuite: 0x1301, HelloHash: a.hello, Lineage: a.lineage},
		},
	}
	p.Conn.Traffic.In(time.Now(), 100)
	old, held := r.holder[id]
	if held {
		r.Ended(device.Ending{
			Party: old, At: time.Now(), Code: fault.ConnectionForcefullyClosedOnNewConnection, Reason: "taken over", By: &p, Unacked: 2, Released: 3,
		})
	}
	r.Connected(p)
	r.holder[id] = p
	if !held {
		return ""
	}
	return old.Epoch
}

// word tells what a loser did, if there was one.
func (r *rig) word(id iot.Identity, epoch string, a *Afterlife) {
	if epoch != "" {
		r.Afterlife(id, epoch, a.Afterlife)
	}
}

// duel lets two clients displace each other, live each time.
func (r *rig) duel(id iot.Identity, n int, step time.Duration, between ...actor) {
	if between == nil {
		between = []actor{node(1, home), node(9, office)}
	}
	for i := range n {
		r.word(id, r.connect(id, between[i%2]), prompt())
		time.Sleep(step)
	}
}

func (r *rig) explain(id iot.Identity, at time.Time) iot.Explanation {
	r.t.Helper()
	e, err := r.Explain(r.t.Context(), id, at)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) list(q iot.ConflictQuery) []iot.ConflictSummary {
	r.t.Helper()
	l, err := r.Conflicts(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}
