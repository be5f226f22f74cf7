package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/pki"
)

// connKey is where a request's context holds its connection, which net/http hands
// out in no other way.
type connKey struct{}

// withConn is http.Server.ConnContext.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

// connOf gives a request's connection, nil if it came another way than by Serve.
func connOf(r *http.Request) net.Conn {
	nc, _ := r.Context().Value(connKey{}).(net.Conn) // absent in a handler called directly
	return nc
}

// kernel asks about the socket of a connection; nil if that is not possible.
func kernel(nc net.Conn) func() device.TCP {
	if g := guestOf(nc); g != nil {
		nc = g.Conn
	}
	return device.Kernel(nc)
}

// facts gives what is known of a request's connection, and the certificates its
// client offered, leaf first and not verified. The handshake is over by now.
func (s *Server) facts(r *http.Request) (*device.Conn, []*x509.Certificate) {
	facts := &device.Conn{Transport: device.HTTPS, Accepted: s.now()}
	if s.cfg.ConnID != nil {
		facts.ID = s.cfg.ConnID()
	} else {
		facts.ID = s.ids.Add(1)
	}
	facts.Remote, _ = netip.ParseAddrPort(r.RemoteAddr) // an address of another kind stays unknown
	nc := connOf(r)
	if nc != nil {
		facts.Listener = nc.LocalAddr().String()
		facts.Local, _ = netip.ParseAddrPort(facts.Listener)
	}
	if t, ok := nc.(*tls.Conn); ok {
		facts.TLS = pki.Facts(t)
	}
	if g := guestOf(nc); g != nil {
		facts.Accepted = g.accepted
	}
	if r.TLS == nil {
		return facts, nil
	}
	return facts, r.TLS.PeerCertificates
}
