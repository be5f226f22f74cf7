package park

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// secured is one of the two paths with real sockets and TLS.
type secured struct {
	*testing.T

	lot *Lot
}

// overTLS runs a test on each.
func overTLS(t *testing.T, test func(s secured)) {
	t.Helper()
	for name, cfg := range map[string]Config{"plain": {Plain: true}, "parked": {}} {
		t.Run(name, func(t *testing.T) {
			lot := New(cfg)
			t.Cleanup(func() { _ = lot.Shutdown(context.Background()) })
			test(secured{t, lot})
		})
	}
}

// start serves the hub's end of a new connection with f, after the handshake, and gives
// the client's.
func (s secured) start(f func(nc net.Conn)) (client *tls.Conn) {
	s.Helper()
	return secure(s.T, s.lot, &tls.Config{}, f)
}

// secure makes a connection over TLS, serves the hub's end with f, and gives the client's.
func secure(t *testing.T, lot *Lot, config *tls.Config, f func(nc net.Conn)) *tls.Conn {
	t.Helper()
	accepted, dialled := tcpPair(t)
	config.Certificates = []tls.Certificate{certificate(t)}
	wait := serve(t, lot, accepted, func(nc net.Conn) {
		server := tls.Server(nc, config)
		if err := server.Handshake(); err != nil {
			t.Error(err)
			_ = server.Close()
			return
		}
		f(server)
	})
	client := tls.Client(dialled, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		wait()
	})
	return client
}

func tcpPair(t *testing.T) (accepted, dialled net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if dialled, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = accepted.Close()
		_ = dialled.Close()
	})
	return accepted, dialled
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"hub"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// run admits nc and runs k on it.
func run(t *testing.T, lot *Lot, nc net.Conn, k Conversation) {
	t.Helper()
	c, err := lot.Admit(nc, nil)
	if err != nil {
		t.Error(err)
		_ = nc.Close()
		return
	}
	c.Run(k, nil)
}

// The last words reach a peer that has sent more than we read, and the end of stream
// after them is a close_notify, not a reset.
func TestLastWordsOverTLS(t *testing.T) {
	overTLS(t, func(s secured) {
		t, lot := s.T, s.lot
		k := newTalk(func(turn *Turn) error {
			if len(turn.In) == 0 {
				return nil
			}
			turn.Out = append(turn.Out, "last words"...)
			return io.ErrUnexpectedEOF
		})
		client := s.start(func(nc net.Conn) { run(t, lot, nc, k) })
		if _, err := client.Write(make([]byte, 60_000)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(client)
		if string(got) != "last words" || err != nil {
			t.Errorf("read %q, %v; want the last words and a clean end", got, err)
		}
	})
}

// A refusal reaches a peer that pipelined behind its first packet.
func TestLeaveOverTLS(t *testing.T) {
	overTLS(t, func(s secured) {
		t, lot := s.T, s.lot
		sent := make(chan struct{})
		client := s.start(func(nc net.Conn) {
			c, err := lot.Admit(nc, nil)
			if err != nil {
				t.Error(err)
				return
			}
			<-sent
			c.Leave([]byte("refused"))
		})
		if _, err := client.Write(make([]byte, 60_000)); err != nil {
			t.Fatal(err)
		}
		close(sent)
		got, err := io.ReadAll(client)
		if string(got) != "refused" || err != nil {
			t.Errorf("read %q, %v; want the refusal and a clean end", got, err)
		}
	})
}

// A peer that never closes its side is not waited for long.
func TestLingerIsBounded(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		lot := p.lot(Config{})
		here, peer := p.wire()
		defer peer.Close()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := io.ReadFull(peer, make([]byte, 2)); err != nil {
				t.Error(err)
			}
		})
		admit(t, lot, here, nil, newTalk(func(turn *Turn) error { turn.Out = append(turn.Out, "no"...); return io.EOF }), nil)
		wg.Wait()
		for lot.Len() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(start); took < lingerFor || took > lingerFor+fineTick {
			t.Errorf("it left after %v, want about %v", took, lingerFor)
		}
	})
}

// halves is a pipe whose write side can be closed alone, as a socket's can.
type halves struct {
	net.Conn

	ended bool
}

func (h *halves) CloseWrite() error { h.ended = true; return nil }

// After our last words the peer may go on speaking for a moment: a reset, which
// closing at once would send, could overtake them.
func TestPeerMayFinishItsSentence(t *testing.T) {
	over := newTalk(func(turn *Turn) error { turn.Out = append(turn.Out, "no"...); return io.EOF })
	for name, end := range map[string]func(*Conn){
		"Leave": func(c *Conn) { c.Leave([]byte("no")) },
		"Run":   func(c *Conn) { c.Run(over, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			bothPaths(t, func(p path) {
				t := p.T
				here, peer := p.wire()
				lot := p.lot(Config{})
				serve(t, lot, here, func(nc net.Conn) {
					c, err := lot.Admit(nc, nil)
					if err != nil {
						t.Error(err)
						return
					}
					end(c)
				})
				if _, err := io.ReadFull(peer, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if !ended(here) {
					t.Error("the write side is still open")
				}
				if _, err := peer.Write(make([]byte, 100_000)); err != nil {
					t.Errorf("speaking on: %v", err)
				}
				start := time.Now()
				if _, err := peer.Write(make([]byte, 2*lingerBytes)); err == nil {
					t.Error("listened to without end")
				}
				if took := time.Since(start); took > lingerFor {
					t.Errorf("lingered for %v", took)
				}
				synctest.Wait()
				if lot.Len() != 0 {
					t.Error("it did not leave")
				}
			})
		})
	}
}

// ended reports whether the hub has ended its side.
func ended(nc net.Conn) bool {
	if w, ok := nc.(*near); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.outOver
	}
	return nc.(*halves).ended
}
