package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// goPeer is a connection of go-amqp with one session.
type goPeer struct {
	*amqp.Conn

	t       *testing.T
	session *amqp.Session
}

// goSoon bounds what a test asks of go-amqp.
func goSoon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Within)
	t.Cleanup(cancel)
	return ctx
}

// dialAMQP connects go-amqp to the hub's AMQP port; options without SASL are a connection
// without it.
func dialAMQP(t *testing.T, h *rig.Hub, o *amqp.ConnOptions, certs ...tls.Certificate) *goPeer {
	t.Helper()
	cfg := h.TLS()
	cfg.Certificates = certs
	nc, err := (&tls.Dialer{Config: cfg}).DialContext(goSoon(t), "tcp", h.Run.AMQP)
	if err != nil {
		t.Fatalf("dial the AMQP port: %v", err)
	}
	if o.HostName == "" {
		o.HostName = rig.Host
	}
	c, err := amqp.NewConn(goSoon(t), nc, o)
	if err != nil {
		_ = nc.Close()
		t.Fatalf("open an AMQP connection: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &goPeer{Conn: c, t: t}
	p.session = p.begin()
	return p
}

// begin opens one more session.
func (p *goPeer) begin() *amqp.Session {
	p.t.Helper()
	s, err := p.NewSession(goSoon(p.t), nil)
	if err != nil {
		p.t.Fatalf("begin: %v", err)
	}
	return s
}

// anonymous is SASL ANONYMOUS, what clients with tokens use.
func anonymous() *amqp.ConnOptions { return &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()} }

// putToken gives the hub a token, with a message-id of the caller's type, and returns the
// status of the answer and its correlation-id.
func (p *goPeer) putToken(token string, id any) (status int32, correlation any) {
	p.t.Helper()
	ctx := goSoon(p.t)
	sender, err := p.session.NewSender(ctx, "$cbs", nil)
	if err != nil {
		p.t.Fatalf("attach to $cbs: %v", err)
	}
	defer sender.Close(ctx)
	replyTo := fmt.Sprintf("cbs-%v", id)
	receiver, err := p.session.NewReceiver(ctx, "$cbs", &amqp.ReceiverOptions{TargetAddress: replyTo})
	if err != nil {
		p.t.Fatalf("attach to $cbs: %v", err)
	}
	defer receiver.Close(ctx)
	err = sender.Send(ctx, &amqp.Message{
		Value: token, Properties: &amqp.MessageProperties{MessageID: id, ReplyTo: &replyTo},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "amqps://" + rig.Host},
	}, nil)
	if err != nil {
		p.t.Fatalf("put-token: %v", err)
	}
	m, err := receiver.Receive(ctx, nil)
	if err != nil {
		p.t.Fatalf("the answer to put-token: %v", err)
	}
	status, _ = m.ApplicationProperties["status-code"].(int32)
	return status, m.Properties.CorrelationID
}

// login is putToken for a token that must be accepted.
func (p *goPeer) login(token string) {
	p.t.Helper()
	if status, _ := p.putToken(token, "login"); status != 200 {
		p.t.Fatalf("put-token: status %d, want 200", status)
	}
}

// sender attaches a link that sends.
func (p *goPeer) sender(address string, o *amqp.SenderOptions) *amqp.Sender {
	p.t.Helper()
	s, err := p.session.NewSender(goSoon(p.t), address, o)
	if err != nil {
		p.t.Fatalf("attach to %s: %v", address, err)
	}
	return s
}

// mustSend sends one message and waits until the hub has accepted it.
func mustSend(t *testing.T, s *amqp.Sender, m *amqp.Message) {
	t.Helper()
	if err := s.Send(goSoon(t), m, nil); err != nil {
		t.Fatalf("send to %s: %v", s.Address(), err)
	}
}

// eventsAddress is where an identity sends its telemetry over AMQP.
func eventsAddress(d rig.Identity) string {
	return strings.TrimSuffix("/"+d.EventsTopic(), "/")
}

