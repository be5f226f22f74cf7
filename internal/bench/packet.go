package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/berth-iot/berth/internal/mqttwire"
)

// packets is a run of equal PUBLISH packets, laid out one behind the other so that
// one write carries many; only the identifiers change.
type packets struct {
	buf    []byte
	length int // of one packet
	at     int // of the identifier within a packet
	batch  int // packets in buf
}

// text is a body of size bytes, the same in every run.
func text(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + i*7%26)
	}
	return b
}

// newPackets makes as many packets of size bytes of body as one write may carry, at
// most inflight.
func newPackets(topic string, size, inflight int) *packets {
	one := mqttwire.Publish{Topic: []byte(topic), QoS: 1, ID: 1, Payload: text(size)}.Append(nil)
	p := &packets{length: len(one), at: len(one) - size - 2}
	p.batch = min(inflight, max(1, batchBytes/len(one)))
	for range p.batch {
		p.buf = append(p.buf, one...)
	}
	return p
}

// number writes the identifiers into the first packets and gives their bytes,
// which are good until the next call. ids holds at most batch identifiers.
func (p *packets) number(ids []uint16) []byte {
	for i, id := range ids {
		binary.BigEndian.PutUint16(p.buf[i*p.length+p.at:], id)
	}
	return p.buf[:len(ids)*p.length]
}

// nextAck takes one packet from the front of b: how many bytes it is, 0 if it is not
// whole, and the identifier it acknowledges, 0 if it is something else that a server
// may send. Nothing is allocated.
func nextAck(b []byte) (id uint16, n int, err error) {
	f, n, err := mqttwire.Split(b, readBytes)
	if err != nil {
		if errors.Is(err, mqttwire.ErrShort) {
			err = nil
		}
		return 0, 0, err
	}
	switch f.Type {
	case mqttwire.TypePuback:
		return binary.BigEndian.Uint16(f.Body), n, nil
	case mqttwire.TypePingresp:
		return 0, n, nil
	default:
		return 0, 0, fmt.Errorf("the server sent a %s", f.Type)
	}
}

// receive reads one packet and nothing behind it, which a server does not send
// before it is asked.
func receive(c net.Conn) (mqttwire.Packet, error) {
	var buf [64]byte
	for have := 0; ; {
		n, err := c.Read(buf[have:])
		if err != nil {
			return nil, err
		}
		have += n
		p, used, err := mqttwire.Decode(buf[:have], len(buf))
		switch {
		case errors.Is(err, mqttwire.ErrShort):
			continue
		case err != nil:
			return nil, err
		case used != have:
			return nil, errors.New("the server sent more than it was asked for")
		}
		return p, nil
	}
}

// accepted waits for the CONNACK.
func accepted(c net.Conn) error {
	p, err := receive(c)
	if err != nil {
		return err
	}
	ack, ok := p.(mqttwire.Connack)
	if !ok {
		return fmt.Errorf("the server answered CONNECT with %T", p)
	}
	if ack.Code != mqttwire.Accepted {
		return fmt.Errorf("refused with CONNACK return code %d", ack.Code)
	}
	return nil
}

// pong waits for the PINGRESP.
func pong(c net.Conn) error {
	p, err := receive(c)
	if err != nil {
		return err
	}
	if _, ok := p.(mqttwire.Pingresp); !ok {
		return fmt.Errorf("the server answered PINGREQ with %T", p)
	}
	return nil
}

// granted waits for the SUBACK of one filter.
func granted(c net.Conn) error {
	p, err := receive(c)
	if err != nil {
		return err
	}
	ack, ok := p.(mqttwire.Suback)
	if !ok {
		return fmt.Errorf("the server answered SUBSCRIBE with %T", p)
	}
	if len(ack.Codes) != 1 || ack.Codes[0] >= mqttwire.SubackFailure {
		return fmt.Errorf("refused with SUBACK return codes %v", ack.Codes)
	}
	return nil
}
