package rig

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// The packet types of MQTT 3.1.1, as the high half of the first byte.
const (
	Connect     = 1
	ConnAck     = 2
	Publish     = 3
	PubAck      = 4
	Subscribe   = 8
	SubAck      = 9
	Unsubscribe = 10
	UnsubAck    = 11
	PingReq     = 12
	PingResp    = 13
	Disconnect  = 14
)

// Packet is an MQTT packet as it came.
type Packet struct {
	Type  byte
	Flags byte
	Body  []byte
}

// Link is one TLS connection that speaks MQTT 3.1.1 byte by byte: it can say what no
// client library would.
type Link struct {
	// fixed

	Conn *tls.Conn
	tb   testing.TB
	r    *bufio.Reader
}

// Dial opens a TLS connection to the MQTT port; it ends with the test. certs are the
// client's.
func (h *Hub) Dial(tb testing.TB, certs ...tls.Certificate) *Link {
	tb.Helper()
	cfg := h.TLS()
	cfg.Certificates = certs
	return h.DialAt(tb, h.Run.MQTT, cfg)
}

// DialAt is Dial to another address, such as a Proxy's, with a TLS configuration of the
// caller's.
func (h *Hub) DialAt(tb testing.TB, addr string, cfg *tls.Config) *Link {
	tb.Helper()
	conn, err := dial(tb.Context(), addr, cfg)
	if err != nil {
		tb.Fatalf("dial the MQTT port: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &Link{Conn: conn, tb: tb, r: bufio.NewReaderSize(conn, 64<<10)}
}

// TryDial is Dial for whoever expects that the hub is not there, from any goroutine; cfg
// is TLS's. The link must be closed by whoever asked for it.
func (h *Hub) TryDial(ctx context.Context, cfg *tls.Config) (*Link, error) {
	conn, err := dial(ctx, h.Run.MQTT, cfg)
	if err != nil {
		return nil, err
	}
	return &Link{Conn: conn, tb: h.tb, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func dial(ctx context.Context, addr string, cfg *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{}, Config: cfg}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil //nolint:forcetypeassert // tls.Dialer gives nothing else
}

// Hello is what a CONNECT says.
type Hello struct {
	ClientID  string
	Username  string
	Password  string // no password if empty
	Clean     bool
	KeepAlive uint16 // seconds
	Level     byte   // protocol level; 4 if zero
	WillTopic string // no will if empty
	Will      string
}

// Hello is the CONNECT of a well-behaved client of this identity.
func (id Identity) Hello() Hello {
	client := id.DeviceID
	if id.ModuleID != "" {
		client += "/" + id.ModuleID
	}
	h := Hello{ClientID: client, Username: Host + "/" + client + "/?api-version=" + APIVersion, KeepAlive: 60}
	if id.Key() != "" {
		h.Password = id.Token()
	}
	return h
}

// Bytes is the CONNECT packet.
func (o Hello) Bytes() []byte {
	level, flags := o.Level, byte(0x80)
	if level == 0 {
		level = 4
	}
	if o.Clean {
		flags |= 0x02
	}
	if o.WillTopic != "" {
		flags |= 0x04 | 1<<3
	}
	if o.Password != "" {
		flags |= 0x40
	}
	b := append(Text("MQTT"), level, flags, byte(o.KeepAlive>>8), byte(o.KeepAlive))
	if level >= 5 {
		b = append(b, 0) // no properties
	}
	b = append(b, Text(o.ClientID)...)
	if o.WillTopic != "" {
		b = append(append(b, Text(o.WillTopic)...), Text(o.Will)...)
	}
	b = append(b, Text(o.Username)...)
	if o.Password != "" {
		b = append(b, Text(o.Password)...)
	}
	return Frame(Connect<<4, b)
}

// Text is a length-prefixed string, as MQTT writes it.
func Text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// Frame is a packet: the first byte, the length, the body.
func Frame(first byte, body []byte) []byte {
	b := []byte{first}
	for n := len(body); ; {
		c := byte(n % 128)
		if n /= 128; n == 0 {
			return append(append(b, c), body...)
		}
		b = append(b, c|0x80)
	}
}

// PublishBytes is a PUBLISH packet; flags are the low half of its first byte.
func PublishBytes(topic string, flags byte, id uint16, body []byte) []byte {
	b := Text(topic)
	if flags&0x06 != 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return Frame(Publish<<4|flags, append(b, body...))
}

// SubscribeBytes is a SUBSCRIBE packet for these filters, all with one QoS.
func SubscribeBytes(id uint16, qos byte, filters ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		b = append(append(b, Text(f)...), qos)
	}
	return Frame(Subscribe<<4|2, b)
}

// Send writes raw bytes; it fails the test when the peer takes none.
func (l *Link) Send(b []byte) {
	l.tb.Helper()
	if err := l.TrySend(b); err != nil {
		l.tb.Fatalf("send %d bytes: %v", len(b), err)
	}
}

// TrySend is Send for whoever expects that the hub has closed already.
func (l *Link) TrySend(b []byte) error {
	if err := l.Conn.SetWriteDeadline(time.Now().Add(requestWithin)); err != nil {
		return err
	}
	_, err := l.Conn.Write(b)
	return err
}

// TryRead reads one packet, waiting at most within.
func (l *Link) TryRead(within time.Duration) (Packet, error) {
	if err := l.Conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return Packet{}, err
	}
	return ReadPacket(l.r)
}

// ReadPacket reads one MQTT packet.
func ReadPacket(r *bufio.Reader) (Packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return Packet{}, err
	}
	n, err := binary.ReadUvarint(r) // MQTT's remaining length is the same encoding
	if err != nil {
		return Packet{}, err
	}
	if n > maxPacket {
		return Packet{}, fmt.Errorf("a packet of %d bytes", n)
	}
	p := Packet{Type: first >> 4, Flags: first & 15, Body: make([]byte, n)}
	_, err = io.ReadFull(r, p.Body)
	return p, err
}

