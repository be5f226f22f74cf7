package mqtt

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// world is a server on hubtest.Core with pipes for sockets.
type world struct {
	t      *testing.T
	core   *hubtest.Core
	lot    *park.Lot
	door   *park.Door
	server *Server
	peers  sync.WaitGroup
}

func newWorld(t *testing.T, script hubtest.Script, cfg Config) *world {
	t.Helper()
	w := &world{t: t, core: hubtest.NewCore(script), lot: park.New(park.Config{})}
	var err error
	if w.door, err = park.NewDoor(park.DoorConfig{Lot: w.lot}); err != nil {
		t.Fatal(err)
	}
	cfg.Core, cfg.Door = w.core, w.door
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	t.Cleanup(func() {
		_ = w.lot.Shutdown(context.Background())
		w.peers.Wait()
	})
	return w
}

// peer is the client's end of a connection.
type peer struct {
	net.Conn

	t    *testing.T
	read []byte
}

// dial serves a new connection and gives the client's end.
func (w *world) dial() *peer {
	w.t.Helper()
	here, there := net.Pipe()
	facts := &device.Conn{Transport: device.MQTT, Remote: netip.MustParseAddrPort("10.0.0.1:5000"), Accepted: time.Now()}
	w.peers.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), park.ArriveWithin)
		defer cancel()
		w.server.Serve(ctx, park.Peer{Conn: here, Facts: facts, Admitted: func() {}})
	})
	w.t.Cleanup(func() { _ = there.Close() })
	return &peer{Conn: there, t: w.t}
}

// connect is a CONNECT of an identity; change edits it.
func connect(id string, change func(*mqttwire.Connect)) mqttwire.Connect {
	username := "hub.local/" + id + "/?api-version=2021-04-12"
	c := mqttwire.Connect{ClientID: id, Username: &username, Password: []byte("SharedAccessSignature sr=x"), KeepAlive: 60}
	if change != nil {
		change(&c)
	}
	return c
}

// online connects an identity and takes the CONNACK.
func (w *world) online(id string) *peer {
	w.t.Helper()
	p := w.dial()
	p.send(connect(id, nil))
	if ack, ok := p.next().(mqttwire.Connack); !ok || ack.Code != mqttwire.Accepted {
		w.t.Fatalf("%s: %+v, want an accepting CONNACK", id, ack)
	}
	return p
}

func (p *peer) send(packets ...mqttwire.Packet) {
	p.t.Helper()
	var b []byte
	for _, packet := range packets {
		b = packet.Append(b)
	}
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next reads one packet; nil is the end of the stream.
func (p *peer) next() mqttwire.Packet {
	p.t.Helper()
	buf := make([]byte, 4096)
	for {
		packet, n, err := mqttwire.Decode(p.read, 1<<20)
		if err == nil {
			p.read = p.read[n:]
			return packet
		}
		if !errors.Is(err, mqttwire.ErrShort) {
			p.t.Fatal(err)
		}
		n, err = p.Read(buf)
		p.read = append(p.read, buf[:n]...)
		if err != nil {
			return nil
		}
	}
}

func (p *peer) expect(want ...mqttwire.Packet) {
	p.t.Helper()
	for _, w := range want {
		if diff := cmp.Diff(w, p.next()); diff != "" {
			p.t.Fatal(diff)
		}
	}
}

// rest reads to the end of the stream.
func (p *peer) rest() []byte {
	p.t.Helper()
	b, err := io.ReadAll(p)
	if err != nil {
		p.t.Errorf("the connection did not end well: %v", err)
	}
	return append(p.read, b...)
}

// goodbye waits until the transport has closed the first session.
func (w *world) goodbye() device.Goodbye {
	w.t.Helper()
	s := w.core.Session(w.t.Context(), 0)
	var bye device.Goodbye
	s.Await(w.t.Context(), func() bool {
		var over bool
		bye, over = s.Goodbye()
		return over
	})
	return bye
}

// pipes is a listener whose connections a test makes.
type pipes struct {
	conns  chan net.Conn
	fails  chan error
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), fails: make(chan error), closed: make(chan struct{})}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case err := <-l.fails:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// plain is a Handshake without TLS.
func plain(_ context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
	return nc, &device.Conn{Transport: device.MQTT, Accepted: time.Now()}, nil, nil
}
