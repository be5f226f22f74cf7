package park

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// The input is a queue of bytes, however the reads and the packets are cut, and never
// holds a multiple of what is unread for long.
func TestInputIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := &sync.Pool{New: func() any { return new([bigBuffer]byte) }}
		in := input{pool: pool, max: 50_000}
		in.buf = in.small[:]
		var model []byte
		next := byte(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			room, err := in.room()
			if err != nil {
				if !errors.Is(err, ErrTooLarge) || len(model) < in.max {
					t.Fatalf("room: %v with %d unread", err, len(model))
				}
				in.consume(len(model))
				model = model[:0]
				continue
			}
			if len(room) == 0 {
				t.Fatalf("no room with %d unread", len(model))
			}
			n := len(room)
			if rapid.Bool().Draw(t, "short") {
				n = rapid.IntRange(0, len(room)).Draw(t, "n")
			}
			for i := range n {
				room[i] = next
				next++
			}
			model = append(model, room[:n]...)
			in.landed(n)
			if !bytes.Equal(model, in.unread()) {
				t.Fatalf("unread differs from the model at %d bytes", len(model))
			}
			if len(in.buf) > max(2*bigBuffer, 4*len(model)) && len(model) > bigBuffer {
				t.Fatalf("%d bytes held for %d unread", len(in.buf), len(model))
			}
			used := rapid.IntRange(0, len(model)).Draw(t, "used")
			if rapid.Bool().Draw(t, "all") {
				used = len(model)
			}
			in.consume(used)
			model = model[used:]
		}
		in.release()
	})
}

// A connection that has gone quiet holds the small buffer only.
func TestQuietInputIsSmall(t *testing.T) {
	pool := &sync.Pool{New: func() any { return new([bigBuffer]byte) }}
	in := input{pool: pool, max: 1 << 20}
	in.buf = in.small[:]
	read := func(n int) {
		for n > 0 {
			room, err := in.room()
			if err != nil {
				t.Fatal(err)
			}
			got := min(n, len(room))
			in.landed(got)
			n -= got
		}
	}
	read(300_000)
	in.consume(300_000)
	read(2)
	in.consume(2)
	if _, err := in.room(); err != nil {
		t.Fatal(err)
	}
	if len(in.buf) != smallBuffer {
		t.Errorf("%d bytes held, want %d", len(in.buf), smallBuffer)
	}
}

// A peer that sends small packets faster than they are handled is read as fast as they are,
// however many it has sent: only one packet can exceed the limit.
func TestManySmallPacketsAreNoLargeOne(t *testing.T) {
	const size = 1 << 20
	bothPaths(t, func(p path) {
		t := p.T
		used, most := 0, 0
		k := newTalk(func(turn *Turn) error {
			most = max(most, len(turn.In))
			turn.Used = min(len(turn.In), 256)
			turn.More = len(turn.In) > turn.Used
			if used += turn.Used; used == size {
				return io.EOF
			}
			return nil
		})
		peer, _ := p.open(t, p.lot(Config{MaxPacket: 100_000}), k)
		if _, err := peer.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if why := <-k.closed; !errors.Is(why, io.EOF) {
			t.Errorf("Closed(%v) behind %d bytes of small packets, want the conversation's own end", why, used)
		}
		if most > 3*bigBuffer {
			t.Errorf("%d bytes were read ahead, want at most %d", most, 3*bigBuffer)
		}
	})
}
