package hub

const (
	// maxOps bounds the operations of one session that wait to be performed; the next
	// one ends the session with 429002.
	maxOps = 64
	// maxSettling bounds the settlements of one session whose results it has not taken yet;
	// the next one is refused with 429002. A peer may hold many messages whose locks ended
	// long ago, and settle them all in one breath.
	maxSettling = 4096
	// maxSubscriptions bounds the distinct filters one identity keeps. Azure documents
	// five; every SDK stays below ten.
	maxSubscriptions = 64
)
