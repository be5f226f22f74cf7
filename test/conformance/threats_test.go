package conformance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// upgraded opens a WebSocket for MQTT as a peer that builds its own frames, and offers
// compression, which the hub must not accept.
func upgraded(t *testing.T, h *rig.Hub) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, r, err := tryUpgrade(t, h)
	if err != nil {
		t.Fatal(err)
	}
	return conn, r
}

func tryUpgrade(t *testing.T, h *rig.Hub) (net.Conn, *bufio.Reader, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: rig.Within}, "tcp", h.Run.HTTPS, h.TLS())
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(rig.Within))
	if _, err := io.WriteString(conn, "GET /$iothub/websocket HTTP/1.1\r\nHost: "+rig.Host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("status %d, want 101", res.StatusCode)
	}
	if agreed := res.Header.Get("Sec-WebSocket-Extensions"); agreed != "" {
		return nil, nil, fmt.Errorf("the hub agreed to %q", agreed)
	}
	return conn, r, nil
}

// TestManyWebSocketsOfOneAddress: those for whom there is no room at once stand in line, and
// each becomes a device in the end, over WebSocket as over TCP.
func TestManyWebSocketsOfOneAddress(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Config: "[limits]\nunauthenticated_per_address = 2\n"})
	ids := make([]rig.Identity, 30)
	for i := range ids {
		ids[i] = h.AddDevice(fmt.Sprintf("dev%02d", i))
	}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			conn, r, err := tryUpgrade(t, h)
			if err == nil {
				_, err = conn.Write(wsFrame(0x82, id.Hello().Bytes()))
			}
			answer := make([]byte, 6) // a frame of four bytes: a CONNACK
			if err == nil {
				_, err = io.ReadFull(r, answer)
			}
			if want := []byte{0x82, 4, 0x20, 2, 0, 0}; err != nil || !bytes.Equal(answer, want) {
				t.Errorf("%s: %x, %v", id.DeviceID, answer, err)
			}
		})
	}
	wg.Wait()
}