// plainLogins are user names and passwords of SASL PLAIN for a device and policies.
func plainLogins(t *testing.T, h *rig.Hub, d rig.Identity) map[string][2]string {
	t.Helper()
	owner, err := rig.ParseConnectionString(h.PolicyString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	hub, _, _ := strings.Cut(rig.Host, ".")
	return map[string][2]string{
		"device":     {d.DeviceID + "@sas." + hub, d.Token()},
		"policy":     {"iothubowner@sas.root." + hub, h.OwnerToken()},
		"policy key": {"iothubowner", owner["SharedAccessKey"]},
	}
}

// TestAMQPPlain logs in by SASL PLAIN in its three forms, and sends as a device.
func TestAMQPPlain(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	for name, login := range plainLogins(t, h, d) {
		p := dialAMQP(t, h, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain(login[0], login[1])})
		mustSend(t, p.sender(eventsAddress(d), nil), amqp.NewMessage([]byte(name)))
		_ = p.Close()
	}
	got := bodies(h, "dev1")
	slices.Sort(got)
	if diff := cmp.Diff([]string{"device", "policy", "policy key"}, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	nc, err := (&tls.Dialer{Config: h.TLS()}).DialContext(goSoon(t), "tcp", h.Run.AMQP)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := amqp.NewConn(goSoon(t), nc, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain("dev1@sas.hub", d.Token()+"x"), HostName: rig.Host}); err == nil {
		t.Error("a broken token was let in by SASL PLAIN")
	}
}

// TestAMQPTokenRequests puts tokens with ids of every type a client uses: the answer's
// correlation-id is the id, in its own type; a bad token is 401.
func TestAMQPTokenRequests(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	p := dialAMQP(t, h, anonymous())
	for _, id := range []any{"text", uint64(7), amqp.UUID{1, 2, 3, 15: 16}, []byte{0, 1, 2}} {
		status, got := p.putToken(d.Token(), id)
		if status != 200 {
			t.Errorf("id %v: status %d, want 200", id, status)
		}
		if diff := cmp.Diff(id, got); diff != "" {
			t.Errorf("correlation-id (-want +got):\n%s", diff)
		}
	}
	if status, _ := p.putToken(d.Token()+"x", "bad"); status != 401 {
		t.Errorf("a broken token: status %d, want 401", status)
	}
	mustSend(t, p.sender(eventsAddress(d), nil), amqp.NewMessage([]byte("still good")))
}

// TestAMQPLinkNamesRepeat attaches links of one name in two sessions, as SDKs that name
// links by their address do.
func TestAMQPLinkNamesRepeat(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	one, two := h.AddDevice("dev1"), h.AddDevice("dev2")
	p := dialAMQP(t, h, anonymous())
	p.login(h.PolicyToken("device"))
	first := p.sender(eventsAddress(one), &amqp.SenderOptions{Name: "d2c"})
	p.session = p.begin()
	second := p.sender(eventsAddress(two), &amqp.SenderOptions{Name: "d2c"})
	mustSend(t, first, amqp.NewMessage([]byte("a")))
	mustSend(t, second, amqp.NewMessage([]byte("b")))
	if diff := cmp.Diff([]string{"a", "b"}, slices.Concat(bodies(h, "dev1"), bodies(h, "dev2"))); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestAMQPSmallFrames sends and reads messages of many frames: Java caps them at 4,096
// bytes, and the standard lets a client go down to 512.
func TestAMQPSmallFrames(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	var want []string
	for _, size := range []uint32{4096, 512} {
		p := dialAMQP(t, h, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous(), MaxFrameSize: size})
		p.login(h.OwnerToken())
		body := strings.Repeat(fmt.Sprint(size%10), 200_000)
		mustSend(t, p.sender(eventsAddress(d), nil), amqp.NewMessage([]byte(body)))
		want = append(want, body)
		got := receiveAll(t, p, partitionOfDevice(t, h), len(want))
		if !slices.Equal(got, want) {
			t.Errorf("frames of %d bytes: %d messages came, or not what was sent", size, len(got))
		}
		_ = p.Close()
	}
}

