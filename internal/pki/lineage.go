package pki

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"strings"
)

// lineageTag begins the extra data of a session ticket that holds a lineage.
const lineageTag = "berth1"

// newLineage is a random number that is not 0: it goes with one client's session
// tickets from connection to connection, so a process that reconnects is known again,
// also behind an address that many share (architecture 5).
func newLineage() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return max(1, binary.BigEndian.Uint64(b[:]))
}

// appendLineage is a lineage as it stands in a ticket.
func appendLineage(lineage uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(lineageTag), lineage)
}

// readLineage finds the lineage in a ticket's extra data, or 0.
func readLineage(extra [][]byte) uint64 {
	for _, e := range extra {
		if rest, ok := strings.CutPrefix(string(e), lineageTag); ok && len(rest) == 8 {
			return binary.BigEndian.Uint64([]byte(rest))
		}
	}
	return 0
}

// certifiedTag is the extra data of a session ticket whose session has a client certificate.
const certifiedTag = "berth1 certified"

// certified reports whether a ticket's session has a client certificate.
func certified(extra [][]byte) bool {
	return slices.ContainsFunc(extra, func(e []byte) bool { return string(e) == certifiedTag })
}
