package park

import (
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

// The last words reach a peer that has sent more than we read, and the end of stream
// after them is a close_notify, not a reset.
func TestLastWordsOverTLS(t *testing.T) {
	server, client := tlsPair(t)
	c, err := New(Config{}).Admit(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := newTalk(func(turn *Turn) error {
		if len(turn.In) == 0 {
			return nil
		}
		turn.Out = append(turn.Out, "last words"...)
		return io.ErrUnexpectedEOF
	})
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(k, nil) })
	if _, err := client.Write(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	got, err := io.ReadAll(client)
	if string(got) != "last words" || err != nil {
		t.Errorf("read %q, %v; want the last words and a clean end", got, err)
	}
	if took := time.Since(start); took > lingerFor/2 {
		t.Errorf("the end came after %v", took)
	}
	_ = client.Close()
	wg.Wait()
}

// A refusal reaches a peer that pipelined behind its first packet.
func TestLeaveOverTLS(t *testing.T) {
	server, client := tlsPair(t)
	c, err := New(Config{}).Admit(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.Leave([]byte("no")) })
	got, err := io.ReadAll(client)
	if string(got) != "no" || err != nil {
		t.Errorf("read %q, %v; want the refusal and a clean end", got, err)
	}
	_ = client.Close()
	wg.Wait()
}

// A peer that is gone without a word holds its place for the linger, no longer.
func TestLingerIsBounded(t *testing.T) {
	server, client := tlsPair(t)
	lot := New(Config{})
	c, err := lot.Admit(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	start := time.Now()
	c.Run(newTalk(func(*Turn) error { return io.EOF }), nil)
	if took := time.Since(start); took < lingerFor || took > 3*lingerFor {
		t.Errorf("Run returned after %v, want about %v", took, lingerFor)
	}
	if lot.Len() != 0 {
		t.Error("the connection did not leave")
	}
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
			synctest.Test(t, func(t *testing.T) {
				here, peer := net.Pipe()
				half := &halves{Conn: here}
				c, err := New(Config{}).Admit(half, nil)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				wg.Go(func() { end(c) })
				if _, err := io.ReadFull(peer, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if !half.ended {
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
				wg.Wait()
			})
		})
	}
}

func tlsPair(t *testing.T) (server, client *tls.Conn) {
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	client = tls.Client(dialled, &tls.Config{InsecureSkipVerify: true})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Handshake(); err != nil {
			t.Error(err)
		}
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return server, client
}
