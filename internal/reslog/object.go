package reslog

import (
	"strconv"
	"unicode/utf8"
)

// object is a JSON object under construction, as encoding/json would write it without
// HTML escaping. Records of connections are written by it, because every connect and
// disconnect makes one: by reflection they took a tenth of what a connection costs.
type object struct {
	b     []byte
	empty bool // there is no member yet
}

func (o *object) open() { o.b, o.empty = append(o.b, '{'), true }

func (o *object) close() { o.b, o.empty = append(o.b, '}'), false }

// name begins a member; names need no escaping.
func (o *object) name(name string) {
	if !o.empty {
		o.b = append(o.b, ',')
	}
	o.empty = false
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

func (o *object) text(name, v string) {
	o.name(name)
	o.b = appendText(o.b, v)
}

// textIf leaves out the empty text.
func (o *object) textIf(name, v string) {
	if v != "" {
		o.text(name, v)
	}
}

// textOrNull writes null for nil.
func (o *object) textOrNull(name string, v *string) {
	if v != nil {
		o.text(name, *v)
		return
	}
	o.name(name)
	o.b = append(o.b, "null"...)
}

func (o *object) count(name string, v uint64) {
	o.name(name)
	o.b = strconv.AppendUint(o.b, v, 10)
}

// countIf leaves out 0.
func (o *object) countIf(name string, v uint64) {
	if v != 0 {
		o.count(name, v)
	}
}

func (o *object) number(name string, v int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, v, 10)
}

// numberIf leaves out nil.
func (o *object) numberIf(name string, v *int64) {
	if v != nil {
		o.number(name, *v)
	}
}

// float writes a number that is neither tiny nor huge: seconds, milliseconds.
func (o *object) float(name string, v float64) {
	o.name(name)
	o.b = strconv.AppendFloat(o.b, v, 'f', -1, 64)
}

func (o *object) truth(name string, v bool) {
	o.name(name)
	o.b = strconv.AppendBool(o.b, v)
}

// appendText writes a string. What is not plain ASCII is left to encoding/json's rules.
func appendText[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		if c < utf8.RuneSelf {
			b = appendEscape(b, c)
			i++
		} else {
			r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			b = appendRune(b, r, size)
			i += size
		}
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// appendEscape writes an ASCII character that cannot stand for itself.
func appendEscape(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}

// appendRune writes a character beyond ASCII: as it is, but for bytes that are none, and
// for the two line ends that JavaScript knows and JSON does not.
func appendRune(b []byte, r rune, size int) []byte {
	switch {
	case r == utf8.RuneError && size == 1:
		return append(b, `\ufffd`...)
	case r == '\u2028':
		return append(b, `\u2028`...)
	case r == '\u2029':
		return append(b, `\u2029`...)
	}
	return utf8.AppendRune(b, r)
}

// appendJSON writes the properties of a record as encoding/json would.
func (c *connection) appendJSON(b []byte) []byte {
	o := object{b: b}
	o.open()
	o.text("deviceId", c.DeviceID)
	o.textIf("moduleId", c.ModuleID)
	if c.SDKVersion != nil {
		o.text("sdkVersion", *c.SDKVersion)
	}
	o.text("protocol", c.Protocol)
	o.textOrNull("authType", c.AuthType)
	o.text("maskedIpAddress", c.MaskedIPAddress)
	o.textOrNull("statusCode", c.StatusCode)
	o.text("errorMessage", c.ErrorMessage)
	if f := c.Berth; f != nil {
		o.name("berth")
		o.open()
		o.side(&f.side)
		o.textIf("reason", f.Reason)
		o.numberIf("durationMs", f.DurationMS)
		o.countIf("unacked", f.Unacked)
		o.countIf("released", f.Released)
		if f.Will {
			o.truth("willSent", true)
		}
		if f.By != nil {
			o.name("by")
			o.open()
			o.text("maskedIpAddress", f.By.MaskedIPAddress)
			o.text("authType", f.By.AuthType)
			o.side(&f.By.side)
			o.close()
		}
		o.close()
	}
	o.close()
	return o.b
}

// side writes the members of one side.
func (o *object) side(s *side) {
	o.textIf("epoch", s.Epoch)
	o.count("conn", s.Conn)
	o.text("transport", s.Transport)
	o.textIf("listener", s.Listener)
	o.countIf("remotePort", uint64(s.RemotePort))
	o.textIf("clientId", s.ClientID)
	o.textIf("sdkVersion", s.SDKVersion)
	o.textIf("apiVersion", s.APIVersion)
	o.textIf("modelId", s.ModelID)
	o.float("keepAlive", s.KeepAlive)
	o.truth("cleanSession", s.CleanSession)
	o.textIf("acceptedTime", s.AcceptedTime)
	o.textIf("connectTime", s.ConnectTime)
	o.textIf("lastInTime", s.LastInTime)
	o.textIf("lastOutTime", s.LastOutTime)
	o.count("bytesIn", s.BytesIn)
	o.count("bytesOut", s.BytesOut)
	o.count("packetsIn", s.PacketsIn)
	o.count("packetsOut", s.PacketsOut)
	o.credential(s.Credential)
	o.tls(s.TLS)
	o.tcp(s.TCP)
	o.numberIf("silentForMs", s.SilentForMS)
	if s.HandshakeMicro != 0 {
		o.number("handshakeUs", s.HandshakeMicro)
	}
}

func (o *object) credential(c *credential) {
	if c == nil {
		return
	}
	o.name("credential")
	o.open()
	o.textIf("slot", c.Slot)
	o.textIf("policy", c.Policy)
	o.textIf("thumbprint", c.Thumbprint)
	o.textIf("authority", c.Authority)
	o.textIf("tokenHash", c.TokenHash)
	o.textIf("expires", c.Expires)
	o.close()
}

func (o *object) tls(t *tlsFacts) {
	if t == nil {
		return
	}
	o.name("tls")
	o.open()
	o.text("version", t.Version)
	o.text("cipher", t.Cipher)
	o.textIf("serverName", t.ServerName)
	o.textIf("alpn", t.ALPN)
	o.textIf("helloHash", t.HelloHash)
	o.truth("resumed", t.Resumed)
	o.textIf("lineage", t.Lineage)
	o.close()
}

func (o *object) tcp(t *tcpFacts) {
	if t == nil {
		return
	}
	o.name("tcp")
	o.open()
	o.text("state", t.State)
	o.float("rttMs", t.RTTMS)
	o.count("unacknowledged", uint64(t.Unacknowledged))
	o.count("retransmits", uint64(t.Retransmits))
	o.number("lastDataReceivedMs", t.LastDataReceivedMS)
	o.number("lastAckReceivedMs", t.LastAckReceivedMS)
	o.close()
}

// appendJSON writes the envelope as encoding/json would; properties is JSON and becomes
// a string.
func (e *envelope) appendJSON(b, properties []byte) []byte {
	o := object{b: b}
	o.open()
	o.text("time", e.Time)
	o.text("resourceId", e.ResourceID)
	o.text("operationName", e.OperationName)
	o.text("category", e.Category)
	o.text("level", e.Level)
	o.textIf("resultType", e.ResultType)
	o.textIf("resultDescription", e.ResultDescription)
	o.name("properties")
	o.b = appendText(o.b, properties)
	o.text("location", e.Location)
	o.close()
	return o.b
}
