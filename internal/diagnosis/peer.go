package diagnosis

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// peerOf is a party as it crosses to others; client is its letter, if it has one.
func peerOf(p *Party, client string) iot.Peer {
	v := iot.Peer{
		Client: client, Epoch: p.Epoch, Connection: p.Conn, RemotePort: p.Remote.Port(), Transport: string(p.Transport),
		Listener: p.Listener, ClientID: p.ClientID, ClientType: p.ClientType, APIVersion: p.APIVersion, ModelID: p.ModelID,
		KeepAlive: p.KeepAlive.Seconds(), CleanSession: p.Clean, ConnectedAt: iot.MomentOf(p.Opened),
		LastPacketIn: iot.MomentOf(p.LastIn), LastPacketOut: iot.MomentOf(p.LastOut),
		BytesIn: p.BytesIn, BytesOut: p.BytesOut, PacketsIn: p.PacketsIn, PacketsOut: p.PacketsOut,
		RemoteAddress: addressText(p), TCP: tcpOf(p.TCP), TLS: tlsOf(&p.TLS),
		Credential: &iot.PeerCredential{
			Type: "sas", Slot: p.Slot, Policy: p.Policy, Thumbprint: p.Thumbprint, Authority: p.Authority,
			TokenHash: hex(p.Token), TokenExpires: iot.MomentOf(p.Expires),
		},
	}
	if p.Thumbprint != "" {
		v.Credential.Type = "x509"
	}
	return v
}

func addressText(p *Party) string {
	if a := p.address(); a.IsValid() {
		return a.String()
	}
	return ""
}

func tlsOf(t *device.TLS) *iot.PeerTLS {
	if t.Version == 0 {
		return nil
	}
	return &iot.PeerTLS{
		Version: tls.VersionName(t.Version), Cipher: tls.CipherSuiteName(t.CipherSuite), ServerName: t.ServerName,
		ALPN: t.ALPN, HelloHash: hex(t.HelloHash), Resumed: t.Resumed, Lineage: hex(t.Lineage),
	}
}

func tcpOf(t device.TCP) *iot.PeerTCP {
	if !t.Known() {
		return nil
	}
	return &iot.PeerTCP{
		State: stateName(t.State), RTTMS: float64(t.RTT) / float64(time.Millisecond), Unacknowledged: t.Unacked,
		Retransmits: t.Retransmits, LastDataReceivedMS: t.LastDataRecv.Milliseconds(), LastAckReceivedMS: t.LastAckRecv.Milliseconds(),
	}
}

// stateName names a TCP state by Linux's number.
func stateName(n uint8) string {
	names := [...]string{
		1: "established", 2: "syn-sent", 3: "syn-received", 4: "fin-wait-1", 5: "fin-wait-2", 6: "time-wait", 7: "closed",
		8: "close-wait", 9: "last-ack", 10: "listen", 11: "closing",
	}
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprintf("state %d", n)
}

// credentialText says in words how a party proved itself.
func credentialText(p *Party) string {
	switch {
	case p.Thumbprint != "":
		return "certificate " + p.Thumbprint[:min(len(p.Thumbprint), 12)]
	case p.Policy != "" && p.Slot != "":
		return p.Slot + " key of policy " + p.Policy
	case p.Policy != "":
		return "key of policy " + p.Policy
	case p.Slot != "":
		return p.Slot + " key"
	}
	return "credential"
}

// hex is a hash in text, "" for none.
func hex(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", n)
}