// partitionOfDevice is the partition that holds a device's events.
func partitionOfDevice(t *testing.T, h *rig.Hub) int {
	t.Helper()
	const device = "dev1"
	events := h.Events("--device", device)
	if len(events) == 0 {
		t.Fatalf("there is no event of %s", device)
	}
	return events[0].Partition
}

// receiveAll reads n events from the beginning of a partition.
func receiveAll(t *testing.T, p *goPeer, partition, n int) []string {
	t.Helper()
	hub, _, _ := strings.Cut(rig.Host, ".")
	ctx := goSoon(t)
	r, err := p.session.NewReceiver(ctx, fmt.Sprintf("%s/ConsumerGroups/$Default/Partitions/%d", hub, partition), nil)
	if err != nil {
		t.Fatalf("attach to partition %d: %v", partition, err)
	}
	defer r.Close(ctx)
	var got []string
	for range n {
		m, err := r.Receive(ctx, nil)
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if err := r.AcceptMessage(ctx, m); err != nil {
			t.Fatalf("accept: %v", err)
		}
		got = append(got, string(m.GetData()))
	}
	return got
}

// TestAMQPSettlesSecond sends with the receiver settling second: the hub keeps to the mode
// in its attach, which go-amqp compares, and settles with its outcome all the same.
func TestAMQPSettlesSecond(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	p := dialAMQP(t, h, anonymous())
	p.login(d.Token())
	s := p.sender(eventsAddress(d), &amqp.SenderOptions{RequestedReceiverSettleMode: amqp.ReceiverSettleModeSecond.Ptr()})
	for i := range 20 {
		mustSend(t, s, amqp.NewMessage(fmt.Append(nil, i)))
	}
	if got := bodies(h, "dev1"); len(got) != 20 {
		t.Errorf("%d messages are in the log, want 20", len(got))
	}
}

// TestAMQPBatch sends a batch as C and .NET do: message format 0x80013700, each data
// section a message.
func TestAMQPBatch(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	p := dialAMQP(t, h, anonymous())
	p.login(d.Token())
	batch := &amqp.Message{Format: 0x80013700}
	for i := range 3 {
		m := amqp.NewMessage(fmt.Append(nil, "part ", i))
		m.ApplicationProperties = map[string]any{"n": int32(i)}
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		batch.Data = append(batch.Data, b)
	}
	mustSend(t, p.sender(eventsAddress(d), nil), batch)
	events := h.Events("--device", "dev1")
	if len(events) != 3 {
		t.Fatalf("%d events are in the log, want 3", len(events))
	}
	for i, e := range events {
		if e.Text() != fmt.Sprint("part ", i) || e.Property("n") != fmt.Sprint(i) {
			t.Errorf("event %d: %q with n %q", i, e.Text(), e.Property("n"))
		}
	}
}

// TestAMQPCertificate connects a device with a certificate, without SASL and with the
// mechanism EXTERNAL.
func TestAMQPCertificate(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	own, other := selfSigned(t, "dev1"), selfSigned(t, "dev2")
	d := thumbprintDevice(h, "dev1", own.sha1(), "")
	for name, o := range map[string]*amqp.ConnOptions{"none": {}, "EXTERNAL": {SASLType: amqp.SASLTypeExternal("")}, "ANONYMOUS": anonymous()} {
		p := dialAMQP(t, h, o, own.pair)
		mustSend(t, p.sender(eventsAddress(d), nil), amqp.NewMessage([]byte(name)))
		_ = p.Close()
	}
	if got := bodies(h, "dev1"); len(got) != 3 {
		t.Errorf("messages %q, want 3", got)
	}
	p := dialAMQP(t, h, &amqp.ConnOptions{}, other.pair)
	_, err := p.session.NewSender(goSoon(t), eventsAddress(d), nil)
	if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Condition != amqp.ErrCondUnauthorizedAccess {
		t.Errorf("another's certificate: %v, want %s", err, amqp.ErrCondUnauthorizedAccess)
	}
}

