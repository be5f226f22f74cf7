package park

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryByteArrivesWholeAndInOrder(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		rnd := rand.New(rand.NewPCG(1, 2))
		sent := make([]byte, 256*1024)
		for i := range sent {
			sent[i] = byte(rnd.Uint32())
		}
		here, peer := p.wire()
		meter := new(tally)
		k := newTalk(nil)
		admit(t, p.lot(Config{}), here, meter, k, sent[:1023])
		var wg sync.WaitGroup
		wg.Go(func() {
			for rest := sent[1023:]; len(rest) > 0; {
				n := min(1+rnd.IntN(40_000), len(rest))
				if _, err := peer.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(peer, got); err != nil {
			t.Fatal(err)
		}
		_ = peer.Close()
		wg.Wait()
		synctest.Wait()
		if !bytes.Equal(got, sent) {
			t.Error("the echo differs from what was sent")
		}
		if why := <-k.closed; !errors.Is(why, ErrPeerClosed) {
			t.Errorf("Closed(%v), want ErrPeerClosed", why)
		}
		if meter.in != len(sent)-1023 || meter.out != len(sent) {
			t.Errorf("metered %d in, %d out; want %d, %d", meter.in, meter.out, len(sent)-1023, len(sent))
		}
	})
}

func TestWakeBeforeRunAndCoalescing(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		here, peer := p.wire()
		lot, k := p.lot(Config{}), newTalk(nil)
		var c *Conn
		wait := serve(t, lot, here, func(nc net.Conn) {
			var err error
			if c, err = lot.Admit(nc, nil); err != nil {
				t.Error(err)
				return
			}
			for range 10 {
				c.Wake()
			}
			c.Run(k, nil)
		})
		synctest.Wait()
		if _, woken := k.counts(); woken != 1 {
			t.Errorf("%d woken turns after 10 wakes before Run, want 1", woken)
		}
		c.Wake()
		synctest.Wait()
		if _, woken := k.counts(); woken != 2 {
			t.Errorf("%d woken turns, want 2", woken)
		}
		_ = peer.Close()
		wait()
		synctest.Wait()
		c.Wake() // after the end: harmless
	})
}

// Paused is back-pressure: the peer's writes stop being taken until a wake.
func TestPausedStopsReading(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		var k *talk
		k = newTalk(func(turn *Turn) error {
			if len(turn.In) >= packet && !turn.Woken {
				turn.Paused = true
				return nil
			}
			turn.Used = len(turn.In) / packet * packet
			k.mu.Lock()
			k.seen = append(k.seen, turn.In[:turn.Used]...)
			k.mu.Unlock()
			return nil
		})
		peer, c := p.open(t, p.lot(Config{}), k)
		var wrote sync.WaitGroup
		done := make(chan struct{})
		wrote.Go(func() {
			defer close(done)
			for range 1000 {
				if _, err := peer.Write(make([]byte, 1024)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("all was read although the conversation paused")
		default:
		}
		turns, _ := k.counts()
		if turns > 3 {
			t.Errorf("%d turns while paused", turns)
		}
		for stop := false; !stop; {
			c.Wake()
			synctest.Wait()
			select {
			case <-done:
				stop = true
			default:
			}
		}
		wrote.Wait()
	})
}

// farewell is a socket whose one read brings data and the end of the stream together.
type farewell struct {
	net.Conn

	data []byte
}

func (f *farewell) Read(p []byte) (int, error) {
	n := copy(p, f.data)
	f.data = f.data[n:]
	return n, io.EOF
}

func (f *farewell) CloseWrite() error { return nil }

// What the peer sent before it closed is handled, also if it has to wait.
func TestInputBeforeCloseSurvivesPause(t *testing.T) {
	survives := func(t *testing.T, lot *Lot, here, peer net.Conn) {
		t.Helper()
		var k *talk
		k = newTalk(func(turn *Turn) error {
			if turn.Paused = len(turn.In) > 0 && !turn.Woken; !turn.Paused {
				k.echo(turn)
				turn.Out = nil
			}
			return nil
		})
		c := admit(t, lot, here, nil, k, nil)
		synctest.Wait()
		select {
		case why := <-k.closed:
			t.Fatalf("closed with unread input: %v", why)
		default:
		}
		c.Wake()
		why := <-k.closed
		if got := string(k.seen); got != "lastword" {
			t.Errorf("seen %q, want lastword", got)
		}
		if !errors.Is(why, ErrPeerClosed) {
			t.Errorf("Closed(%v), want ErrPeerClosed", why)
		}
		_ = peer.Close()
	}
	bothPaths(t, func(p path) {
		t := p.T
		here, peer := p.wire()
		go func() {
			if _, err := peer.Write([]byte("lastword")); err != nil {
				t.Error(err)
			}
			_ = peer.Close()
		}()
		survives(t, p.lot(Config{}), here, peer)
	})
	t.Run("together", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			here, peer := net.Pipe()
			survives(t, New(Config{}), &farewell{here, []byte("lastword")}, peer)
		})
	})
}

