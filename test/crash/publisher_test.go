package crash

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/test/rig"
)

const (
	devices  = 100
	inFlight = 16 // PUBLISH packets of one device that wait for their PUBACK
	bodySize = 64 // bytes
)

// publisher is one device: what it has sent, and what of it was acknowledged.
type publisher struct {
	// fixed

	id      rig.Identity
	resends bool // sends again, with DUP, what a kill left unacknowledged, as real clients do
	amqp    bool // publishes over AMQP, one message after the other
	size    int  // bytes of a message; 0: bodySize

	// of the connection that lives now, or died last

	sent  []uint64 // numbers in the order in which they were sent
	acked int      // how many of sent, from the front, have their PUBACK

	// over all connections

	next      uint64   // the number of the next new message
	unacked   []uint64 // what the last connection left unacknowledged
	partition int      // -1 until a message of the device was read
}

func (p *publisher) body(n uint64) []byte {
	b := fmt.Appendf(nil, "%s %010d ", p.id.DeviceID, n)
	for len(b) < max(p.size, bodySize) {
		b = append(b, '.')
	}
	return b
}

// begin starts the books of a new connection.
func (p *publisher) begin() {
	p.unacked = nil
	if p.resends {
		p.unacked = append(p.unacked, p.sent[p.acked:]...)
	}
	p.sent, p.acked = nil, 0
}

// run publishes as fast as the hub acknowledges, until the connection dies. It gives an
// error only for what even a dying hub may not do.
func (p *publisher) run(l *rig.Link) error {
	r := bufio.NewReader(l.Conn)
	topic := p.id.EventsTopic()
	var out []byte
	for {
		out = out[:0]
		for len(p.sent)-p.acked < inFlight {
			n, flags := p.next, byte(0x02)
			if len(p.unacked) > 0 {
				n, flags, p.unacked = p.unacked[0], 0x0a, p.unacked[1:]
			} else {
				p.next++
			}
			out = append(out, rig.PublishBytes(topic, flags, packetID(len(p.sent)), p.body(n))...)
			p.sent = append(p.sent, n)
		}
		if l.TrySend(out) != nil {
			return p.drain(r)
		}
		if died, err := p.takeAck(r); died || err != nil {
			return err
		}
		for r.Buffered() >= 4 {
			if died, err := p.takeAck(r); died || err != nil {
				return err
			}
		}
	}
}

// send publishes over AMQP until the connection dies. It gives an error for a refusal, which
// a dying hub has no reason for.
func (p *publisher) send(s *amqp.Sender) error {
	for {
		n := p.next
		p.next++
		p.sent = append(p.sent, n)
		ctx, cancel := context.WithTimeout(context.Background(), rig.Within)
		err := s.Send(ctx, &amqp.Message{Data: [][]byte{p.body(n)}}, nil)
		cancel()
		if refused := (*amqp.Error)(nil); errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s over AMQP: %w", p.id.DeviceID, err)
		}
		if err != nil {
			return nil //nolint:nilerr // the hub was killed
		}
		p.acked++
	}
}

// drain takes the acknowledgements that were on their way when the hub died: they
// count.
func (p *publisher) drain(r *bufio.Reader) error {
	for {
		if died, err := p.takeAck(r); died || err != nil {
			return err
		}
	}
}

// takeAck reads one PUBACK; they come in the order of the PUBLISH packets.
func (p *publisher) takeAck(r *bufio.Reader) (died bool, err error) {
	packet, err := rig.ReadPacket(r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, fmt.Errorf("%s: neither a PUBACK nor the end of the connection came", p.id.DeviceID)
	}
	if err != nil {
		return true, nil //nolint:nilerr // the hub was killed
	}
	if packet.Type != rig.PubAck || len(packet.Body) != 2 {
		return false, fmt.Errorf("%s: packet of type %d, % x", p.id.DeviceID, packet.Type, packet.Body)
	}
	if p.acked == len(p.sent) {
		return false, fmt.Errorf("%s: a PUBACK for nothing", p.id.DeviceID)
	}
	if got, want := binary.BigEndian.Uint16(packet.Body), packetID(p.acked); got != want {
		return false, fmt.Errorf("%s: PUBACK for packet %d, want %d: out of order", p.id.DeviceID, got, want)
	}
	p.acked++
	return false, nil
}

// packetID is the packet identifier of the i-th PUBLISH of a connection; never 0.
func packetID(i int) uint16 { return uint16(1 + i%65535) }

// settle compares what the log holds of the last connection with what was sent on it.
func (p *publisher) settle(stored []uint64) error {
	if len(stored) < p.acked {
		return fmt.Errorf("%s: %d messages are stored, %d were acknowledged", p.id.DeviceID, len(stored), p.acked)
	}
	if len(stored) > len(p.sent) {
		return fmt.Errorf("%s: %d messages are stored, only %d were sent", p.id.DeviceID, len(stored), len(p.sent))
	}
	for i, n := range stored {
		if n != p.sent[i] {
			return fmt.Errorf("%s: message %d of the connection is number %d, want %d: lost, doubled or out of order", p.id.DeviceID, i, n, p.sent[i])
		}
	}
	return nil
}