// TestMultiplexedDevices carries ten devices on one AMQP connection. MQTT displaces one of
// them: its links are detached, and the other nine go on undisturbed.
func TestMultiplexedDevices(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	p := dialAMQP(t, h, anonymous())
	p.login(h.PolicyToken("device"))
	const n = 10
	var devices []rig.Identity
	var senders []*amqp.Sender
	for i := range n {
		d := h.AddDevice(fmt.Sprint("dev", i))
		s := p.sender(eventsAddress(d), nil)
		mustSend(t, s, amqp.NewMessage([]byte("before")))
		devices, senders = append(devices, d), append(senders, s)
	}
	if got := h.Sessions(t); got != n {
		t.Fatalf("%d sessions are open, want %d", got, n)
	}
	const gone = 4
	l := h.Dial(t)
	l.Enter(devices[gone].Hello())
	l.Publish(devices[gone].EventsTopic(), 1, "over MQTT")
	rig.Until(t, "the displaced device's link is detached", func() bool {
		err := senders[gone].Send(goSoon(t), amqp.NewMessage([]byte("after")), nil)
		e, ok := errors.AsType[*amqp.LinkError](err)
		return ok && e.RemoteErr != nil && strings.Contains(e.RemoteErr.Description, "409002")
	})
	h.Log(devices[gone].DeviceID, "deviceDisconnect", "409002")
	for i, s := range senders {
		if i != gone {
			mustSend(t, s, amqp.NewMessage([]byte("after")))
		}
	}
	for i, d := range devices {
		want := []string{"before", "after"}
		if i == gone {
			want = []string{"before", "over MQTT"}
		}
		if diff := cmp.Diff(want, bodies(h, d.DeviceID)); diff != "" {
			t.Errorf("messages of %s (-want +got):\n%s", d.DeviceID, diff)
		}
		if i == gone {
			continue
		}
		for _, r := range h.Logs("--device", d.DeviceID) {
			if r.OperationName == "deviceDisconnect" {
				t.Errorf("%s was disconnected: %+v", d.DeviceID, r)
			}
		}
	}
	if got := h.Sessions(t); got != n {
		t.Errorf("%d sessions are open, want %d", got, n)
	}
	e := explained(t, h, devices[gone])
	if len(e.Conflicts) != 1 {
		t.Errorf("explain tells of %d conflicts, want 1:\n%s", len(e.Conflicts), pretty(e))
	}
}

// TestAMQPTokenExpiry lets a token of a connection end: the links of its device are
// detached, those of another device go on.
func TestAMQPTokenExpiry(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Config: "[sas]\nclock_skew = \"0s\"\n"})
	short, long := h.AddDevice("short"), h.AddDevice("long")
	p := dialAMQP(t, h, anonymous())
	p.login(long.Token())
	p.login(rig.TokenUntil(short.Resource(), short.Key(), "", time.Now().Add(3*time.Second)))
	keeps, ends := p.sender(eventsAddress(long), nil), p.sender(eventsAddress(short), nil)
	mustSend(t, ends, amqp.NewMessage([]byte("in time")))
	h.Log("short", "deviceDisconnect", "401003")
	err := ends.Send(goSoon(t), amqp.NewMessage([]byte("late")), nil)
	if e, ok := errors.AsType[*amqp.LinkError](err); !ok || e.RemoteErr == nil || e.RemoteErr.Condition != amqp.ErrCondUnauthorizedAccess {
		t.Errorf("a send after the token's end: %v, want %s", err, amqp.ErrCondUnauthorizedAccess)
	}
	mustSend(t, keeps, amqp.NewMessage([]byte("goes on")))
}
