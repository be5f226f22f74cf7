package mqtt

import (
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
)

// afterlife hears what a displaced peer still says. It is a park.Observer.
type afterlife struct {
	// fixed

	session device.Session
	kernel  func() device.TCP // nil: the kernel cannot be asked
	id      iot.Identity

	// owned by whoever watches the peer

	packets headers
}

// Key implements park.Observer.
func (a *afterlife) Key() string { return a.id.String() }

// Heard implements park.Observer.
func (a *afterlife) Heard(b []byte) { a.packets.feed(b) }

// Seen implements park.Observer.
func (a *afterlife) Seen(life device.Afterlife) {
	life.Farewell = a.packets.goodbye
	if a.kernel != nil {
		life.TCP = a.kernel()
	}
	a.session.Afterlife(life)
}

// headers follows a stream from packet to packet without keeping any, and looks out for
// DISCONNECT. It begins at a border.
type headers struct {
	goodbye bool // there was a DISCONNECT

	head [maxHeader]byte // of the packet that has begun
	n    int             // bytes of it
	skip int             // bytes of the packet's body still to come
	lost bool            // this is not MQTT: the borders are unknown
}

func (h *headers) feed(b []byte) {
	for len(b) > 0 && !h.lost {
		if h.skip > 0 {
			n := min(h.skip, len(b))
			h.skip, b = h.skip-n, b[n:]
			continue
		}
		h.head[h.n] = b[0]
		h.n, b = h.n+1, b[1:]
		h.header()
	}
}

// header reads the fixed header once it is whole.
func (h *headers) header() {
	if last := h.head[h.n-1]; h.n == 1 || last&0x80 != 0 {
		h.lost = h.n == maxHeader
		return
	}
	for i := h.n - 1; i > 0; i-- {
		h.skip = h.skip<<7 | int(h.head[i]&0x7f)
	}
	if h.head[0] == byte(mqttwire.TypeDisconnect)<<4 && h.skip == 0 { // MQTT-3.14.1-1
		h.goodbye = true
	}
	h.n = 0
}