// Read reads one packet and fails the test unless it is of the type given.
func (l *Link) Read(kind byte) Packet {
	l.tb.Helper()
	p, err := l.TryRead(requestWithin)
	if err != nil {
		l.tb.Fatalf("read a packet of type %d: %v", kind, err)
	}
	if p.Type != kind {
		l.tb.Fatalf("got a packet of type %d (%x), want type %d", p.Type, p.Body, kind)
	}
	return p
}

// Greet sends a CONNECT and gives the return code and session-present flag of the
// CONNACK.
func (l *Link) Greet(o Hello) (code byte, present bool) {
	l.tb.Helper()
	l.Send(o.Bytes())
	p := l.Read(ConnAck)
	if len(p.Body) != 2 {
		l.tb.Fatalf("CONNACK % x: want two bytes", p.Body)
	}
	return p.Body[1], p.Body[0]&1 == 1
}

// TryGreet sends a CONNECT and gives the answer, for whoever may not be let in.
func (l *Link) TryGreet(o Hello) (Packet, error) {
	if err := l.TrySend(o.Bytes()); err != nil {
		return Packet{}, err
	}
	return l.TryRead(requestWithin)
}

// Enter is Greet for whoever must be let in.
func (l *Link) Enter(o Hello) (present bool) {
	l.tb.Helper()
	code, present := l.Greet(o)
	if code != 0 {
		l.tb.Fatalf("%s was refused with CONNACK %d", o.ClientID, code)
	}
	return present
}

// Publish sends a message with QoS 1 and waits for its PUBACK.
func (l *Link) Publish(topic string, id uint16, body string) {
	l.tb.Helper()
	l.Send(PublishBytes(topic, 0x02, id, []byte(body)))
	p := l.Read(PubAck)
	if len(p.Body) != 2 || binary.BigEndian.Uint16(p.Body) != id {
		l.tb.Fatalf("PUBACK % x, want id %d", p.Body, id)
	}
}

// Subscribe subscribes to filters with QoS 1 and gives the granted levels.
func (l *Link) Subscribe(id uint16, filters ...string) []byte {
	l.tb.Helper()
	l.Send(SubscribeBytes(id, 1, filters...))
	return l.Read(SubAck).Body[2:]
}

// Ping asks whether the hub is still there.
func (l *Link) Ping() {
	l.tb.Helper()
	l.Send(Frame(PingReq<<4, nil))
	l.Read(PingResp)
}

// Closed waits until the hub closes the connection, and fails the test if it has not
// within the time given. Packets that come before are counted, not read.
func (l *Link) Closed(within time.Duration) (packets int) {
	l.tb.Helper()
	end := time.Now().Add(within)
	for {
		_, err := l.TryRead(time.Until(end))
		if err == nil {
			packets++
			continue
		}
		var netErr net.Error
		if errors.As(err, &netErr) && netErr.Timeout() {
			l.tb.Fatalf("the connection is still open after %v", within)
		}
		return packets
	}
}

// EventsTopic is where the identity publishes its telemetry.
func (id Identity) EventsTopic() string {
	if id.ModuleID != "" {
		return "devices/" + id.DeviceID + "/modules/" + id.ModuleID + "/messages/events/"
	}
	return "devices/" + id.DeviceID + "/messages/events/"
}
