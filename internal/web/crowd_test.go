package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/berth-iot/berth/internal/iot"
)

// stuck is a log whose disk does not answer until it is told to.
type stuck struct {
	began chan string // the device of every message that has come whole
	store chan struct{}
}

func (s stuck) Send(_ context.Context, stamp iot.Stamp, _ iot.Raw) error {
	s.began <- stamp.Identity.Device
	<-s.store
	return nil
}

// TestBodiesUnderWayAreBounded: one device cannot have as many bodies in memory as it has
// connections; another is not asked to wait for it, and what is answered counts no more.
func TestBodiesUnderWayAreBounded(t *testing.T) {
	log := stuck{make(chan string, 8), make(chan struct{})}
	f := newFixture(t, func(c *Config) { c.Sender = log })
	f.create(t, "d1", "d2", "d3")
	post := func(device string, body io.Reader, size int64) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/devices/"+device+"/messages/events?"+version, body)
		r.Host, r.ContentLength = hubHost, size
		r.Header.Set("Authorization", deviceToken(iot.Identity{Device: device}))
		w := httptest.NewRecorder()
		f.server.Handler().ServeHTTP(w, r)
		return w.Code
	}
	large := func() io.Reader { return strings.NewReader(strings.Repeat("x", maxMessage)) }
	const fit, small = maxDeviceBodies / (maxMessage + aroundBody), maxDeviceBodies / (aroundBody + 1)
	answers := make(chan int, fit+1+small)
	var posts sync.WaitGroup
	begin := func(device string, body io.Reader, size int64) {
		posts.Go(func() { answers <- post(device, body, size) })
		if got := <-log.began; got != device {
			t.Errorf("a message of %s, want one of %s", got, device)
		}
	}
	for range fit {
		begin("d1", large(), maxMessage)
	}
	for name, size := range map[string]int64{"told": maxMessage, "not told": -1} {
		if status := post("d1", large(), size); status != http.StatusTooManyRequests {
			t.Errorf("one body more, its length %s: status %d, want 429", name, status)
		}
	}
	begin("d2", large(), maxMessage)
	for range small {
		begin("d3", strings.NewReader("x"), 1)
	}
	if status := post("d3", strings.NewReader("x"), 1); status != http.StatusTooManyRequests {
		t.Errorf("one small body more: status %d, want 429", status)
	}
	close(log.store)
	posts.Wait()
	for range fit + 1 + small {
		if status := <-answers; status != http.StatusNoContent {
			t.Errorf("status %d, want 204", status)
		}
	}
	for name, size := range map[string]int64{"told": maxMessage, "not told": -1} {
		if status := post("d1", large(), size); status != http.StatusNoContent {
			t.Errorf("when the others are answered, its length %s: status %d, want 204", name, status)
		}
		<-log.began
	}
	if n := len(f.server.crowd.bytes); n != 0 {
		t.Errorf("%d callers are remembered who have nothing under way", n)
	}
}
