package conformance

import (
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// TestTokenExpiryClosesLiveConnection outlives its token by the grace, here two seconds
// instead of Azure's ten minutes.
func TestTokenExpiryClosesLiveConnection(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Config: "[sas]\nclock_skew = \"1s\"\nexpiry_grace = \"2s\"\n"})
	d, other := h.AddDevice("dev1"), h.AddDevice("dev2")
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	hello := d.Hello()
	hello.Password = rig.TokenUntil(d.Resource(), d.Key(), "", expires)
	client := newPaho(t, h, hello)
	client.enter()
	lasting := newPaho(t, h, other.Hello())
	lasting.enter()

	rig.Receive(t, client.lost, "the connection is closed when its token has expired")
	if late := time.Since(expires); late < 2*time.Second {
		t.Errorf("closed %v after the token's end, before the grace was over", late)
	}
	if r := h.Log("dev1", "deviceDisconnect", "401003"); r.ResultDescription != "IotHubUnauthorized" {
		t.Errorf("description %q, want IotHubUnauthorized", r.ResultDescription)
	}
	newPaho(t, h, hello).refused("the same token again")
	newPaho(t, h, d.Hello()).enter()
	lasting.publish(other.EventsTopic(), "undisturbed")
}
