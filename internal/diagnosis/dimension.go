package diagnosis

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
	"time"
)

// Dimension is one respect in which two clients can differ.
type Dimension uint8

// The dimensions. The numbers are stored.
const (
	DimToken      Dimension = iota // the token's text
	DimKey                         // which key or policy signed it, or that a certificate was used
	DimThumbprint                  // the certificate
	DimLineage                     // the TLS session's descent: one process keeps it
	DimType                        // what the client says it is
	DimHello                       // how its TLS says hello
	DimKeepAlive                   // how it is configured: keep-alive, or AMQP idle time-out
	DimClean
	DimAddress   // where it comes from; never more than moderate evidence
	DimTransport // what it comes over; likewise
	dimensions
)

// String names the dimension in a sentence.
func (d Dimension) String() string {
	return [...]string{
		"token", "signing key", "certificate", "TLS session lineage", "client type", "TLS hello", "keep-alive",
		"CleanSession flag", "address", "transport",
	}[d]
}

// Dims is a set of dimensions.
type Dims uint16

func (s Dims) has(d Dimension) bool  { return s&(1<<d) != 0 }
func (s Dims) with(d Dimension) Dims { return s | 1<<d }

// dims is the set of the dimensions given.
func dims(of ...Dimension) Dims {
	var s Dims
	for _, d := range of {
		s = s.with(d)
	}
	return s
}

// list gives the dimensions of the set, in order.
func (s Dims) list() []Dimension {
	var l []Dimension
	for d := range dimensions {
		if s.has(d) {
			l = append(l, d)
		}
	}
	return l
}

// groups gives the dimensions by what they are independent in: the credential, the
// process, the software. An address, a transport and a flag that one client may change
// are in none.
func groups() []Dims {
	return []Dims{
		dims(DimToken, DimKey, DimThumbprint),
		dims(DimLineage),
		software(),
	}
}

// software gives the dimensions in which software differs.
func software() Dims { return dims(DimType, DimHello, DimKeepAlive) }

// groups counts the groups of which the set holds a dimension.
func (s Dims) groups() int {
	n := 0
	for _, g := range groups() {
		if s&g != 0 {
			n++
		}
	}
	return n
}

// value gives what a party shows in a dimension, or 0 if it shows nothing.
func (p *Party) value(d Dimension) uint64 {
	switch d {
	case DimToken:
		return p.Token
	case DimKey:
		return hashOf(p.Auth, p.Slot, p.Policy)
	case DimThumbprint:
		return shown(p.Thumbprint)
	case DimLineage:
		return p.TLS.Lineage
	case DimType:
		if p.amqp() { // its API version stands on some links and not on others
			return shown(p.ClientType)
		}
		return shown(p.ClientType, p.APIVersion)
	case DimHello:
		if p.TLS.HelloHash != 0 {
			return p.TLS.HelloHash ^ hashOf(string(p.Transport))
		}
	case DimKeepAlive:
		return uint64(p.KeepAlive) + 1
	case DimClean:
		return hashOf(strconv.FormatBool(p.Clean))
	case DimAddress:
		return shown(addressText(p))
	case DimTransport:
		return shown(string(p.Transport))
	case dimensions: // their number, none of them
	}
	return 0
}

// apart reports whether what two parties show in a dimension would be the same if they
// were the same software: over MQTT and AMQP one SDK may name, greet and configure
// itself in different ways, of which only its name without the version is compared.
func apart(a, b *Party, d Dimension) bool {
	switch d {
	case DimType:
		return a.amqp() == b.amqp() || a.family() != b.family()
	case DimHello:
		return a.Transport == b.Transport
	case DimKeepAlive, DimClean:
		return a.amqp() == b.amqp()
	case DimToken, DimKey, DimThumbprint, DimLineage, DimAddress, DimTransport, dimensions:
	}
	return true
}

// differ gives the dimensions in which both parties show something, and not the same.
func differ(a, b *Party) Dims {
	var s Dims
	for d := range dimensions {
		x, y := a.value(d), b.value(d)
		if x == 0 || y == 0 || x == y || !apart(a, b, d) {
			continue
		}
		s = s.with(d)
	}
	return s
}

// same reports whether both parties show the same in a dimension.
func same(a, b *Party, d Dimension) bool {
	x := a.value(d)
	return x != 0 && x == b.value(d)
}

// installation tells clients apart by key, software and address: all dimensions but
// the token and the lineage, which many a client changes at every connection. It is never
// 0.
func (p *Party) installation() uint64 {
	h := fnv.New64a()
	for d := range dimensions {
		if d != DimToken && d != DimLineage {
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, p.value(d)))
		}
	}
	return max(h.Sum64(), 1)
}

// holding tells clients apart by the token they hold; hashes of tokens are of one run of
// the hub.
func (p *Party) holding() uint64 {
	return hashOf(strconv.FormatUint(p.Run, 16), strconv.FormatUint(p.Token, 16))
}

// shown is the hash of what a party shows, 0 if it shows nothing.
func shown(what string, more ...string) uint64 {
	if what == "" {
		return 0
	}
	return hashOf(append(more, what)...)
}

func hashOf(parts ...string) uint64 {
	h := fnv.New64a()
	for _, s := range parts {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// beaten is the values of one dimension that were displaced by another value, the
// most recent last.
type beaten []beatenValue

// beatenValue is a value that was displaced, and when last.
type beatenValue struct {
	Value uint64    `json:"v"`
	At    time.Time `json:"at"`
}

func (b beaten) has(value uint64) bool {
	return slices.ContainsFunc(b, func(v beatenValue) bool { return v.Value == value })
}

// add remembers a value and forgets the one longest ago beyond the bound.
func (b beaten) add(value uint64, at time.Time) beaten {
	b = slices.DeleteFunc(b, func(v beatenValue) bool { return v.Value == value })
	if len(b) >= maxBeaten {
		b = slices.Delete(b, 0, len(b)-maxBeaten+1)
	}
	return append(b, beatenValue{value, at})
}
