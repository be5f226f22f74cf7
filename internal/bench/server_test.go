package bench

import (
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/berth-iot/berth/internal/mqttwire"
)

// broker is a small MQTT server that behaves, or misbehaves as it is told.
type broker struct {
	// fixed

	ln       net.Listener
	refuse   mqttwire.ReturnCode
	silentAt int  // PUBLISH packets after which nothing is acknowledged; 0: never
	twice    bool // every message is acknowledged twice
	tolerant bool // a newcomer does not displace
	farewell bool // a displaced client is sent something before its connection is closed
	suback   byte // return code of every subscription

	// shared

	wg sync.WaitGroup

	// guarded by mu

	mu       sync.Mutex
	holders  map[string]net.Conn
	open     map[net.Conn]bool
	received int
	topics   map[string]int
	filters  []string
}

// start serves on a free port until the test ends.
func (b *broker) start(t *testing.T) *Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.ln, b.holders, b.open, b.topics = ln, map[string]net.Conn{}, map[net.Conn]bool{}, map[string]int{}
	b.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open[c] = true
			b.mu.Unlock()
			b.wg.Go(func() { b.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		b.mu.Lock()
		for c := range b.open {
			c.Close()
		}
		b.mu.Unlock()
		b.wg.Wait()
	})
	return &Target{Address: ln.Addr().String(), Account: func(n int) (Account, error) {
		id := string(rune('a' + n))
		return Account{ClientID: id, Topic: "t/" + id, Filter: "f/" + id}, nil
	}}
}

func (b *broker) serve(c net.Conn) {
	defer c.Close()
	var in, out []byte
	buf := make([]byte, 64*1024)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		out = out[:0]
		for {
			p, used, err := mqttwire.Decode(in, 1<<20)
			if errors.Is(err, mqttwire.ErrShort) {
				break
			}
			if err != nil {
				return
			}
			in = in[used:]
			if out, err = b.answer(c, p, out); err != nil {
				c.Write(out)
				return
			}
		}
		if len(out) > 0 {
			c.Write(out)
		}
	}
}

var errGoodbye = errors.New("goodbye")

func (b *broker) answer(c net.Conn, p mqttwire.Packet, out []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch p := p.(type) {
	case mqttwire.Connect:
		if b.refuse != 0 {
			return mqttwire.Connack{Code: b.refuse}.Append(out), errGoodbye
		}
		if old := b.holders[p.ClientID]; old != nil && !b.tolerant {
			if b.farewell {
				old.Write(mqttwire.Pingresp{}.Append(nil))
			}
			old.Close()
		}
		b.holders[p.ClientID] = c
		return mqttwire.Connack{}.Append(out), nil
	case mqttwire.Publish:
		b.received++
		b.topics[string(p.Topic)]++
		if b.silentAt > 0 && b.received > b.silentAt {
			return out, nil
		}
		out = mqttwire.Puback{ID: p.ID}.Append(out)
		if b.twice {
			out = mqttwire.Puback{ID: p.ID}.Append(out)
		}
		return out, nil
	case mqttwire.Subscribe:
		b.filters = append(b.filters, string(p.Filters[0].Topic))
		return mqttwire.Suback{ID: p.ID, Codes: []byte{b.suback}}.Append(out), nil
	case mqttwire.Pingreq:
		return mqttwire.Pingresp{}.Append(out), nil
	default:
		return out, errGoodbye
	}
}
