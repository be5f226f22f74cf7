package mqttwire

// Pingreq asks the server for a sign of life.
type Pingreq struct{}

// Pingresp answers a PINGREQ.
type Pingresp struct{}

// Disconnect is a client's goodbye.
type Disconnect struct{}

// Append writes the packet behind b.
func (Pingreq) Append(b []byte) []byte { return appendHeader(b, TypePingreq, 0, 0) }

// Append writes the packet behind b.
func (Pingresp) Append(b []byte) []byte { return appendHeader(b, TypePingresp, 0, 0) }

// Append writes the packet behind b.
func (Disconnect) Append(b []byte) []byte { return appendHeader(b, TypeDisconnect, 0, 0) }