func TestDeadlines(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		start := time.Now()
		var expired []time.Duration
		k := newTalk(func(turn *Turn) error {
			if turn.Expired {
				expired = append(expired, turn.Now.Sub(start))
				if len(expired) == 2 {
					return io.EOF
				}
			}
			turn.Used = len(turn.In)
			turn.Deadline = turn.Now.Add(10 * time.Second)
			return nil
		})
		peer, _ := p.open(t, p.lot(Config{}), k)
		for range 3 { // each packet moves the deadline
			time.Sleep(6 * time.Second)
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		<-k.closed
		if len(expired) != 2 || expired[0] != 28*time.Second || expired[1] != 38*time.Second {
			t.Errorf("expired at %v, want [28s 38s]", expired)
		}
	})
}

func TestPeerThatDoesNotReadIsCut(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		start := time.Now()
		k := newTalk(func(turn *Turn) error {
			turn.Out = append(turn.Out, make([]byte, 2*bufferOf)...)
			return nil
		})
		p.open(t, p.lot(Config{}), k)
		why := <-k.closed
		if !errors.Is(why, os.ErrDeadlineExceeded) {
			t.Errorf("Closed(%v), want a deadline", why)
		}
		if took := time.Since(start); took != DefaultWriteTimeout {
			t.Errorf("cut after %v, want %v", took, DefaultWriteTimeout)
		}
	})
}

func TestPanicDropsOneConnectionOnly(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		var log bytes.Buffer
		lot := p.lot(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		bad := newTalk(func(turn *Turn) error {
			if len(turn.In) > 0 {
				_ = turn.In[len(turn.In)]
			}
			return nil
		})
		good := newTalk(nil)
		badPeer, _ := p.open(t, lot, bad)
		goodPeer, _ := p.open(t, lot, good)
		if _, err := badPeer.Write([]byte("xxxx")); err != nil {
			t.Fatal(err)
		}
		if why := <-bad.closed; !errors.Is(why, ErrPanic) {
			t.Errorf("Closed(%v), want ErrPanic", why)
		}
		if _, err := badPeer.Read(make([]byte, 1)); err == nil {
			t.Error("the connection lives on")
		}
		if !strings.Contains(log.String(), "conversation_test.go") {
			t.Errorf("no stack in the log: %s", log.String())
		}
		if _, err := goodPeer.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(goodPeer, got); err != nil || string(got) != "ping" {
			t.Errorf("the other connection: %q, %v", got, err)
		}
	})
}

func TestPacketBeyondTheLimit(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		biggest := 0
		k := newTalk(func(turn *Turn) error { // waits for a packet that never ends
			biggest = max(biggest, len(turn.In))
			return nil
		})
		peer, _ := p.open(t, p.lot(Config{MaxPacket: 100_000}), k)
		_, err := peer.Write(make([]byte, 1<<20))
		if err == nil {
			t.Error("a megabyte was read")
		}
		if why := <-k.closed; !errors.Is(why, ErrTooLarge) {
			t.Errorf("Closed(%v), want ErrTooLarge", why)
		}
		if biggest < 100_000 || biggest > 100_000+smallBuffer {
			t.Errorf("%d bytes were held, want at least 100,000 and at most one small read more", biggest)
		}
	})
}

// A conversation that yields is called again without input, and hears of wakes in between.
func TestMoreIsFair(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		var c *Conn
		turns := 0
		k := newTalk(func(turn *Turn) error {
			if len(turn.In) == 0 {
				return nil
			}
			turns++
			if turns == 3 {
				c.Wake()
			}
			if turns > 3 && !turn.Woken {
				t.Errorf("turn %d was not woken", turns)
			}
			if turns == 4 {
				return io.EOF
			}
			turn.Used, turn.More = 1, true
			return nil
		})
		peer, conn := p.open(t, p.lot(Config{}), k)
		c = conn
		if _, err := peer.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		<-k.closed
		if turns != 4 {
			t.Errorf("%d turns, want 4", turns)
		}
	})
}

