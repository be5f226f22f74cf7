package iot

import (
	"errors"
	"strings"
)

// MatchKind is the closed set of what an If-Match header can ask for.
type MatchKind uint8

// The kinds of a Match.
const (
	// MatchCreate: no header, or an empty tag. A write creates and fails on what
	// exists; a delete or a patch is unconditional.
	MatchCreate MatchKind = iota
	// MatchAny: "*". The write is unconditional, but what it changes must exist.
	MatchAny
	// MatchETag: what is changed must carry exactly this etag.
	MatchETag
)

// MaxETag is the longest etag a client may send, in bytes, quotes aside. The hub's
// own are shorter than 32.
const MaxETag = 256

// Match is the precondition of a write (service-rest A.7). The zero Match is
// MatchCreate.
type Match struct {
	Kind MatchKind
	ETag string // for MatchETag: without the quotes
}

var (
	errETagQuotes = errors.New("Invalid ETag: an etag in If-Match stands in double quotes") //nolint:staticcheck // Azure's words, answered as they are
	errETagLong   = errors.New("Invalid ETag: it is too long")                              //nolint:staticcheck // as above
)

// ParseIfMatch reads an If-Match header in every form that clients send: absent or
// "" (create), * or "*" (any), "tag". A tag without quotes, a weak one and a list
// are errors, which the hub answers with 412.
func ParseIfMatch(header string) (Match, error) {
	tag := strings.TrimSpace(header)
	switch tag {
	case "", `""`:
		return Match{}, nil
	case "*", `"*"`:
		return Match{Kind: MatchAny}, nil
	}
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return Match{}, errETagQuotes
	}
	tag = tag[1 : len(tag)-1]
	switch {
	case strings.Contains(tag, `"`):
		return Match{}, errETagQuotes
	case len(tag) > MaxETag:
		return Match{}, errETagLong
	}
	return Match{Kind: MatchETag, ETag: tag}, nil
}

// ForDelete is the match as a delete or a patch means it: absent is unconditional.
func (m Match) ForDelete() Match {
	if m.Kind == MatchCreate {
		return Match{Kind: MatchAny}
	}
	return m
}

// Holds reports whether an existing etag satisfies the match of an update or a
// delete.
func (m Match) Holds(etag string) bool {
	return m.Kind == MatchAny || m.Kind == MatchETag && m.ETag == etag
}
