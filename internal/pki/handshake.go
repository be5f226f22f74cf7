package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// TLSConfig makes the configuration of a listener: TLS 1.2 and 1.3, a client
// certificate asked for but neither required nor verified (reaching-the-hub 4). Protos
// are the ALPN protocols: HTTP before 2 for HTTPS, because a WebSocket needs it; none for
// MQTT. Sessions without a client certificate resume across all listeners' own
// connections, and tickets carry a lineage for those that Handshake serves.
func (a *Authority) TLSConfig(protos ...string) *tls.Config {
	base := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: a.certificate,
		NextProtos:     protos,
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, ok := hello.Conn.(*conn)
		if !ok {
			return nil, nil //nolint:nilnil // crypto/tls: nil means the listener's own configuration
		}
		return c.observe(base, hello), nil
	}
	return base
}

// certificate chooses for a client the first certificate whose key it can use. The
// name does not take part: a client may dial the hub by a name that the certificate
// does not hold, and is the one to judge.
func (a *Authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certs := *a.certs.Load()
	nameless := *hello
	nameless.ServerName = ""
	for i := range certs {
		if nameless.SupportsCertificate(&certs[i]) == nil {
			return &certs[i], nil
		}
	}
	return &certs[0], nil
}

// errHandshakeInput ends a handshake that would go on for ever.
var errHandshakeInput = errors.New("the peer sent too much before the handshake was done")

// Handshake makes raw the server side of a TLS connection and gives what the
// handshake told of the client. It takes at most 30 s, or until ctx ends; the caller
// closes raw if it fails; deadlines are off when it succeeds. A peer that sends more
// than maxHandshakeInput meanwhile is cut off.
func Handshake(ctx context.Context, raw net.Conn, config *tls.Config) (*tls.Conn, device.TLS, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, device.TLS{}, fmt.Errorf("tls handshake: %w", err)
	}
	c := tls.Server(newConn(raw), config)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, device.TLS{}, fmt.Errorf("tls handshake: %w", err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, device.TLS{}, fmt.Errorf("tls handshake: %w", err)
	}
	facts := told(c)
	slim(c, config)
	return c, facts, nil
}

// told gives what the handshake of a connection told; it is
// empty before the handshake has ended.
func told(c *tls.Conn) device.TLS {
	state := c.ConnectionState()
	if !state.HandshakeComplete {
		return device.TLS{}
	}
	facts := device.TLS{
		Version:     state.Version,
		CipherSuite: state.CipherSuite,
		ServerName:  state.ServerName,
		ALPN:        state.NegotiatedProtocol,
		Resumed:     state.DidResume,
	}
	if w, ok := c.NetConn().(*conn); ok {
		facts.HelloHash = w.helloHash.Load()
		facts.Lineage = w.lineage.Load()
		facts.Handshake = time.Duration(w.took.Load())
	}
	return facts
}

// Certificates gives the client's chain, leaf first, not verified.
func Certificates(c *tls.Conn) []*x509.Certificate { return c.ConnectionState().PeerCertificates }

// conn is the socket under a TLS connection, with what crypto/tls tells only while
// it shakes hands.
type conn struct {
	// fixed

	net.Conn
	accepted time.Time

	// shared: written by the handshake, read by whoever asks for the Facts

	input     atomic.Int64 // bytes read during the handshake
	took      atomic.Int64 // nanoseconds from accepting to the last flight; 0: it goes on
	helloHash atomic.Uint64
	lineage   atomic.Uint64

	// shared

	ended atomic.Bool // the peer's end of stream was read
}

func newConn(raw net.Conn) *conn { return &conn{Conn: raw, accepted: time.Now()} }

// NetConn gives the socket below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Read reads from the socket; during the handshake, no more than maxHandshakeInput in
// all, since crypto/tls itself would take 64 KiB messages and 256 KiB certificates of
// somebody unknown.
func (c *conn) Read(b []byte) (int, error) {
	if c.took.Load() != 0 {
		return c.read(b)
	}
	left := maxHandshakeInput - c.input.Load()
	if left <= 0 {
		return 0, errHandshakeInput
	}
	n, err := c.read(b[:min(int64(len(b)), left)])
	c.input.Add(int64(n))
	return n, err
}

func (c *conn) read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		c.ended.Store(true)
	}
	return n, err
}

// CloseWrite ends our side of the stream, where the socket can: what close_notify
// says to TLS, this says to the peer's kernel.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Ended reports whether the peer's end of stream was read. crypto/tls reads no further
// than a close_notify and gives io.EOF for it, but also for a stream that ends between
// two records without one; this tells the two apart.
func (c *conn) Ended() bool { return c.ended.Load() }

// observe notes what a ClientHello tells and gives the configuration of this one
// connection: the listener's, with hooks that read and write the lineage in session
// tickets. Its ticket keys are the listener's, because it has none of its own. A session
// with a client certificate is not resumed: its certificate would come back with it, though
// a program of many devices that shares its tickets among them now speaks for another.
func (c *conn) observe(base *tls.Config, hello *tls.ClientHelloInfo) *tls.Config {
	c.helloHash.Store(helloHash(hello))
	return &tls.Config{
		MinVersion:     base.MinVersion,
		ClientAuth:     base.ClientAuth,
		GetCertificate: base.GetCertificate,
		NextProtos:     base.NextProtos,
		VerifyConnection: func(tls.ConnectionState) error {
			c.took.Store(max(1, int64(time.Since(c.accepted))))
			return nil
		},
		UnwrapSession: func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
			session, err := base.DecryptTicket(ticket, state)
			if session != nil {
				c.lineage.Store(readLineage(session.Extra))
				if certified(session.Extra) {
					return nil, nil //nolint:nilnil // crypto/tls: nil means a full handshake
				}
			}
			return session, err
		},
		WrapSession: func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
			lineage := c.lineage.Load()
			if lineage == 0 {
				lineage = newLineage()
				c.lineage.Store(lineage)
			}
			session.Extra = append(session.Extra, appendLineage(lineage))
			if len(state.PeerCertificates) > 0 {
				session.Extra = append(session.Extra, []byte(certifiedTag))
			}
			return base.EncryptTicket(state, session)
		},
	}
}
