package hub

const (
	// maxOps bounds the operations of one session that wait to be performed; the next
	// one ends the session with 429002.
	maxOps = 64
	// maxSubscriptions bounds the distinct filters one identity keeps. Azure documents
	// five; every SDK stays below ten.
	maxSubscriptions = 64
)
