package iot

import "net/netip"

// Peer is what is known of one connection's client: enough to find it, never a
// secret. What is unknown is empty or null.
type Peer struct {
	Client        string          `json:"client,omitempty"` // which of Explanation.Clients: "A", "B" …
	Epoch         string          `json:"epoch"`
	Connection    uint64          `json:"connection"` // unique within one run of the hub
	RemoteAddress string          `json:"remoteAddress"`
	RemotePort    uint16          `json:"remotePort"`
	Transport     string          `json:"transport"`
	Listener      string          `json:"listener"`
	ClientID      string          `json:"clientId"` // MQTT client id, AMQP container id
	ClientType    string          `json:"clientType"`
	APIVersion    string          `json:"apiVersion"`
	ModelID       string          `json:"modelId,omitempty"`
	KeepAlive     float64         `json:"keepAliveSeconds"` // or AMQP idle time-out; 0 none
	CleanSession  bool            `json:"cleanSession"`
	Credential    *PeerCredential `json:"credential"`
	TLS           *PeerTLS        `json:"tls"`
	ConnectedAt   Moment          `json:"connectedAt"`
	LastPacketIn  Moment          `json:"lastPacketIn"`
	LastPacketOut Moment          `json:"lastPacketOut"`
	BytesIn       uint64          `json:"bytesIn"`
	BytesOut      uint64          `json:"bytesOut"`
	PacketsIn     uint64          `json:"packetsIn"`
	PacketsOut    uint64          `json:"packetsOut"`
	TCP           *PeerTCP        `json:"tcp"`
}

// PeerCredential is how a client proved its identity; never the proof itself.
type PeerCredential struct {
	Type         string `json:"type"` // "sas", "x509"
	Slot         string `json:"slot,omitempty"`
	Policy       string `json:"policy,omitempty"`
	Thumbprint   string `json:"thumbprint,omitempty"`
	Authority    string `json:"authority,omitempty"`
	TokenHash    string `json:"tokenHash,omitempty"` // keyed: tells the same token again within one run of the hub, and nothing else
	TokenExpires Moment `json:"tokenExpires"`
}

// PeerTLS is what the handshake told of a client.
type PeerTLS struct {
	Version    string `json:"version"`
	Cipher     string `json:"cipher"`
	ServerName string `json:"serverName,omitempty"`
	ALPN       string `json:"alpn,omitempty"`
	HelloHash  string `json:"helloHash,omitempty"` // of the ClientHello's shape: the same software gives the same
	Resumed    bool   `json:"resumed"`
	Lineage    string `json:"lineage,omitempty"` // one process that resumes its sessions keeps it
}

// PeerTCP is the kernel's view of a connection.
type PeerTCP struct {
	State              string  `json:"state"`
	RTTMS              float64 `json:"rttMs"`
	Unacknowledged     uint32  `json:"unacknowledged"` // segments
	Retransmits        uint8   `json:"retransmits"`    // time-outs in a row without an answer
	LastDataReceivedMS int64   `json:"lastDataReceivedMs"`
	LastAckReceivedMS  int64   `json:"lastAckReceivedMs"`
}

// Masked is the peer with its address masked.
func (p Peer) Masked() Peer {
	p.RemoteAddress = maskText(p.RemoteAddress)
	return p
}

// maskText masks an address given as text; what is no address becomes "".
func maskText(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	return MaskAddr(a)
}
