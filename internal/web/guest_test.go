package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/park"
)

// ask sends a request and reads its answer: its status, and whether it is the last.
func ask(t *testing.T, c net.Conn, r *bufio.Reader, authorization string) (status int, last bool) {
	t.Helper()
	_, err := io.WriteString(c, "GET /devices/none?"+version+" HTTP/1.1\r\nHost: "+hubHost+"\r\nAuthorization: "+authorization+"\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	answered, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answered.Body)
	_ = answered.Body.Close()
	return answered.StatusCode, answered.Close
}

// TestStrangerUntilAGoodCredential: a refused request leaves its connection a stranger, of
// whom an address has one here; the next of them waits until it has shown who it is.
func TestStrangerUntilAGoodCredential(t *testing.T) {
	s := serveTLS(t, newFixture(t), 1)
	first := s.handshake(t)
	in := bufio.NewReader(first)
	if got, _ := ask(t, first, in, "nonsense"); got != http.StatusUnauthorized {
		t.Fatalf("%d for a bad token", got)
	}
	second := make(chan int)
	go func() {
		c := s.handshake(t)
		status, _ := ask(t, c, bufio.NewReader(c), token("registryRead"))
		second <- status
	}()
	if got, _ := ask(t, first, in, "nonsense"); got != http.StatusUnauthorized {
		t.Fatalf("%d for a bad token", got)
	}
	select {
	case got := <-second:
		t.Fatalf("the second was served beside a stranger: %d", got)
	case <-time.After(50 * time.Millisecond):
	}
	if got, _ := ask(t, first, in, token("registryRead")); got != http.StatusNotFound {
		t.Errorf("%d for a good token", got)
	}
	if got := <-second; got != http.StatusNotFound {
		t.Errorf("the second got %d", got)
	}
	if got, _ := ask(t, first, in, token("registryRead")); got != http.StatusNotFound {
		t.Errorf("the first got %d in the end", got)
	}
}

// TestWebSocketLeavesWhenItsProtocolKnows: the place at the door is kept through the upgrade.
func TestWebSocketLeavesWhenItsProtocolKnows(t *testing.T) {
	arrived, know := make(chan park.Peer, 1), make(chan struct{})
	s := serveTLS(t, newFixture(t, func(c *Config) {
		c.Sockets = map[string]Socket{"mqtt": {Serve: func(_ context.Context, p park.Peer) {
			arrived <- p
			<-know
			p.Admitted()
			_, _ = io.Copy(io.Discard, p.Conn)
			_ = p.Conn.Close()
		}}}
	}), 1)
	if _, _, err := s.ws(t, "/$iothub/websocket", "mqtt"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	if got := s.server.guests.Load(); got != 0 {
		t.Errorf("%d connections are counted that are no WebSocket", got)
	}
	second := make(chan int)
	go func() {
		c := s.handshake(t)
		status, _ := ask(t, c, bufio.NewReader(c), token("registryRead"))
		second <- status
	}()
	select {
	case got := <-second:
		t.Fatalf("the second was served beside a stranger: %d", got)
	case <-time.After(50 * time.Millisecond):
	}
	close(know)
	if got := <-second; got != http.StatusNotFound {
		t.Errorf("the second got %d", got)
	}
}

// TestStrangerWhoseTimeIsOver is closed, and one whose listener ends is not.
func TestStrangerWhoseTimeIsOver(t *testing.T) {
	s := newFixture(t).server
	for _, over := range []bool{true, false} {
		here, there := net.Pipe()
		through := newInside(nil)
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		if !over {
			ctx, cancel = context.WithCancel(t.Context())
		}
		defer cancel()
		go func() { _, _ = through.Accept() }()
		done := make(chan struct{})
		go func() {
			through.serve(ctx, s.newGuest(time.Time{}, park.Peer{Conn: there}))
			close(done)
		}()
		if !over {
			cancel()
		}
		<-done
		go func() { _, _ = there.Write([]byte("x")) }()
		if _, err := here.Read(make([]byte, 1)); (err == io.EOF) != over { //nolint:errorlint // net.Pipe gives it bare
			t.Errorf("over %t: %v", over, err)
		}
		_ = here.Close()
	}
}

// TestTooManyConnectionsCloseBehindTheirAnswer.
func TestTooManyConnectionsCloseBehindTheirAnswer(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	c := s.handshake(t)
	in := bufio.NewReader(c)
	if _, last := ask(t, c, in, token("registryRead")); last {
		t.Error("closed beside nobody")
	}
	s.server.guests.Add(maxConns)
	if _, last := ask(t, c, in, token("registryRead")); !last {
		t.Error("kept, though there are too many")
	}
	s.server.guests.Add(-maxConns)
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v behind the answer", rest, err)
	}
	eventually(t, "nobody is counted", func() bool { return s.server.guests.Load() == 0 })
}

// TestLargeBodyOfAStrangerIsAnswered: it reads the 401 and not a reset.
func TestLargeBodyOfAStrangerIsAnswered(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	c := s.handshake(t)
	body := strings.Repeat("x", 200_000)
	_, err := io.WriteString(c, "POST /devices/d1/messages/events?"+version+" HTTP/1.1\r\nHost: "+hubHost+
		"\r\nAuthorization: nonsense\r\nContent-Length: 200000\r\n\r\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	answered, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Body.Close()
	if answered.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d", answered.StatusCode)
	}
}
