package pki

import (
	"crypto/tls"
	"encoding/binary"
	"hash"
	"hash/fnv"
)

// helloHash is a hash of a ClientHello's shape: versions, suites, curves, point
// formats, signature schemes and protocols, in the client's order. The same software
// gives the same hash on every connection, resumed or not: names, random values,
// tickets and GREASE take no part.
func helloHash(hello *tls.ClientHelloInfo) uint64 {
	h := fnv.New64a()
	writeList(h, hello.SupportedVersions)
	writeList(h, hello.CipherSuites)
	writeList(h, hello.SupportedCurves)
	writeList(h, hello.SignatureSchemes)
	list(h, len(hello.SupportedPoints))
	_, _ = h.Write(hello.SupportedPoints)
	list(h, len(hello.SupportedProtos))
	for _, proto := range hello.SupportedProtos {
		_, _ = h.Write([]byte(proto))
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// writeList hashes a list of code points without GREASE (RFC 8701: 0x0a0a, 0x1a1a …,
// which a client draws at random).
func writeList[T ~uint16](h hash.Hash64, values []T) {
	list(h, len(values))
	for _, v := range values {
		if byte(v) == byte(v>>8) && v&0x0f0f == 0x0a0a {
			continue
		}
		_, _ = h.Write(binary.BigEndian.AppendUint16(nil, uint16(v)))
	}
}

// list marks the start of a list, so that what ends one cannot begin the next.
func list(h hash.Hash64, n int) {
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
}