// TestSilentStrangersOfHTTPS take the places of strangers on every port, and have to give
// them up when others wait.
func TestSilentStrangersOfHTTPS(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Config: "[limits]\nunauthenticated = 24\n"})
	d := h.AddDevice("dev1")
	for i := range 40 {
		conn, err := (&net.Dialer{Timeout: rig.Within}).DialContext(t.Context(), "tcp", h.Run.HTTPS)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if i%2 == 0 { // the first half of a record
			if _, err := conn.Write([]byte{22, 3, 1, 0, 200, 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.Dial(t).Enter(d.Hello())
}

// wsFrame is a client's frame masked with zeros; first holds the FIN and RSV bits and the
// opcode.
func wsFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// TestWebSocketFrames sends frames that no WebSocket has, before and after it has proved
// who it is: the hub closes, and nobody else notices (threat classes 5 to 7).
func TestWebSocketFrames(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	const binaryFrame, text, closing, ping = 0x82, 0x81, 0x88, 0x89
	long := func(n uint64, payload []byte) []byte { // a frame that says it is longer than it is
		b := binary.BigEndian.AppendUint64([]byte{binaryFrame, 0x80 | 127}, n)
		return append(append(b, 0, 0, 0, 0), payload...)
	}
	bits := bytes.Repeat(rig.Frame(rig.PingReq<<4, nil), 4<<20/2)
	cases := map[string][]byte{
		"a compressed message":             wsFrame(0x40|binaryFrame, []byte{0x02, 0x00, 0x00, 0x00, 0xff, 0xff}),
		"a reserved bit":                   wsFrame(0x20|binaryFrame, d.Hello().Bytes()),
		"a reserved opcode":                wsFrame(0x83, d.Hello().Bytes()),
		"a reserved control opcode":        wsFrame(0x8b, nil),
		"no mask":                          append([]byte{binaryFrame, 2}, rig.Frame(rig.PingReq<<4, nil)...),
		"a length with the highest bit":    long(1<<63, bits),
		"a length of all bits":             long(1<<64-1, bits),
		"a message of 4 MB and no end":     long(1<<62, bits),
		"a message of 4 MB in fragments":   append(wsFrame(0x02, bits[:2<<20]), wsFrame(0x80, bits[2<<20:])...),
		"text":                             wsFrame(text, d.Hello().Bytes()),
		"a continuation of nothing":        wsFrame(0x80, d.Hello().Bytes()),
		"a message inside a message":       append(wsFrame(0x02, []byte{0x10}), wsFrame(binaryFrame, d.Hello().Bytes())...),
		"a ping of 126 bytes":              wsFrame(ping, make([]byte, 126)),
		"a ping in fragments":              wsFrame(0x09, nil),
		"a close of one byte":              wsFrame(closing, []byte{3}),
		"a close with a code of nobody":    wsFrame(closing, []byte{0, 1}),
		"a close with a reason of no text": wsFrame(closing, []byte{3, 0xe8, 0xff, 0xfe}),
	}
	whileServed(t, h, func() {
		for name, b := range cases {
			for _, proved := range []bool{false, true} {
				conn, r := upgraded(t, h)
				if proved {
					if _, err := conn.Write(wsFrame(binaryFrame, d.Hello().Bytes())); err != nil {
						t.Fatal(err)
					}
					if ack, err := io.ReadAll(io.LimitReader(r, 6)); err != nil || !bytes.Equal(ack, []byte{binaryFrame, 4, 0x20, 2, 0, 0}) &&
						!bytes.Equal(ack, []byte{binaryFrame, 4, 0x20, 2, 1, 0}) {
						t.Fatalf("CONNECT over WebSocket is answered % x, %v", ack, err)
					}
				}
				go func() { _, _ = conn.Write(b) }() // the hub may close before it has all
				if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s, proved %t: still open after %v", name, proved, rig.Within)
				}
			}
		}
	})
	if got := bodies(h, "dev1"); len(got) != 0 {
		t.Errorf("messages %q", got)
	}
}

// TestNameLikeAWildcard registers devices whose names mean something in a filter or a
// path: each has its own topics and nothing else (threat class 14).
func TestNameLikeAWildcard(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	victim := h.AddDevice("victim")
	names := []string{"+", "#", "*", "%2B", "$iothub", "victim%2F", "vict", "victim+"}
	for _, name := range names {
		d := h.AddDevice(name)
		own := "for " + name
		l := h.Dial(t)
		l.Enter(d.Hello())
		if name == "+" {
			l.Subscribe(1, d.DeviceboundTopic()) // a filter, but not one of others' topics
		}
		l.Subscribe(2, "#")
		h.SendTo(victim, "for the victim")
		if mute := strings.ContainsAny(name, "+#"); mute { // no topic can name it
			l.Ping()
		} else {
			h.SendTo(d, own)
			if m := l.Receive(); m.Body != own {
				t.Errorf("%s got %q on %s", name, m.Body, m.Topic)
			}
		}
		for what, b := range map[string][]byte{
			"publishes as":  rig.PublishBytes(victim.EventsTopic(), 2, 1, []byte("forged by "+name)),
			"subscribes to": rig.SubscribeBytes(3, 1, victim.DeviceboundTopic()),
		} {
			l := h.Dial(t)
			l.Enter(d.Hello())
			l.Send(b)
			for {
				p, err := l.TryRead(rig.Within)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s %s the victim and is still connected", name, what)
				}
				if err != nil {
					break
				}
				if p.Type != rig.Publish || rig.ParseMessage(p).Body != own {
					t.Errorf("%s %s the victim and gets packet %d % x", name, what, p.Type, p.Body)
				}
			}
		}
	}
	if got := bodies(h, "victim"); len(got) != 0 {
		t.Errorf("in the victim's name: %q", got)
	}
	if n := h.Pending(victim); n != len(names) {
		t.Errorf("%d messages wait for the victim, want %d", n, len(names))
	}
}

// TestRevokedRightsAtReplay takes an identity's rights while messages wait for its durable
// subscription: it gets none of them, and whoever has its name later does not either
// (threat classes 16, 17 and 25).
func TestRevokedRightsAtReplay(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Subscribe(1, d.DeviceboundTopic())
	l.Send(rig.Frame(rig.Disconnect<<4, nil))
	l.Closed(rig.Within)
	h.SendTo(d, "kept")

	refused := func(why string) {
		t.Helper()
		l := h.Dial(t)
		if code, _ := l.Greet(d.Hello()); code != 5 {
			t.Errorf("%s: CONNACK %d, want 5", why, code)
		}
		if n := l.Closed(rig.Within); n != 0 {
			t.Errorf("%s: %d packets after the refusal", why, n)
		}
	}
	d.Status = "disabled"
	h.Put(d, "*")
	refused("disabled")
	d.Status = "enabled"
	h.Put(d, "*")
	l = h.Dial(t)
	if !l.Enter(d.Hello()) {
		t.Error("the session is gone though the device was disabled only")
	}
	if m := l.Receive(); m.Body != "kept" { // and not acknowledged
		t.Errorf("got %q", m.Body)
	}
	h.Request(http.MethodDelete, d.Path(), "", "If-Match", "*").Want(t, http.StatusNoContent)
	l.Closed(rig.Within)
	refused("deleted")

	again := h.Put(rig.Identity{DeviceID: "dev1", Authentication: d.Authentication}, "")
	l = h.Dial(t)
	if l.Enter(again.Hello()) {
		t.Error("a new device has the session of the deleted one")
	}
	l.Subscribe(1, again.DeviceboundTopic())
	h.SendTo(again, "new")
	if m := l.Receive(); m.Body != "new" {
		t.Errorf("a new device got %q of the deleted one", m.Body)
	}
	l.Ping() // nothing else comes before its answer
}

// TestSecretsAreNowhere connects well and badly over every transport, and then looks for
// keys, tokens and signatures wherever the hub tells of itself (threat class 20).
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Config: "[log]\nlevel = \"debug\"\n"})
	d, other := h.AddDevice("dev1"), h.AddDevice("dev2")
	owner, err := rig.ParseConnectionString(h.PolicyString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"the primary key": d.Key(), "the secondary key": d.Authentication.SymmetricKey.SecondaryKey, "the policy's key": owner["SharedAccessKey"],
	}
	token := func(what, text string) string {
		_, sig, _ := strings.Cut(text, "&sig=")
		sig, _, _ = strings.Cut(sig, "&")
		secrets[what] = sig
		return text
	}
	good := token("a good token", d.Token())
	wrong := token("a wrong token", rig.Token(d.Resource(), other.Key(), ""))
	old := token("an expired token", rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(-time.Hour)))
	ofPolicy := token("a policy's token", h.OwnerToken())

	for password, want := range map[string]byte{good: 0, wrong: 5, old: 5, d.Key(): 5, ofPolicy: 0} {
		hello := d.Hello()
		hello.Password = password
		l := h.Dial(t)
		if code, _ := l.Greet(hello); code != want {
			t.Errorf("CONNACK %d, want %d", code, want)
		}
		hello.ClientID, hello.Username, hello.Password = "dev1", rig.Host+"/dev1/"+password+"/?api-version=2021-04-12", password
		h.Dial(t).Send(hello.Bytes())
		plainLogin(t, h, "dev1@sas.hub", password)
		plainLogin(t, h, "iothubowner", password)
		h.RequestAs(password, http.MethodPost, "/devices/dev1/messages/events", "x")
		h.RequestAs(password, http.MethodGet, "/devices/nobody", "")
		h.RequestAs(password, http.MethodGet, "/devices/nobody?sig="+url.QueryEscape(password), "")
	}
	h.Berth("connection-string", "--policy", "device").Must()
	h.Log("dev1", "deviceConnect", "401003")

	_, log, _ := strings.Cut(h.Out.String(), "First device:") // the first start shows the policies on standard output
	told := map[string]string{
		"the log": log, "the metrics": h.Ops("/metrics"), "the profile's command line": h.Ops("/debug/pprof/cmdline"),
		"goroutines": h.Ops("/debug/pprof/goroutine?debug=2"),
	}
	for what, args := range map[string][]string{
		"the resource log": {"logs", "--json"}, "explain": {"explain", "dev1", "--json"}, "conflicts": {"conflicts", "--json"},
		"the events": {"monitor", "--json", "--from", "earliest", "--no-follow"},
	} {
		told[what] = string(h.Berth(args...).Must().Stdout)
	}
	if runtime.GOOS == "linux" {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(h.PID()), name))
			if err != nil {
				t.Fatal(err)
			}
			told[name] = string(b)
		}
	}
	for where, text := range told {
		if text == "" {
			t.Errorf("%s tells nothing", where)
		}
		for what, secret := range secrets {
			for _, form := range []string{secret, url.QueryEscape(secret), strings.ReplaceAll(url.QueryEscape(secret), "%", "%25")} {
				if plain, err := url.QueryUnescape(form); strings.Contains(text, form) || err == nil && len(plain) > 20 && strings.Contains(text, plain) {
					t.Errorf("%s holds %s", where, what)
					break
				}
			}
		}
	}
	for _, where := range []string{"the log", "the resource log", "explain"} {
		if !strings.Contains(told[where], "dev1") {
			t.Errorf("%s does not tell of the device:\n%s", where, told[where])
		}
	}
}

