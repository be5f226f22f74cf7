package mqttwire

const (
	// MaxRemaining is the greatest remaining length that the standard can express, in
	// bytes (MQTT 2.2.3: four bytes of seven bits).
	MaxRemaining = 268_435_455

	// MaxFilters is how many topic filters one SUBSCRIBE or UNSUBSCRIBE may carry. The
	// standard names no limit; no client known sends more than five.
	MaxFilters = 256
)
