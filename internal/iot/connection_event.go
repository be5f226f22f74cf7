package iot

// ConnectionQuery says whose connections a follower wants; empty members match all.
type ConnectionQuery struct {
	Device string
	Module string // with Device: only this module
}

// Matches reports whether id is asked for: a device alone means its modules too.
func (q ConnectionQuery) Matches(id Identity) bool {
	return (q.Device == "" || q.Device == id.Device) && (q.Module == "" || q.Module == id.Module)
}

// The events of a connection, as Azure's routes name them (connections 5).
const (
	DeviceConnected    = "deviceConnected"
	DeviceDisconnected = "deviceDisconnected"
)

// ConnectionEvent is one connect or disconnect, unsampled.
type ConnectionEvent struct {
	Time     Moment  `json:"time"`
	DeviceID string  `json:"deviceId"`
	ModuleID *string `json:"moduleId"`
	Event    string  `json:"event"` // DeviceConnected, DeviceDisconnected
	Reason   string  `json:"reason,omitempty"`
	Code     int     `json:"code,omitempty"`      // of a disconnect; 0 is a clean goodbye
	CodeName string  `json:"errorName,omitempty"` // Azure's name of the code
	Epoch    string  `json:"epoch"`
	// SequenceNumber is 64 hex digits, strictly increasing per identity, also over
	// restarts of the hub; compare as text.
	SequenceNumber string `json:"sequenceNumber"`
	Peer           *Peer  `json:"peer"`
	By             *Peer  `json:"by,omitempty"` // for a displacement, the newcomer
	// Lost, if not 0, says that this follower was too slow for so many events; the other
	// members are then empty.
	Lost uint64 `json:"lost,omitempty"`
}

// Identity is whose connection it is.
func (e ConnectionEvent) Identity() Identity {
	id := Identity{Device: e.DeviceID}
	if e.ModuleID != nil {
		id.Module = *e.ModuleID
	}
	return id
}

// Masked is the event with its addresses masked.
func (e ConnectionEvent) Masked() ConnectionEvent {
	if e.Peer != nil {
		p := e.Peer.Masked()
		e.Peer = &p
	}
	if e.By != nil {
		p := e.By.Masked()
		e.By = &p
	}
	return e
}
