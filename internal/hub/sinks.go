package hub

import (
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/presence"
)

// Sinks tells several of connections, in order.
type Sinks []presence.Sink

var _ presence.Sink = Sinks(nil)

// Connected tells each of a connection. See presence.Sink.
func (s Sinks) Connected(p device.Party) {
	for _, sink := range s {
		sink.Connected(p)
	}
}

// Ended tells each of the end of a connection. See presence.Sink.
func (s Sinks) Ended(e device.Ending) {
	for _, sink := range s {
		sink.Ended(e)
	}
}
