package web

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/park"
)

// ending is how a conversation saw its peer end.
type ending struct {
	farewell bool
	kernel   device.TCP
}

// A WebSocket tells whether its peer said goodbye, in frames or in TLS, or was just gone;
// until it is closed, the kernel can be asked about it.
func TestFarewellOfAWebSocket(t *testing.T) {
	ended := make(chan ending, 1)
	serve := func(_ context.Context, p park.Peer) {
		var e ending
		if p.Facts.Kernel != nil {
			e.kernel = p.Facts.Kernel()
		}
		var err error
		for buf := make([]byte, 64); err == nil; {
			_, err = p.Conn.Read(buf)
		}
		e.farewell = p.Conn.(interface{ Farewell() bool }).Farewell()
		_ = p.Conn.Close()
		ended <- e
	}
	s := serveTLS(t, newFixture(t, func(c *Config) { c.Sockets = map[string]Socket{"mqtt": {Transport: device.MQTTWS, Serve: serve}} }))
	for _, c := range []struct {
		name string
		end  func(ws *websocket.Conn, over *tls.Conn)
		want bool
	}{
		{"close frame", func(ws *websocket.Conn, _ *tls.Conn) { _ = ws.Close(websocket.StatusNormalClosure, "") }, true},
		{"another close frame", func(ws *websocket.Conn, _ *tls.Conn) { _ = ws.Close(websocket.StatusPolicyViolation, "") }, true},
		{"close_notify", func(_ *websocket.Conn, over *tls.Conn) { _ = over.Close() }, true},
		{"end of stream", func(_ *websocket.Conn, over *tls.Conn) { _ = over.NetConn().Close() }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var over *tls.Conn
			client := &http.Client{Transport: &http.Transport{
				DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					raw, err := s.dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					over = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: hubHost})
					return over, over.HandshakeContext(ctx)
				},
			}}
			ws, answered, err := websocket.Dial(t.Context(), "wss://"+hubHost+"/$iothub/websocket",
				&websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
			if err != nil {
				t.Fatal(err)
			}
			if answered.Body != nil {
				defer answered.Body.Close()
			}
			defer ws.CloseNow()
			if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
				t.Fatal(err)
			}
			c.end(ws, over)
			got := <-ended
			if got.farewell != c.want {
				t.Errorf("farewell %t, want %t", got.farewell, c.want)
			}
			if runtime.GOOS == "linux" && got.kernel.State != 1 && got.kernel.State != 8 {
				t.Errorf("kernel: %+v, want state 1 or 8 (open on our side)", got.kernel)
			}
		})
	}
}

// beaten is a conversation that is over as soon as it has heard something.
type beaten struct{ seen chan device.Afterlife }

func (b beaten) Turn(t *park.Turn) error {
	if len(t.In) > 0 {
		t.Used = len(t.In)
		return io.EOF
	}
	return nil
}

func (b beaten) Closed(time.Time, error) {}
func (b beaten) Over() bool              { return false }
func (b beaten) Observe() park.Observer  { return b }
func (b beaten) Key() string             { return "" }
func (b beaten) Heard([]byte)            {}
func (b beaten) Seen(a device.Afterlife) { b.seen <- a }

// A displaced WebSocket is watched too: its close frame and its bytes say that it lived.
func TestAfterlifeOfAWebSocket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		then func(t *testing.T, ws *websocket.Conn)
		want device.AfterlifeKind
	}{
		{"answers the close frame", func(_ *testing.T, ws *websocket.Conn) { _, _, _ = ws.Read(context.Background()) }, device.AfterlifeAlive},
		{"speaks on", func(t *testing.T, ws *websocket.Conn) {
			t.Helper()
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for range 10 { // the first may come before the end
				<-tick.C
				if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("on")); err != nil {
					t.Error(err)
				}
			}
		}, device.AfterlifeAlive},
		{"says nothing", func(*testing.T, *websocket.Conn) {}, device.AfterlifeSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lot, b := park.New(park.Config{}), beaten{make(chan device.Afterlife, 1)}
			serve := func(_ context.Context, p park.Peer) {
				parked, err := lot.Admit(p.Conn, nil)
				if err != nil {
					t.Error(err)
					return
				}
				p.Admitted()
				parked.Run(b, nil)
			}
			s := serveTLS(t, newFixture(t, func(cfg *Config) {
				cfg.Sockets = map[string]Socket{"mqtt": {Transport: device.MQTTWS, Serve: serve}}
			}))
			ws, _, err := s.ws(t, "/$iothub/websocket", "mqtt")
			if err != nil {
				t.Fatal(err)
			}
			if err := ws.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
				t.Fatal(err)
			}
			c.then(t, ws)
			if got := <-b.seen; got.Kind != c.want || got.Cut {
				t.Errorf("got %+v, want %v", got, c.want)
			}
		})
	}
}
