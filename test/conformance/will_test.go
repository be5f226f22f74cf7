package conformance

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestWills leaves a will in every way in which a connection can end: it is in the log
// once where the client did not say goodbye, and before what a newcomer sends.
func TestWills(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	for _, c := range []struct {
		name string
		end  func(l *rig.Link, d rig.Identity)
		want []string
	}{
		{"goodbye", func(l *rig.Link, _ rig.Identity) {
			l.Send(rig.Frame(rig.Disconnect<<4, nil))
			l.Closed(rig.Within)
		}, []string{"newcomer"}},
		{"socket closed", func(l *rig.Link, _ rig.Identity) { l.Conn.NetConn().Close() }, []string{"will", "newcomer"}},
		{"end of TLS without DISCONNECT", func(l *rig.Link, _ rig.Identity) { l.Conn.Close() }, []string{"will", "newcomer"}},
		{"keep-alive lapsed", func(l *rig.Link, _ rig.Identity) { l.Closed(rig.Within) }, []string{"will", "newcomer"}},
		{"takeover", func(*rig.Link, rig.Identity) {}, []string{"will", "newcomer"}},
		{"protocol error", func(l *rig.Link, d rig.Identity) {
			l.Send(rig.PublishBytes(d.EventsTopic(), 4, 1, nil))
			l.Closed(rig.Within)
		}, []string{"will", "newcomer"}},
		{"device disabled and enabled", func(l *rig.Link, d rig.Identity) {
			d.Status = "disabled"
			h.Put(d, "*")
			l.Closed(rig.Within)
			d.Status = "enabled"
			h.Put(d, "*")
		}, []string{"will", "newcomer"}},
	} {
		d := h.AddDevice("dev-" + strings.ReplaceAll(c.name, " ", "-"))
		hello := d.Hello()
		hello.WillTopic, hello.Will, hello.KeepAlive = d.EventsTopic()+"a=b", "will", 1
		l := h.Dial(t)
		l.Enter(hello)
		c.end(l, d)
		if c.name != "takeover" {
			rig.Until(t, c.name+": the session has ended", func() bool { return h.Get(d).ConnectionState == "Disconnected" })
		}
		newcomer := h.Dial(t)
		newcomer.Enter(d.Hello())
		newcomer.Publish(d.EventsTopic(), 1, "newcomer")
		if diff := cmp.Diff(c.want, bodies(h, d.DeviceID)); diff != "" {
			t.Errorf("%s: messages (-want +got):\n%s", c.name, diff)
		}
		for _, e := range h.Events("--device", d.DeviceID) {
			if will := e.Property("iothub-MessageType") == "Will"; will != (e.Text() == "will") {
				t.Errorf("%s: %q has the properties %v", c.name, e.Text(), e.Application)
			}
		}
	}
}
