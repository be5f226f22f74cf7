package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/mqttwire"
)

// Account is what one simulated device says of itself.
type Account struct {
	ClientID string
	Username string // empty: none is sent
	Password []byte // nil: none is sent
	Topic    string // where it publishes
	Filter   string // what it subscribes to, where a run asks for that
}

// Protocol is what a target is spoken to.
type Protocol int

// The protocols. Over AMQP 1.0 a device logs in with SASL PLAIN, and its topic and filter
// are the addresses of links.
const (
	MQTT Protocol = iota
	AMQP
)

// String names the protocol.
func (p Protocol) String() string {
	if p == AMQP {
		return "AMQP"
	}
	return "MQTT"
}

// Target is the server under load and how a device enters it.
type Target struct {
	Address string                       // host:port to dial
	TLS     *tls.Config                  // nil: plain TCP; cloned for every connection
	Sources []netip.Addr                 // local addresses taken in turn, so that more than 28,000 connections fit; empty: the system's choice
	Account func(n int) (Account, error) // the nth device, from 0; called at each of its connects, from many goroutines
	PID     int                          // the server's process, to measure its use; 0: do not

	Protocol Protocol                // what devices speak
	Service  func() (Account, error) // over AMQP: the back-end that sends to devices and reads their messages; its Topic is where it sends

	cipher atomic.Pointer[string] // what the first handshake agreed on
}

func (t *Target) check() error {
	if t.Account == nil {
		return errors.New("the target has no accounts")
	}
	return t.checkAddress()
}

// checkAddress is check for a run without devices.
func (t *Target) checkAddress() error {
	if len(t.Sources) > maxSources {
		return fmt.Errorf("%d source addresses; at most %d", len(t.Sources), maxSources)
	}
	if _, _, err := net.SplitHostPort(t.Address); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	return nil
}

// only says that a run needs a protocol.
func (t *Target) only(p Protocol) error {
	if t.Protocol != p {
		return fmt.Errorf("this run needs %s", p)
	}
	return nil
}

// connect dials, does the handshake and the CONNECT of device n with a clean session, and
// returns when the server accepted it; over AMQP, when the device may send.
func (t *Target) connect(ctx context.Context, n int, with hearing) (*conn, error) {
	account, err := t.Account(n)
	if err != nil {
		return nil, err
	}
	if t.Protocol == AMQP {
		return t.login(ctx, n, account, readBytes, func(c *conn) error { return c.peer.outgoing(account.Topic) })
	}
	hello := mqttwire.Connect{Clean: true, KeepAlive: keepAlive, ClientID: account.ClientID, Password: account.Password}
	if account.Username != "" {
		hello.Username = &account.Username
	}
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	c, err := t.dial(ctx, n, with)
	if err != nil {
		return nil, err
	}
	c.account = account
	if err := c.enter(ctx, hello.Append(nil)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect as %q: %w", account.ClientID, err), c.Close())
	}
	return c, nil
}

// login dials and enters over AMQP, then does what is to be done before the connection is
// at its user's disposal, within the same time. buffer is how many bytes one read takes.
func (t *Target) login(ctx context.Context, n int, account Account, buffer int, then func(*conn) error) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	c, err := t.dial(ctx, n, unstamped)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(t.Address)
	if t.TLS != nil && t.TLS.ServerName != "" {
		host = t.TLS.ServerName
	}
	c.account, c.peer = account, &peer{Conn: c.Conn, host: host, most: min(buffer, peerFrame), buf: make([]byte, buffer)}
	deadline, _ := ctx.Deadline()
	err = errors.Join(err, c.SetDeadline(deadline))
	if err == nil {
		err = c.peer.login(account.ClientID, account.Username, account.Password)
	}
	if err == nil {
		err = then(c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect as %q: %w", account.ClientID, err), c.Close())
	}
	return c, c.SetDeadline(time.Time{})
}

func (t *Target) dial(ctx context.Context, n int, with hearing) (*conn, error) {
	var d net.Dialer
	if len(t.Sources) > 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.Sources[n%len(t.Sources)], 0))
	}
	nc, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	if with == stamped {
		c.heard = listen(nc)
		c.Conn = c.heard
	}
	if t.TLS == nil {
		return c, nil
	}
	secured := tls.Client(c.Conn, t.TLS.Clone())
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), nc.Close())
	}
	if t.cipher.Load() == nil {
		text := agreed(secured.ConnectionState())
		t.cipher.CompareAndSwap(nil, &text)
	}
	c.Conn = secured
	return c, nil
}

// agreed describes what a handshake settled: it decides what a connection costs.
func agreed(s tls.ConnectionState) string {
	return tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.CipherSuite) + ", " + s.CurveID.String()
}

// settled is what the first handshake agreed on, empty without TLS.
func (t *Target) settled() string {
	if text := t.cipher.Load(); text != nil {
		return *text
	}
	return ""
}

// conn is one device's connection. One goroutine at a time uses it.
type conn struct {
	net.Conn // what packets pass through

	account Account
	heard   *ear  // the socket below, if arrivals are stamped
	peer    *peer // over AMQP
}

// arrived is when the kernel took in the last bytes that were read; ok is false where
// it does not say.
func (c *conn) arrived() (at time.Time, ok bool) {
	if c.heard == nil {
		return time.Time{}, false
	}
	ns := c.heard.at.Load()
	return time.Unix(0, ns), ns != 0
}

// enter sends the CONNECT and waits for the CONNACK.
func (c *conn) enter(ctx context.Context, hello []byte) error {
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.Write(hello); err != nil {
		return err
	}
	if err := accepted(c); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// subscribe asks for the account's filter and waits until it is granted.
func (c *conn) subscribe() error {
	if err := c.SetDeadline(time.Now().Add(handshake)); err != nil {
		return err
	}
	ask := mqttwire.Subscribe{ID: 1, Filters: []mqttwire.Filter{{Topic: []byte(c.account.Filter), QoS: 1}}}
	if _, err := c.Write(ask.Append(nil)); err != nil {
		return err
	}
	if err := granted(c); err != nil {
		return fmt.Errorf("subscribe to %q: %w", c.account.Filter, err)
	}
	return c.SetDeadline(time.Time{})
}

// leave says goodbye and closes.
func (c *conn) leave() error {
	_ = c.SetWriteDeadline(time.Now().Add(closeWait))
	bye := mqttwire.Disconnect{}.Append(nil)
	if c.peer != nil {
		bye = amqpwire.AppendFrame(nil, 0, amqpwire.Close{})
	}
	_, err := c.Write(bye)
	return errors.Join(err, c.Close())
}

// ping asks the server for a sign of life.
func (c *conn) ping() error {
	if err := c.SetDeadline(time.Now().Add(closeWait)); err != nil {
		return err
	}
	if _, err := c.Write(mqttwire.Pingreq{}.Append(nil)); err != nil {
		return err
	}
	return pong(c)
}