// plainLogin says a name and a password by SASL PLAIN, and reads until the outcome.
func plainLogin(t *testing.T, h *rig.Hub, name, password string) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: rig.Within}, "tcp", h.Run.AMQP, h.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(rig.Within))
	said := []byte("\x00" + name + "\x00" + password)
	body := append([]byte{0xa3, 5}, "PLAIN"...)
	body = append(append(binary.BigEndian.AppendUint32(append(body, 0xb0), uint32(len(said))), said...), 0x40)
	list := binary.BigEndian.AppendUint32([]byte{0x00, 0x53, 0x41, 0xd0}, uint32(4+len(body)))
	list = append(binary.BigEndian.AppendUint32(list, 3), body...)
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(8+len(list))), 2, 1, 0, 0)
	if _, err := conn.Write(append(append([]byte("AMQP\x03\x01\x00\x00"), frame...), list...)); err != nil {
		t.Fatal(err)
	}
	got, seen := make([]byte, 4096), 0
	for !bytes.Contains(got[:seen], []byte{0x53, 0x44}) { // sasl-outcome
		n, err := conn.Read(got[seen:])
		if err != nil {
			t.Fatalf("SASL PLAIN as %s: no outcome in % x, %v", name, got[:seen], err)
		}
		seen += n
	}
}

