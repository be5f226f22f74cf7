package reslog

import (
	"net/netip"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// The operations of the category Connections.
const (
	deviceConnect    = "deviceConnect"
	deviceDisconnect = "deviceDisconnect"
)

// connection is the properties of a record of the category Connections, in Azure's
// order, and Berth's own facts behind them (connections 3).
type connection struct {
	DeviceID        string  `json:"deviceId"`
	ModuleID        string  `json:"moduleId,omitempty"`
	SDKVersion      *string `json:"sdkVersion,omitempty"` // connect only
	Protocol        string  `json:"protocol"`
	AuthType        *string `json:"authType"`
	MaskedIPAddress string  `json:"maskedIpAddress"`
	StatusCode      *string `json:"statusCode"`
	ErrorMessage    string  `json:"errorMessage"`
	Berth           *facts  `json:"berth,omitempty"`
}

// facts is what Azure does not say.
type facts struct {
	side

	Reason     string `json:"reason,omitempty"`
	DurationMS *int64 `json:"durationMs,omitempty"` // how long the connection held the identity
	Unacked    uint64 `json:"unacked,omitempty"`    // messages appended and not acknowledged at the end
	Released   uint64 `json:"released,omitempty"`   // cloud-to-device messages that went back to their queue
	Will       bool   `json:"willSent,omitempty"`
	By         *rival `json:"by,omitempty"` // for a displacement, the newcomer
}

// rival is the newcomer of a displacement.
type rival struct {
	MaskedIPAddress string `json:"maskedIpAddress"`
	AuthType        string `json:"authType"`
	side
}

// Connected records that a session began. See presence.Sink.
func (l *Log) Connected(p device.Party) {
	sdk := clip(p.Client.Type, maxText)
	props := about(&p, nil)
	props.SDKVersion = &sdk
	props.Berth = &facts{side: sideOf(&p, p.Opened, false)}
	l.queue.put(item{
		at: p.Opened, operation: deviceConnect, category: categoryConnections,
		identity: p.Identity, properties: props,
	})
}

// Ended records that a session ended, and for a displacement who took over. See
// presence.Sink.
func (l *Log) Ended(e device.Ending) {
	reason := clip(e.Reason, maxReason)
	props := about(&e.Party, statusCode(e.Code))
	props.ErrorMessage = message("Device disconnected", e.Code, reason)
	took := max(e.At.Sub(e.Party.Opened).Milliseconds(), 0)
	props.Berth = &facts{
		side: sideOf(&e.Party, e.At, true), Reason: reason, DurationMS: &took, Unacked: e.Unacked, Released: e.Released, Will: e.Will,
	}
	props.Berth.TCP = tcpOf(e.TCP)
	if e.By != nil {
		props.Berth.By = &rival{
			MaskedIPAddress: iot.MaskAddr(remote(e.By.Conn).Addr()), AuthType: e.By.Proof.Stamp.AuthMethod(),
			side: sideOf(e.By, e.At, true),
		}
		if by := e.By.Conn; by != nil && by.Kernel != nil {
			props.Berth.By.TCP = tcpOf(by.Kernel())
		}
	}
	l.queue.put(item{
		at: e.At, operation: deviceDisconnect, category: categoryConnections, code: e.Code,
		identity: e.Party.Identity, properties: props,
	})
}

// Refused records that a connection was not let in. Who is refused has proved
// nothing: what he says of himself is cut short, and beyond a rate only counted.
func (l *Log) Refused(hello device.Hello, err error, at time.Time) {
	p := device.Party{
		Identity: clipID(hello.Identity), Opened: at, Clean: hello.Clean, Client: hello.Client, Conn: hello.Conn,
	}
	code, reason := fault.Of(err), clip(fault.Detail(err), maxReason)
	sdk := clip(p.Client.Type, maxText)
	props := about(&p, statusCode(code))
	props.SDKVersion, props.AuthType = &sdk, nil
	props.ErrorMessage = message("Device connection refused", code, reason)
	props.Berth = &facts{side: sideOf(&p, at, false), Reason: reason}
	props.Berth.Credential = nil
	l.queue.putLimited(item{
		at: at, operation: deviceConnect, category: categoryConnections, code: code,
		identity: p.Identity, properties: props,
	}, at)
}

// about gives the published properties of a party.
func about(p *device.Party, status *string) *connection {
	auth := p.Proof.Stamp.AuthMethod()
	c := &connection{
		DeviceID: p.Identity.Device, ModuleID: p.Identity.Module, AuthType: &auth, StatusCode: status,
		MaskedIPAddress: iot.MaskAddr(remote(p.Conn).Addr()),
	}
	if p.Conn != nil {
		c.Protocol = protocol(p.Conn.Transport)
	}
	return c
}

// protocol is the protocol inside: a WebSocket is only a carrier (connections 1.1).
func protocol(t device.Transport) string {
	switch t {
	case device.MQTTWS:
		return string(device.MQTT)
	case device.AMQPWS:
		return string(device.AMQP)
	case device.MQTT, device.AMQP, device.HTTPS:
	}
	return string(t)
}

func remote(c *device.Conn) netip.AddrPort {
	if c == nil {
		return netip.AddrPort{}
	}
	return c.Remote
}
