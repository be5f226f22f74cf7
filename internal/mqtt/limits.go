package mqtt

import (
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

const (
	// maxPacket is the greatest packet of an authenticated peer: the largest message behind
	// the longest topic, the packet identifier and the fixed header.
	maxPacket = 5 + 2 + 65_535 + 2 + iot.MaxMessageSize

	// maxModelID is the longest model id in bytes (device.Client.ModelID).
	maxModelID = 255

	// maxClientType and maxAPIVersion are how much is kept of what a client says of itself, in
	// bytes; the longest SDK's type is about 220.
	maxClientType = 512
	maxAPIVersion = 64

	// turnFrames is how many packets one turn handles before it yields to other connections.
	turnFrames = 128

	// maxInFlight and maxInFlightBytes bound what a connection has published and the hub
	// not yet acknowledged; beyond either, it is not read until the log has caught up. They
	// are what one device can add to everybody's commit: with eight times as much, a flood
	// made the others' acknowledgements five times as slow ("berth bench fairness").
	maxInFlight      = 1024
	maxInFlightBytes = 128 << 10

	// maxRequests is how many operations (subscribe, twin read, ...) a connection has open;
	// beyond, it is not read until one is done.
	maxRequests = 32

	// maxFilters is how many filters one SUBSCRIBE or UNSUBSCRIBE may carry. A session needs
	// no bound of its own: fewer than ten filters exist that an identity may use.
	maxFilters = 64

	// maxRequestID is the longest $rid, in bytes; clients send up to 36.
	maxRequestID = 256

	// maxQuoted is how much of a peer's topic or filter a log line quotes, in bytes.
	maxQuoted = 128

	// maxHeader is the longest fixed header of a packet, in bytes (MQTT 2.2.3).
	maxHeader = 5

	// takeAtOnce is how many deliveries are taken from the session in one call.
	takeAtOnce = 16

	// maxUnacknowledged is how many cloud-to-device messages a client may have unacknowledged:
	// all that can be pending for it at once.
	maxUnacknowledged = iot.MaxPendingMessages

	// outRoom is how much output one turn gathers before it takes no more deliveries, in bytes.
	outRoom = 128 * 1024

	// silenceCeiling is the longest silence of a connection, whatever keep-alive it asked
	// for, also none (Azure: 29.45 minutes).
	silenceCeiling = 1767 * time.Second
)
