package iot

// Conflict is one displacement: a connection ended because another one spoke for the
// same identity.
type Conflict struct {
	Number uint64 `json:"number"` // in its story, from 1 on; those between that are missing are only counted
	At     Moment `json:"at"`
	Code   int    `json:"code"` // 400027 MQTT, 409002 AMQP: the loser's
	Reason string `json:"reason,omitempty"`
	Loser  Peer   `json:"loser"`
	Winner Peer   `json:"winner"`
	// Afterlife is what the loser did after its write side was shut: "alive", "reset",
	// "silent", "closed", or "pending" until that is known.
	Afterlife string `json:"afterlife"`
	// AfterlifeMS is how long after that its first sign came, or how long none came.
	AfterlifeMS *int64 `json:"afterlifeMs,omitempty"`
	// Farewell: the loser said its protocol's goodbye.
	Farewell bool `json:"farewell,omitempty"`
	// Unobserved: nobody watched the loser to the end; "silent" then says little.
	Unobserved bool   `json:"unobserved,omitempty"`
	Unacked    uint64 `json:"publishesUnacknowledged"`
	Released   uint64 `json:"c2dReleased,omitempty"` // cloud-to-device messages that went back to their queue
}

// Masked is the conflict with its addresses masked.
func (c Conflict) Masked() Conflict {
	c.Loser, c.Winner = c.Loser.Masked(), c.Winner.Masked()
	return c
}