// TestKeysOfEveryShape signs with keys that are no keys, and registers them: a refusal
// with a code, never anything else (threat class 28).
func TestKeysOfEveryShape(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	keys := []string{"", "=", "a", "ab", "abc", "AA==", "not base64!", strings.Repeat("A", 21), base64.StdEncoding.EncodeToString(make([]byte, 15)), base64.StdEncoding.EncodeToString(make([]byte, 65)), strings.Repeat("A", 60_000)}
	for _, key := range keys {
		body := fmt.Sprintf(`{"deviceId":"odd","authentication":{"type":"sas","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, key, d.Key())
		if key != "" { // which asks the hub for one
			if got := h.Request(http.MethodPut, "/devices/odd", body); got.Status != http.StatusBadRequest || len(got.Body) == 0 {
				t.Errorf("a key of %d characters is answered %d %s", len(key), got.Status, got.Body)
			}
		}
		for _, token := range []string{
			rig.Token(d.Resource(), key, ""), rig.Token(d.Resource(), key, "device"), rig.Token(url.QueryEscape(rig.Host), key, "iothubowner"),
			"SharedAccessSignature sr=" + d.Resource() + "&sig=" + url.QueryEscape(key) + "&se=4102444800",
			"SharedAccessSignature sr=" + d.Resource() + "&sig=" + url.QueryEscape(key) + "&se=4102444800&skn=device", key,
		} {
			if len(token) > 16_000 { // more than a header may hold
				continue
			}
			hello := d.Hello()
			hello.Password = token
			if token != "" {
				if code, _ := h.Dial(t).Greet(hello); code != 5 {
					t.Errorf("token %.80q: CONNACK %d, want 5", token, code)
				}
			}
			if got := h.RequestAs(token, http.MethodGet, "/devices/dev1", ""); got.Status != http.StatusUnauthorized {
				t.Errorf("token %.80q: status %d, want 401", token, got.Status)
			}
			plainLogin(t, h, "dev1@sas.hub", token)
			plainLogin(t, h, "iothubowner", token)
		}
	}
	h.Dial(t).Enter(d.Hello())
	if !h.Alive() {
		t.Error("the hub died")
	}
	if log := h.Out.String(); strings.Contains(log, "panic") {
		t.Errorf("a panic was caught:\n%s", log)
	}
}
