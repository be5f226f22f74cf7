package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/park"
)

// upgrade reports whether a request asks to become a WebSocket.
func upgrade(r *http.Request) bool {
	return slices.ContainsFunc(tokens(r.Header.Values("Upgrade")), func(t string) bool { return strings.EqualFold(t, "websocket") })
}

// tokens splits the values of a list header.
func tokens(values []string) []string {
	var list []string
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t != "" {
				list = append(list, t)
			}
		}
	}
	return list
}

// webSocket answers GET /$iothub/websocket: it upgrades the connection and hands it
// to the protocol the client named, which also authenticates. Whatever is wrong is
// 400, as at the real hub (device-mqtt-http 1). Any origin may come: a device's
// credential is not a cookie.
func (s *Server) webSocket(c *call) error {
	if !upgrade(c.r) {
		return fault.New(fault.GenericBadRequest, "web.socket", "this path is for WebSockets: Upgrade: websocket is missing")
	}
	spelling, socket, err := s.protocol(tokens(c.r.Header.Values("Sec-WebSocket-Protocol")))
	if err != nil {
		return err
	}
	if s.sockets.Add(1) > maxSockets {
		s.sockets.Add(-1)
		return fault.New(fault.ServerBusy, "web.socket", "%d WebSockets are open, the most there may be", maxSockets)
	}
	defer s.sockets.Add(-1)
	if !s.enter() {
		return fault.New(fault.ServiceUnavailable, "web.socket", "the hub is stopping")
	}
	defer s.inside.Done()
	g := c.guest()
	if g == nil {
		return fault.New(fault.ServerError, "web.socket", "the request came without a connection")
	}
	taken := &hijacker{ResponseWriter: c.w, known: &g.known}
	ws, err := websocket.Accept(taken, c.r, &websocket.AcceptOptions{
		Subprotocols:       []string{spelling},
		InsecureSkipVerify: true, // any origin
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return lost(err) // Accept has answered
	}
	c.long = true
	s.metrics.sockets.Inc()
	defer s.metrics.sockets.Dec()
	g.left()
	nc := newSocketConn(c, ws, g)
	nc.heard = taken.heard
	defer nc.end()
	ctx, cancel := context.WithDeadline(c.r.Context(), g.arriveUntil())
	defer cancel()
	socket.Serve(ctx, park.Peer{Conn: nc, Facts: g.upgraded(socket.Transport), Certs: g.certs, Admitted: g.admit})
	nc.wait(c.r.Context())
	return nil
}

// protocol finds the first sub-protocol the hub speaks, letter case aside, and gives
// it in the client's own spelling, which the answer must echo.
func (s *Server) protocol(offered []string) (string, Socket, error) {
	for _, name := range offered {
		if socket, ok := s.cfg.Sockets[strings.ToLower(name)]; ok {
			return name, socket, nil
		}
	}
	text := "the WebSocket sub-protocol must be mqtt or AMQPWSB10"
	return "", Socket{}, fault.New(fault.GenericBadRequest, "web.socket", "%s", text)
}

// enter counts one more upgraded connection, unless the server is stopping.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
		return false
	default:
	}
	s.inside.Add(1)
	return true
}

// socketConn is a WebSocket as a stream of bytes. It ends as a TCP connection does:
// CloseWrite says goodbye with a close frame and lets the peer's last words arrive,
// Close drops the connection without waiting for anybody.
type socketConn struct {
	net.Conn // reads and writes binary messages; a text message is an error

	ws  *websocket.Conn
	raw net.Conn // below the frames; nil in a test without a server

	half    sync.Once
	bye     atomic.Bool  // the peer said goodbye: a close frame, or TLS's own
	heard   *atomic.Bool // the peer said anything, since CloseWrite if that was called
	shut    atomic.Bool  // CloseWrite was called
	goodbye sync.WaitGroup
	once    sync.Once
	closed  chan struct{}
}

func newSocketConn(c *call, ws *websocket.Conn, raw net.Conn) *socketConn {
	nc := &socketConn{
		Conn: websocket.NetConn(c.r.Context(), ws, websocket.MessageBinary), ws: ws, raw: raw, closed: make(chan struct{}),
	}
	ws.SetReadLimit(maxWSMessage)
	return nc
}

// Read reads the payload of binary messages. A close frame of any kind is the end.
func (c *socketConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.ownWord(err) {
		c.bye.Store(true)
	}
	if websocket.CloseStatus(err) == websocket.StatusNoStatusRcvd {
		err = io.EOF
	}
	return n, err
}

// ownWord reports whether a read error is the peer's own word. A stream that ended
// below TLS, without a close_notify, is none.
func (c *socketConn) ownWord(err error) bool {
	if err == io.EOF || websocket.CloseStatus(err) != -1 { //nolint:errorlint // bare, it stands for a close frame; wrapped, for the stream's end
		return true
	}
	over, layered := c.raw.(interface{ NetConn() net.Conn })
	if !layered || !errors.Is(err, io.EOF) {
		return false
	}
	stream, ok := over.NetConn().(interface{ Ended() bool })
	return ok && !stream.Ended()
}

// Farewell reports whether the peer had a word of its own for the end: a goodbye, or
// anything else after CloseWrite, of which not all comes to Read.
func (c *socketConn) Farewell() bool { return c.bye.Load() || c.shut.Load() && c.heard.Load() }

// CloseWrite sends a close frame. It does not wait for the peer's, which ends Read.
func (c *socketConn) CloseWrite() error {
	c.half.Do(func() {
		c.heard.Store(false)
		c.shut.Store(true)
		c.goodbye.Go(func() { _ = c.ws.Close(websocket.StatusNormalClosure, "") }) // the peer may be gone already
	})
	return nil
}

// Close drops the connection.
func (c *socketConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	if c.raw == nil {
		return c.ws.CloseNow()
	}
	err := c.raw.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// wait blocks until the conversation has closed the connection, or ctx ends.
func (c *socketConn) wait(ctx context.Context) {
	select {
	case <-c.closed:
	case <-ctx.Done():
	}
}

// end closes what is left once the conversation is over, and waits for its own
// goodbye. The socket is gone by then, so nothing here waits for the peer.
func (c *socketConn) end() {
	_ = c.Close()
	_ = c.SetDeadline(time.Time{}) // stops NetConn's timers
	_ = c.ws.CloseNow()
	c.goodbye.Wait()
}
