package diagnosis

import (
	"slices"
	"time"
)

// Node is a client as one table of a story tells it apart.
type Node struct {
	Key       uint64    `json:"key"`   // of an installation, or of a token
	Party     Party     `json:"party"` // as it was last seen
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Dialled   time.Time `json:"dialled,omitzero"`   // when it set out for the first time
	Redialled time.Time `json:"redialled,omitzero"` // and for the last
	Won       uint64    `json:"won"`
	Lost      uint64    `json:"lost"`
}

// kept reports whether it set out several times, some time apart.
func (n *Node) kept() bool { return n.Redialled.Sub(n.Dialled) >= keptSpan }

// seen notes in a table that a client was seen. The table never holds more than
// maxNodes.
func seen(nodes []Node, key uint64, p *Party, at time.Time, won bool) []Node {
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Key == key })
	if i < 0 {
		if len(nodes) >= maxNodes {
			least := leastTelling(nodes)
			nodes = slices.Delete(nodes, least, least+1)
		}
		first := at
		if !p.Opened.IsZero() && p.Opened.Before(at) {
			first = p.Opened
		}
		nodes = append(nodes, Node{Key: key, FirstSeen: first})
		i = len(nodes) - 1
	}
	n := &nodes[i]
	n.Party, n.LastSeen = *p, at
	out := p.dialled()
	if n.Dialled.IsZero() || out.Before(n.Dialled) {
		n.Dialled = out
	}
	if out.After(n.Redialled) {
		n.Redialled = out
	}
	if won {
		n.Won++
	} else {
		n.Lost++
	}
	return nodes
}

// leastTelling gives the client to forget: one that displaced at most once before one
// that came back, and the longest unseen of those.
func leastTelling(nodes []Node) int {
	least := 0
	for i := range nodes {
		a, b := &nodes[i], &nodes[least]
		once, worse := a.Won <= 1, b.Won <= 1
		if once && !worse || once == worse && a.LastSeen.Before(b.LastSeen) {
			least = i
		}
	}
	return least
}
