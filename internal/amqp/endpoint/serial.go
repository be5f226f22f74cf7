package endpoint

// firstID is the first transfer id and delivery id of a session, and the first
// delivery-count of a link. They wrap around (RFC 1982).
const firstID = 0

// before says whether a comes before b (RFC 1982).
func before(a, b uint32) bool { return a-b >= 1<<31 }
