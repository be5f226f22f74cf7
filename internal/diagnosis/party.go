package diagnosis

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/device"
)

// Party is one side of a displacement as it was at that moment. It holds no secret.
type Party struct {
	Run        uint64           `json:"run"` // of the hub: token hashes of different runs cannot be compared
	Epoch      string           `json:"epoch,omitempty"`
	Conn       uint64           `json:"conn,omitempty"`
	Transport  device.Transport `json:"transport,omitempty"`
	Listener   string           `json:"listener,omitempty"`
	Remote     netip.AddrPort   `json:"remote"`
	ClientID   string           `json:"clientId,omitempty"`
	ClientType string           `json:"type,omitempty"`
	APIVersion string           `json:"api,omitempty"`
	ModelID    string           `json:"model,omitempty"`
	KeepAlive  time.Duration    `json:"keepAlive,omitempty"`
	Clean      bool             `json:"clean,omitempty"`
	Auth       string           `json:"auth,omitempty"`
	Slot       string           `json:"slot,omitempty"`
	Policy     string           `json:"policy,omitempty"`
	Thumbprint string           `json:"thumbprint,omitempty"`
	Authority  string           `json:"authority,omitempty"`
	Token      uint64           `json:"token,omitempty"` // keyed hash
	Expires    time.Time        `json:"expires,omitzero"`
	TLS        device.TLS       `json:"tls"`
	Accepted   time.Time        `json:"accepted,omitzero"` // when its socket was
	Opened     time.Time        `json:"opened,omitzero"`   // when it began to speak for the identity
	LastIn     time.Time        `json:"lastIn,omitzero"`
	LastOut    time.Time        `json:"lastOut,omitzero"`
	BytesIn    uint64           `json:"bytesIn,omitempty"`
	BytesOut   uint64           `json:"bytesOut,omitempty"`
	PacketsIn  uint64           `json:"packetsIn,omitempty"`
	PacketsOut uint64           `json:"packetsOut,omitempty"`
	TCP        device.TCP       `json:"tcp"`
}

// partyOf copies the facts of a party as they are now; what a peer chose is cut short.
func partyOf(p *device.Party, run uint64) Party {
	v := Party{
		Run: run, Epoch: p.Epoch, Opened: p.Opened, Clean: p.Clean, KeepAlive: p.Client.KeepAlive,
		ClientID: clip(p.Client.ID, maxShort), ClientType: clip(p.Client.Type, maxText),
		APIVersion: clip(p.Client.APIVersion, maxShort), ModelID: clip(p.Client.ModelID, maxShort),
		Auth: p.Proof.Stamp.AuthMethod(), Slot: p.Proof.Slot, Policy: clip(p.Proof.Policy, maxShort),
		Thumbprint: p.Proof.Thumbprint, Authority: clip(p.Proof.Authority, maxShort),
		Token: p.Proof.TokenHash, Expires: p.Proof.Expires,
	}
	c := p.Conn
	if c == nil {
		return v
	}
	v.Conn, v.Transport, v.Listener, v.Remote, v.TLS = c.ID, c.Transport, c.Listener, c.Remote, c.TLS
	v.Accepted = c.Accepted
	v.TLS.ServerName, v.TLS.ALPN = clip(c.TLS.ServerName, maxShort), clip(c.TLS.ALPN, maxShort)
	v.BytesIn, v.BytesOut = c.Traffic.BytesIn.Load(), c.Traffic.BytesOut.Load()
	v.PacketsIn, v.PacketsOut = c.Traffic.PacketsIn.Load(), c.Traffic.PacketsOut.Load()
	if n := c.Traffic.LastIn.Load(); n != 0 {
		v.LastIn = time.Unix(0, n).UTC()
	}
	if n := c.Traffic.LastOut.Load(); n != 0 {
		v.LastOut = time.Unix(0, n).UTC()
	}
	return v
}

// address is the party's address without its port, which is new for each connection.
func (p *Party) address() netip.Addr { return p.Remote.Addr().Unmap() }

// amqp reports whether the party speaks AMQP, whatever carries it. Its connection may
// speak for many identities, and for one of them several times.
func (p *Party) amqp() bool { return p.Transport == device.AMQP || p.Transport == device.AMQPWS }

// dialled is when the party set out for the identity: its socket was accepted then, or on
// AMQP, where the socket may be older, its first link was attached.
func (p *Party) dialled() time.Time {
	if p.amqp() || p.Accepted.IsZero() {
		return p.Opened
	}
	return p.Accepted
}

// family is the name of the client's software without its version, in lower case:
// "azure-iot-device" of "azure-iot-device/1.18.4 (node v20.20.2; …)".
func (p *Party) family() string {
	name := strings.TrimSpace(p.ClientType)
	if i := strings.IndexAny(name, "/ (;"); i > 0 {
		name = name[:i]
	}
	return strings.ToLower(name)
}

// clip cuts a text to n bytes of whole characters; what is not UTF-8 is marked.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, size := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && size == 1 {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(strings.Clone(s), "�")
}
