package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/park"
)

// Server answers on the HTTPS port and on the operators' port.
type Server struct {
	// fixed

	cfg     Config
	router  *router
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time
	http    *http.Server
	ops     *http.Server
	cut     context.CancelFunc // ends the context of every request
	stop    chan struct{}      // closed by Shutdown: streams end

	// shared

	streams atomic.Int64
	sockets atomic.Int64
	guests  atomic.Int64 // connections that are not WebSockets
	crowd   crowd        // bodies under way
	stopped sync.Once
	inside  sync.WaitGroup // upgraded connections

	// guarded by mu

	mu     sync.Mutex
	random io.Reader
}

// whole reports whether every part is there that must be.
func (cfg *Config) whole() bool {
	return cfg.Identities != nil && cfg.Population != nil && cfg.Authorities != nil && cfg.Gate != nil && cfg.Sender != nil && cfg.Commands != nil &&
		cfg.Events != nil && cfg.Groups != nil && cfg.ResourceLog != nil && cfg.Connected != nil && cfg.Registry != nil
}

// New makes a Server; nothing listens yet.
func New(cfg Config) (*Server, error) {
	if !cfg.whole() {
		return nil, errors.New("web: Config needs every service, Connected and Registry")
	}
	m, err := newMetrics(cfg.Registry)
	if err != nil {
		return nil, err
	}
	base, cut := context.WithCancel(context.Background())
	s := &Server{
		cfg: cfg, router: newRouter(table()), metrics: m, log: cfg.Logger, now: cfg.Now, random: cfg.Random,
		cut: cut, stop: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	s.http = s.server(base, s.Handler())
	s.http.ConnContext = withGuest
	s.ops = s.server(base, s.OpsHandler())
	s.ops.WriteTimeout = 0 // a CPU profile takes as long as it is asked to
	return s, nil
}

// server is an http.Server with this package's limits. HTTP/2 stays off: clients of
// the real hub speak HTTP/1.1, and a WebSocket upgrade needs it.
func (s *Server) server(base context.Context, h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
}

// Serve speaks HTTP/1.1 with whoever comes to ln, through the door (see park.Door.Listen),
// until Shutdown, or until ctx ends, which stops accepting only. It closes ln. It may be
// called for several listeners at once. The error is nil after Shutdown or ctx.
func (s *Server) Serve(ctx context.Context, ln net.Listener, door *park.Door, handshake park.Handshake) error {
	listening, stop := context.WithCancel(ctx)
	defer stop()
	through := newInside(ln)
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- serve(listening, s.http, through)
	}()
	err := door.Listen(listening, ln, handshake, park.Protocol{
		Whole: whole, Relayed: true,
		Serve: func(ctx context.Context, p park.Peer) {
			until, _ := ctx.Deadline()
			through.serve(ctx, s.newGuest(until, p))
		},
	})
	stop()
	return errors.Join(err, <-served)
}

// ServeOps answers the operators on ln, a loopback listener, without TLS, as Serve.
func (s *Server) ServeOps(ctx context.Context, ln net.Listener) error { return serve(ctx, s.ops, ln) }

func serve(ctx context.Context, srv *http.Server, ln net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	err := srv.Serve(ln)
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

// Shutdown stops accepting, ends every stream, and waits until the requests in hand
// are answered and the conversations of WebSockets have ended, which is for their
// protocol to bring about. When ctx ends first, what is left is cut and its cause
// returned. The operators' port is the last to close.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopped.Do(func() {
		s.mu.Lock() // so that nobody enters after the wait below has begun
		defer s.mu.Unlock()
		close(s.stop)
	})
	defer s.cut()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.cut()
		err = errors.Join(context.Cause(ctx), s.http.Close())
	}
	done := make(chan struct{})
	go func() { s.inside.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.cut()
		err = errors.Join(err, context.Cause(ctx))
	}
	if errOps := s.ops.Shutdown(ctx); errOps != nil {
		err = errors.Join(err, s.ops.Close())
	}
	return err
}

// Handler answers on the HTTPS port.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: &recorder{ResponseWriter: w}, r: r, shape: classic}
	if s.guests.Load() > maxConns {
		w.Header().Set("Connection", "close")
	}
	began := s.now()
	defer c.release()
	defer func() { //nolint:contextcheck // a call carries its request, and that its context
		if p := recover(); p != nil {
			s.log.Error("a request panicked", slog.String("op", c.op()),
				slog.String("err", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			c.fail(fault.New(fault.ServerError, "web.panic", ""))
		}
		s.metrics.served(c, s.now().Sub(began))
	}()
	if err := c.run(); err != nil { //nolint:contextcheck // as above
		c.tell(err)
		c.fail(err) //nolint:contextcheck // as above
	}
}

// run routes, authorizes and performs a request.
func (c *call) run() error {
	id, err := c.s.tracking()
	if err != nil {
		return err
	}
	c.id = id
	c.header("x-ms-request-id", id.requestID())
	c.w.Header().Set("Server", "Berth")
	c.w.Header().Set("Vary", "Origin")
	c.query = c.r.URL.Query()
	if c.match, err = c.s.router.find(c.r.Method, c.r.URL.EscapedPath()); err != nil {
		if len(c.match.allow) > 0 {
			c.w.Header().Set("Allow", strings.Join(c.match.allow, ", ")) // RFC 9110 15.5.6
		}
		if upgrade(c.r) { // the real hub answers a WebSocket to a wrong path so
			return fault.New(fault.GenericBadRequest, "web.socket", "WebSockets are at /$iothub/websocket")
		}
		return err
	}
	if c.match.surface == serviceAPI {
		if err := checkVersion(c.query); err != nil {
			return err
		}
	}
	if err := c.authorize(); err != nil {
		c.s.metrics.refused(fault.Of(err))
		return err
	}
	return c.match.do(c.s, c)
}

// tracking makes the id of one request.
func (s *Server) tracking() (tracking, error) {
	var b [16]byte
	s.mu.Lock()
	_, err := io.ReadFull(s.random, b[:])
	s.mu.Unlock()
	if err != nil {
		return "", fault.Wrap(err, fault.ServerError, "web.tracking", "")
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a random UUID, RFC 9562 5.4
	return tracking(hex.EncodeToString(b[:])), nil
}