func TestWordsBeforeAnErrorAreWritten(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		over := errors.New("over")
		k := newTalk(func(turn *Turn) error {
			turn.Out = append(turn.Out, "bye"...)
			return over
		})
		peer, _ := p.open(t, p.lot(Config{}), k)
		got, err := io.ReadAll(peer)
		if string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v; want bye and the end", got, err)
		}
		if why := <-k.closed; !errors.Is(why, over) {
			t.Errorf("Closed(%v), want %v", why, over)
		}
	})
}

func TestTurnThatUsesTooMuchIsAnError(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		k := newTalk(func(turn *Turn) error { turn.Used = len(turn.In) + 1; return nil })
		p.open(t, p.lot(Config{}), k)
		if why := <-k.closed; why == nil || !strings.Contains(why.Error(), "1 of 0") {
			t.Errorf("Closed(%v)", why)
		}
	})
}

func TestShutdown(t *testing.T) {
	t.Run("says goodbye", func(t *testing.T) {
		bothPaths(t, func(p path) {
			t := p.T
			lot := p.lot(Config{})
			k := newTalk(func(turn *Turn) error {
				if turn.Stopping {
					turn.Out = append(turn.Out, "bye"...)
				}
				return nil
			})
			peer, _ := p.open(t, lot, k)
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := lot.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
			got, _ := io.ReadAll(peer)
			wg.Wait()
			if string(got) != "bye" {
				t.Errorf("read %q, want bye", got)
			}
			if why := <-k.closed; !errors.Is(why, ErrShutdown) {
				t.Errorf("Closed(%v), want ErrShutdown", why)
			}
			if lot.Len() != 0 {
				t.Errorf("%d connections left", lot.Len())
			}
			if _, err := lot.Admit(peer, nil); !errors.Is(err, ErrShutdown) {
				t.Errorf("Admit after Shutdown: %v", err)
			}
		})
	})
	t.Run("waits for what the conversation waits for", func(t *testing.T) {
		bothPaths(t, func(p path) {
			t := p.T
			lot := p.lot(Config{})
			k := newTalk(func(turn *Turn) error {
				turn.Paused = turn.Stopping && !turn.Woken
				return nil
			})
			_, c := p.open(t, lot, k)
			time.AfterFunc(time.Second, c.Wake)
			start := time.Now()
			if err := lot.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if took, want := time.Since(start), time.Second+lingerFor; took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		})
	})
	t.Run("but not for long", func(t *testing.T) {
		bothPaths(t, func(p path) {
			t := p.T
			lot := p.lot(Config{})
			k := newTalk(func(turn *Turn) error { turn.Paused = true; return nil })
			p.open(t, lot, k)
			start := time.Now()
			if err := lot.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if took, want := time.Since(start), stopGrace+lingerFor; took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		})
	})
	t.Run("cuts at its context's end", func(t *testing.T) {
		bothPaths(t, func(p path) {
			t := p.T
			lot := p.lot(Config{})
			k := newTalk(func(turn *Turn) error { turn.Out = append(turn.Out, make([]byte, 2*bufferOf)...); return nil })
			p.open(t, lot, k)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := lot.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown = %v", err)
			}
			<-k.closed
		})
	})
	t.Run("closes who has not arrived", func(t *testing.T) {
		bothPaths(t, func(p path) {
			t := p.T
			lot := p.lot(Config{})
			here, peer := p.wire()
			wait := serve(t, lot, here, func(nc net.Conn) {
				c, err := lot.Admit(nc, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := nc.Read(make([]byte, 1)); err == nil {
					t.Error("the arrival reads on")
				}
				c.Leave(nil)
			})
			synctest.Wait()
			if err := lot.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			wait()
			_ = peer.Close()
		})
	})
}

func TestLotIsBounded(t *testing.T) {
	lot := New(Config{MaxConns: 1})
	one, _ := net.Pipe()
	two, _ := net.Pipe()
	c, err := lot.Admit(one, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lot.Admit(two, nil); !errors.Is(err, ErrFull) {
		t.Errorf("Admit = %v, want ErrFull", err)
	}
	c.Leave(nil)
	if _, err := lot.Admit(two, nil); err != nil {
		t.Errorf("Admit after one left: %v", err)
	}
}
