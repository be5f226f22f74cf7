package iot

import (
	"strconv"
	"strings"
)

// Coverage is what a token's resource covers, read once: a connection may hold many tokens, and
// asks each of them often. The zero Coverage covers nothing.
type Coverage struct {
	paths [maxSASLayers + 1]string // the readings that name one of the hub's hosts, what follows it
	n     int
}

// Coverage reads the resource. Host is as with Covers, and asked no more afterwards.
func (s SAS) Coverage(host func(string) bool) Coverage {
	var c Coverage
	resource := s.Resource
	for range maxSASLayers + 1 {
		if path, ok := coveragePath(resource, host); ok {
			c.paths[c.n] = path
			c.n++
		}
		next := Unescape(resource)
		if next == resource {
			break
		}
		resource = next
	}
	return c
}

// Covers is SAS.Covers. It allocates nothing.
func (c *Coverage) Covers(path string) bool { return c.covers(path, false) }

// CoversEntity is Covers for a path of the event endpoint, in which letter case means
// nothing: Go clients sign it in lower case (amqp 7).
func (c *Coverage) CoversEntity(path string) bool { return c.covers(path, true) }

func (c *Coverage) covers(path string, fold bool) bool {
	for _, prefix := range c.paths[:c.n] {
		if pathCovers(prefix, path, fold) {
			return true
		}
	}
	return false
}

// coveragePath gives the path of one reading of a resource, if its host is one of the hub's.
func coveragePath(resource string, host func(string) bool) (path string, ok bool) {
	name, rest, _ := strings.Cut(withoutScheme(resource), "/")
	name = strings.ToLower(name)
	if bare, port, ok := strings.Cut(name, ":"); ok {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", false
		}
		name = bare
	}
	if !host(name) {
		return "", false
	}
	rest = strings.TrimSuffix(rest, "/")
	if i := strings.LastIndexByte(rest, '/'); isAPIVersion(rest[i+1:]) {
		rest = strings.TrimSuffix(rest[:max(i, 0)], "/")
	}
	return rest, true
}

// pathCovers reports whether prefix is path, or a segment-wise prefix of it.
func pathCovers(prefix, path string, fold bool) bool {
	for i := 0; prefix != ""; i++ {
		var want, got string
		got, prefix, _ = strings.Cut(prefix, "/")
		want, path, _ = strings.Cut(path, "/")
		word := i%2 == 0 // devices/D/modules/M: words and ids by turns
		same := got == want || (word || fold) && strings.EqualFold(got, want)
		if got == "" || !same {
			return false
		}
	}
	return true
}
