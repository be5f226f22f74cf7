package conformance

import (
	"errors"
	"fmt"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// pahoClient is a client of Go's paho with what it noticed.
type pahoClient struct {
	paho.Client

	t    *testing.T
	lost chan error
}

// newPaho makes a client for an identity; it does not connect again by itself.
func newPaho(t *testing.T, h *rig.Hub, hello rig.Hello) *pahoClient {
	t.Helper()
	c := &pahoClient{t: t, lost: make(chan error, 1)}
	o := paho.NewClientOptions().AddBroker("ssl://" + h.Run.MQTT).SetTLSConfig(h.TLS()).
		SetClientID(hello.ClientID).SetUsername(hello.Username).SetPassword(hello.Password).
		SetCleanSession(hello.Clean).SetProtocolVersion(4).SetKeepAlive(time.Duration(hello.KeepAlive) * time.Second).
		SetAutoReconnect(false).SetConnectTimeout(rig.Within).SetResumeSubs(false)
	o.OnConnectionLost = func(_ paho.Client, err error) { c.lost <- err }
	c.Client = paho.NewClient(o)
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// wait waits for a token and gives its error.
func (c *pahoClient) wait(token paho.Token, what string) error {
	c.t.Helper()
	if !token.WaitTimeout(rig.Within) {
		c.t.Fatalf("paho: no end of %s within %v", what, rig.Within)
	}
	return token.Error()
}

// enter connects and says whether the hub knew the session.
func (c *pahoClient) enter() (present bool) {
	c.t.Helper()
	token := c.Connect()
	if err := c.wait(token, "CONNECT"); err != nil {
		c.t.Fatalf("paho: connect: %v", err)
	}
	return token.(*paho.ConnectToken).SessionPresent()
}

// refused connects and demands CONNACK 5.
func (c *pahoClient) refused(why string) {
	c.t.Helper()
	err := c.wait(c.Connect(), "CONNECT")
	if !errors.Is(err, packets.ErrorRefusedNotAuthorised) {
		c.t.Errorf("%s: paho reports %v, want CONNACK 5", why, err)
	}
}

// publish sends with QoS 1 and waits for the PUBACK.
func (c *pahoClient) publish(topic, body string) {
	c.t.Helper()
	if err := c.wait(c.Publish(topic, 1, false, body), "PUBLISH"); err != nil {
		c.t.Errorf("paho: publish: %v", err)
	}
}

// TestPahoRefusals gets CONNACK 5, and nothing else, for every refusal.
func TestPahoRefusals(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, other := h.AddDevice("dev1"), h.AddDevice("dev2")
	disabled := h.Put(rig.Identity{DeviceID: "dev3", Status: "disabled", Authentication: rig.Authentication{Type: "sas"}}, "")
	m := h.AddModule("dev1", "mod1")
	policy := func(name string) string {
		fields, err := rig.ParseConnectionString(h.PolicyString(name))
		if err != nil {
			t.Fatal(err)
		}
		return fields["SharedAccessKey"]
	}
	with := func(id rig.Identity, change func(*rig.Hello)) rig.Hello {
		hello := id.Hello()
		change(&hello)
		return hello
	}
	password := func(token string) rig.Hello { return with(d, func(o *rig.Hello) { o.Password = token }) }

	for name, hello := range map[string]rig.Hello{
		"not a token":                    password("hunter2"),
		"another device's token":         password(other.Token()),
		"another device's key":           password(rig.Token(d.Resource(), other.Key(), "")),
		"expired beyond the skew":        password(rig.TokenUntil(d.Resource(), d.Key(), "", time.Now().Add(-6*time.Minute))),
		"policy without DeviceConnect":   password(rig.Token(d.Resource(), policy("service"), "service")),
		"disabled device":                disabled.Hello(),
		"unknown device":                 with(d, func(o *rig.Hello) { o.ClientID, o.Username = "nobody", rig.Host+"/nobody/?api-version=2021-04-12" }),
		"client id of another device":    with(d, func(o *rig.Hello) { o.ClientID = "dev2" }),
		"user name of another device":    with(d, func(o *rig.Hello) { o.Username = rig.Host + "/dev2/?api-version=2021-04-12" }),
		"host of another hub":            with(d, func(o *rig.Hello) { o.Username = "other.example/dev1/?api-version=2021-04-12" }),
		"device id in other case":        with(d, func(o *rig.Hello) { o.ClientID, o.Username = "DEV1", rig.Host+"/DEV1/?api-version=2021-04-12" }),
		"device's key for its module":    with(m, func(o *rig.Hello) { o.Password = d.Token() }),
		"module's client id alone":       with(m, func(o *rig.Hello) { o.ClientID = "mod1" }),
		"module's key for its device":    password(rig.Token(d.Resource(), m.Key(), "")),
		"user name without a device":     with(d, func(o *rig.Hello) { o.Username = rig.Host }),
		"token for a longer device name": password(rig.Token(rig.Host+"%2Fdevices%2Fdev", d.Key(), "")),
	} {
		newPaho(t, h, hello).refused(name)
	}
	newPaho(t, h, d.Hello()).enter()
	newPaho(t, h, m.Hello()).enter()
}

// deviceTokens are the ways in which device SDKs write a token for dev1.
func deviceTokens(d rig.Identity, policyKey string) map[string]string {
	key, host := d.Key(), rig.Host
	return map[string]string{
		"Node":                    rig.Token(host+"%2Fdevices%2Fdev1", key, ""),
		"Node, lower-hex escapes": rig.Token(host+"%2fdevices%2fdev1", key, ""),
		"Java, literal slashes":   rig.Token(host+"/devices/dev1", key, ""),
		".NET, double encoding":   rig.Token(host+"%252Fdevices%252Fdev1", key, ""),
		"Go, the host alone":      rig.Token(host, key, ""),
		"policy, the host":        rig.Token(host, policyKey, "device"),
		"policy, all devices":     rig.Token(host+"%2Fdevices", policyKey, "device"),
		"old api-version tail":    rig.Token(host+"/devices/dev1/api-version=2016-02-03", key, ""),
		"within the skew":         rig.TokenUntil(host+"%2Fdevices%2Fdev1", key, "", time.Now().Add(-4*time.Minute)),
		"secondary key":           rig.Token(host+"%2Fdevices%2Fdev1", d.Authentication.SymmetricKey.SecondaryKey, ""),
	}
}

// TestPahoTokens is let in with the token of every SDK.
func TestPahoTokens(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	policy, err := rig.ParseConnectionString(h.PolicyString("device"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for name, token := range deviceTokens(d, policy["SharedAccessKey"]) {
		hello := d.Hello()
		hello.Password = token
		c := newPaho(t, h, hello)
		if err := c.wait(c.Connect(), "CONNECT"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.publish(d.EventsTopic(), name)
		want = append(want, name)
	}
	if diff := cmp.Diff(want, bodies(h, "dev1")); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	for _, e := range h.Events() {
		want := `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`
		if e.Text() == "policy, the host" || e.Text() == "policy, all devices" {
			want = `{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`
		}
		if got := e.System["iothub-connection-auth-method"]; got != want {
			t.Errorf("%s: auth method %s, want %s", e.Text(), got, want)
		}
	}
}

// TestPahoUsernames is let in with every shape of user name that SDKs send.
func TestPahoUsernames(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, m := h.AddDevice("dev1"), h.AddModule("dev1", "mod1")
	for _, c := range []struct {
		name     string
		id       rig.Identity
		username string
	}{
		{"Python", d, rig.Host + "/dev1/?api-version=2019-10-01&DeviceClientType=azure-iot-device%2F2.14.0"},
		{"C with a model", d, rig.Host + "/dev1/?api-version=2020-09-30&DeviceClientType=iothubclient%2f1.13.0%20(native%3b%20Linux%3b%20x86_64)&model-id=dtmi:com:example:Thermostat;1"},
		{"Go, without '?'", d, rig.Host + "/dev1/api-version=2020-09-30"},
		{"bare", d, rig.Host + "/dev1"},
		{"bare with a slash", d, rig.Host + "/dev1/"},
		{"host in capitals", d, "HUB.Localtest/dev1/?api-version=2021-04-12"},
		{"newer device host", d, "hub.device.localtest/dev1/?api-version=2021-04-12"},
		{"module", m, rig.Host + "/dev1/mod1/?api-version=2021-04-12"},
		{"module, without '?'", m, rig.Host + "/dev1/mod1/api-version=2018-06-30"},
	} {
		hello := c.id.Hello()
		hello.Username = c.username
		cl := newPaho(t, h, hello)
		if err := cl.wait(cl.Connect(), "CONNECT"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPahoCleanSession follows the CleanSession flag with paho.
func TestPahoCleanSession(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	connect := func(clean bool) (bool, *pahoClient) {
		hello := d.Hello()
		hello.Clean = clean
		c := newPaho(t, h, hello)
		return c.enter(), c
	}
	present, c := connect(false)
	if present {
		t.Error("session present at the first connection")
	}
	token := c.Subscribe("$iothub/methods/POST/#", 1, nil)
	if err := c.wait(token, "SUBSCRIBE"); err != nil {
		t.Fatal(err)
	}
	if got := token.(*paho.SubscribeToken).Result()["$iothub/methods/POST/#"]; got != 1 {
		t.Errorf("granted QoS %d, want 1", got)
	}
	if present, _ = connect(false); !present {
		t.Error("the session was lost with a takeover")
	}
	h.Kill()
	h.Start()
	if present, c = connect(false); !present {
		t.Error("the session was lost with the hub")
	}
	c.Disconnect(100)
	if present, _ = connect(true); present {
		t.Error("session present for a clean session")
	}
	if present, _ = connect(false); present {
		t.Error("a clean session left something")
	}
}

// TestChangesCloseLiveConnections disables, re-keys and deletes connected identities
// over REST: the live connection ends, and the next CONNECT gets 5.
func TestChangesCloseLiveConnections(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	for i, c := range []struct {
		name   string
		change func(d rig.Identity)
		code   string
	}{
		{"disabled", func(d rig.Identity) { d.Status = "disabled"; h.Put(d, `"*"`) }, "403012"},
		{"keys changed", func(d rig.Identity) {
			d.Authentication.SymmetricKey = &rig.SymmetricKey{
				PrimaryKey: "bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXc=", SecondaryKey: "b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQ=",
			}
			h.Put(d, `"*"`)
		}, "401003"},
		{"deleted", func(d rig.Identity) { h.Request("DELETE", d.Path(), "", "If-Match", "*").Want(t, 204) }, "404001"},
	} {
		d := h.AddDevice(fmt.Sprintf("dev%d", i))
		client := newPaho(t, h, d.Hello())
		client.enter()
		bystander := h.AddDevice(fmt.Sprintf("bystander%d", i))
		other := newPaho(t, h, bystander.Hello())
		other.enter()
		c.change(d)
		rig.Receive(t, client.lost, c.name+": the live connection is closed")
		h.Log(d.DeviceID, "deviceDisconnect", c.code)
		newPaho(t, h, d.Hello()).refused(c.name)
		other.publish(bystander.EventsTopic(), "undisturbed")
	}
}

// TestDeletedModuleLosesItsConnection deletes a module, then its device: each closes
// what is its own.
func TestDeletedModuleLosesItsConnection(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, m1, m2 := h.AddDevice("dev1"), h.AddModule("dev1", "mod1"), h.AddModule("dev1", "mod2")
	device, first, second := newPaho(t, h, d.Hello()), newPaho(t, h, m1.Hello()), newPaho(t, h, m2.Hello())
	device.enter()
	first.enter()
	second.enter()
	h.Request("DELETE", m1.Path(), "").Want(t, 204)
	rig.Receive(t, first.lost, "the deleted module's connection is closed")
	device.publish(d.EventsTopic(), "x")
	second.publish(m2.EventsTopic(), "x")
	h.Request("DELETE", d.Path(), "").Want(t, 204)
	rig.Receive(t, device.lost, "the deleted device's connection is closed")
	rig.Receive(t, second.lost, "the connection of its module is closed")
}

// TestKeepAliveLapse is silent for longer than one and a half keep-alives.
func TestKeepAliveLapse(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d, quiet := h.AddDevice("dev1"), h.AddDevice("dev2")
	hello := d.Hello()
	hello.KeepAlive = 2
	l := h.Dial(t)
	l.Enter(hello)
	began := time.Now()
	idle := h.Dial(t) // keep-alive 60: must not be closed
	idle.Enter(quiet.Hello())
	l.Closed(rig.Within)
	if took := time.Since(began); took < 2500*time.Millisecond {
		t.Errorf("closed after %v, before one and a half keep-alives", took)
	}
	r := h.Log("dev1", "deviceDisconnect", "404104")
	if r.ResultDescription != "DeviceConnectionClosedRemotely" {
		t.Errorf("description %q", r.ResultDescription)
	}
	idle.Ping()
	rig.Until(t, "the registry says Disconnected", func() bool { return h.Get(d).ConnectionState == "Disconnected" })
}

// TestMQTT5IsRefused gets a CONNACK of version 5, so that a client knows what to do.
func TestMQTT5IsRefused(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	var got npmAnswer
	newPuppet(t, h, "mqtt").must("connect", npmConnect(h, d, args{"protocolVersion": 5}), &got)
	if got.Refused == nil || fmt.Sprint(got.Refused.Code) != "132" {
		t.Errorf("npm mqtt reports %+v, want reason code 0x84 (132)", got)
	}
	hello := d.Hello()
	hello.Level = 5
	l := h.Dial(t)
	l.Send(hello.Bytes())
	if p := l.Read(rig.ConnAck); len(p.Body) < 3 || p.Body[0] != 0 || p.Body[1] != 0x84 {
		t.Errorf("CONNACK % x, want 00 84 and properties", p.Body)
	}
	l.Closed(rig.Within)
	hello.Level = 3
	l = h.Dial(t)
	if code, _ := l.Greet(hello); code != 1 {
		t.Errorf("protocol level 3: CONNACK %d, want 1", code)
	}
	l.Closed(rig.Within)
}
