package reslog

import (
	"crypto/tls"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// side is what is known of one side of a connection's story. It holds no secret and
// no whole address.
type side struct {
	Epoch          string      `json:"epoch,omitempty"`
	Conn           uint64      `json:"conn"`
	Transport      string      `json:"transport"`
	Listener       string      `json:"listener,omitempty"`
	RemotePort     uint16      `json:"remotePort,omitempty"`
	ClientID       string      `json:"clientId,omitempty"` // MQTT client id, AMQP container id
	SDKVersion     string      `json:"sdkVersion,omitempty"`
	APIVersion     string      `json:"apiVersion,omitempty"`
	ModelID        string      `json:"modelId,omitempty"`
	KeepAlive      float64     `json:"keepAlive"` // seconds; 0 none
	CleanSession   bool        `json:"cleanSession"`
	AcceptedTime   string      `json:"acceptedTime,omitempty"`
	ConnectTime    string      `json:"connectTime,omitempty"`
	LastInTime     string      `json:"lastInTime,omitempty"`
	LastOutTime    string      `json:"lastOutTime,omitempty"`
	BytesIn        uint64      `json:"bytesIn"`
	BytesOut       uint64      `json:"bytesOut"`
	PacketsIn      uint64      `json:"packetsIn"`
	PacketsOut     uint64      `json:"packetsOut"`
	Credential     *credential `json:"credential,omitempty"`
	TLS            *tlsFacts   `json:"tls,omitempty"`
	TCP            *tcpFacts   `json:"tcp,omitempty"`
	SilentForMS    *int64      `json:"silentForMs,omitempty"` // since the last byte from the client, when the record was made
	HandshakeMicro int64       `json:"handshakeUs,omitempty"`
}

// credential is how a party proved itself; never the credential itself.
type credential struct {
	Slot       string `json:"slot,omitempty"`
	Policy     string `json:"policy,omitempty"`
	Thumbprint string `json:"thumbprint,omitempty"`
	Authority  string `json:"authority,omitempty"` // the registered CA that vouched for the certificate
	TokenHash  string `json:"tokenHash,omitempty"` // keyed: tells the same token again, and nothing else
	Expires    string `json:"expires,omitempty"`
}

// tlsFacts is what the handshake told.
type tlsFacts struct {
	Version    string `json:"version"`
	Cipher     string `json:"cipher"`
	ServerName string `json:"serverName,omitempty"`
	ALPN       string `json:"alpn,omitempty"`
	HelloHash  string `json:"helloHash,omitempty"`
	Resumed    bool   `json:"resumed"`
	Lineage    string `json:"lineage,omitempty"` // one process that reconnects keeps it
}

// tcpFacts is the kernel's view of a connection.
type tcpFacts struct {
	State              string  `json:"state"`
	RTTMS              float64 `json:"rttMs"`
	Unacknowledged     uint32  `json:"unacknowledged"` // segments
	Retransmits        uint8   `json:"retransmits"`    // time-outs in a row without an answer
	LastDataReceivedMS int64   `json:"lastDataReceivedMs"`
	LastAckReceivedMS  int64   `json:"lastAckReceivedMs"`
}

// tcpOf gives what the kernel said, nil if it said nothing.
func tcpOf(t device.TCP) *tcpFacts {
	if !t.Known() {
		return nil
	}
	return &tcpFacts{
		State: t.StateName(), RTTMS: float64(t.RTT.Microseconds()) / 1000, Unacknowledged: t.Unacked, Retransmits: t.Retransmits,
		LastDataReceivedMS: t.LastDataRecv.Milliseconds(), LastAckReceivedMS: t.LastAckRecv.Milliseconds(),
	}
}

// sideOf copies the facts of a party as they are at the time given; sdk says whether
// the client's type is among them.
func sideOf(p *device.Party, at time.Time, sdk bool) side {
	s := side{
		Epoch: p.Epoch, ClientID: clip(p.Client.ID, maxText), APIVersion: clip(p.Client.APIVersion, maxShort),
		ModelID: clip(p.Client.ModelID, maxShort), KeepAlive: p.Client.KeepAlive.Seconds(), CleanSession: p.Clean,
		ConnectTime: stamp(p.Opened), Credential: credentialOf(&p.Proof),
	}
	if sdk {
		s.SDKVersion = clip(p.Client.Type, maxText)
	}
	c := p.Conn
	if c == nil {
		return s
	}
	s.Conn, s.Transport, s.Listener, s.RemotePort = c.ID, string(c.Transport), c.Listener, c.Remote.Port()
	s.AcceptedTime, s.HandshakeMicro = stamp(c.Accepted), c.TLS.Handshake.Microseconds()
	s.BytesIn, s.BytesOut = c.Traffic.BytesIn.Load(), c.Traffic.BytesOut.Load()
	s.PacketsIn, s.PacketsOut = c.Traffic.PacketsIn.Load(), c.Traffic.PacketsOut.Load()
	if n := c.Traffic.LastIn.Load(); n != 0 {
		last := time.Unix(0, n)
		silent := max(at.Sub(last).Milliseconds(), 0)
		s.LastInTime, s.SilentForMS = stamp(last), &silent
	}
	if n := c.Traffic.LastOut.Load(); n != 0 {
		s.LastOutTime = stamp(time.Unix(0, n))
	}
	if c.TLS.Version != 0 {
		s.TLS = &tlsFacts{
			Version: tls.VersionName(c.TLS.Version), Cipher: cipherName(c.TLS.CipherSuite),
			ServerName: clip(c.TLS.ServerName, maxShort), ALPN: clip(c.TLS.ALPN, maxShort),
			HelloHash: hex(c.TLS.HelloHash), Resumed: c.TLS.Resumed, Lineage: hex(c.TLS.Lineage),
		}
	}
	return s
}

// cipherName names a cipher suite; crypto/tls makes a list of all of them to look one up.
func cipherName(suite uint16) string {
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256"
	case tls.TLS_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384"
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return tls.CipherSuiteName(suite)
}

func credentialOf(p *device.Proof) *credential {
	return &credential{
		Slot: p.Slot, Policy: p.Policy, Thumbprint: p.Thumbprint, Authority: clip(p.Authority, maxShort), TokenHash: hex(p.TokenHash), Expires: stamp(p.Expires),
	}
}

// stamp is a time as the log writes it, "" for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// hex is a hash as the log writes it, "" for none.
func hex(n uint64) string {
	if n == 0 {
		return ""
	}
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = digits[n>>(60-4*i)&0xf]
	}
	return string(b[:])
}
