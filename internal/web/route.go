package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// surface says whose API a route belongs to: what it accepts as authorization and
// which api-version it asks for.
type surface uint8

const (
	serviceAPI surface = iota // shared access policy token, api-version required
	deviceAPI                 // the device's own credential, or a policy with DeviceConnect
	berthAPI                  // shared access policy token, no api-version
	socketAPI                 // WebSocket upgrade; the protocol inside authenticates
)

// endpoint is one operation of one path.
type endpoint struct {
	method  string // empty: anyMethod
	path    string // {device}, {module} and {name} stand for one segment, a last {rest} for one or more
	surface surface
	rights  []iot.Right // one of them is enough
	do      func(*Server, *call) error
}

// router finds the endpoint of a request. It is pure and fixed once made.
type router struct {
	paths   []*pattern
	service map[string]bool // first words of the service and device API, for routes whose whole path is encoded
}

// pattern is one path with its methods.
type pattern struct {
	path      string
	words     []string
	literals  int
	rest      bool // the last word stands for one segment or more
	endpoints []*endpoint
}

// match is a request's endpoint and what its path names.
type match struct {
	*endpoint

	id   iot.Identity
	name string
	path string // decoded, without leading slash, as a token's resource names it

	allow []string // methods that the path answers to, if err is 405000
}

// newRouter compiles the table.
func newRouter(table []endpoint) *router {
	rt := &router{service: make(map[string]bool)}
	byPath := make(map[string]*pattern)
	for i := range table {
		e := &table[i]
		p := byPath[e.path]
		if p == nil {
			p = &pattern{path: e.path, words: strings.Split(strings.TrimPrefix(e.path, "/"), "/")}
			for _, w := range p.words {
				if !isParam(w) {
					p.literals++
				}
			}
			p.rest = p.words[len(p.words)-1] == "{rest}"
			byPath[e.path] = p
			rt.paths = append(rt.paths, p)
		}
		p.endpoints = append(p.endpoints, e)
		if e.surface == serviceAPI || e.surface == deviceAPI {
			rt.service[strings.ToLower(p.words[0])] = true
		}
	}
	return rt
}

func isParam(word string) bool { return strings.HasPrefix(word, "{") }

// find gives the endpoint for a method and an escaped path. Fixed segments match
// without regard to case, one trailing slash does not matter, ids are decoded once
// and a '+' is a plus. A path that matches nothing and is encoded as a whole, as
// Azure IoT Explorer sends it, is decoded and tried again (service-rest A.6).
// The errors are faults: 404000, 405000, 400004 for an illegal id.
func (rt *router) find(method, escaped string) (match, error) {
	segs, ok := split(escaped)
	if !ok {
		return match{}, notFound()
	}
	m, err := rt.try(method, segs)
	if fault.Of(err) != fault.GenericNotFound || err == nil {
		return m, err
	}
	whole, bad := url.PathUnescape(escaped)
	if bad != nil || whole == escaped {
		return match{}, err
	}
	again, ok := split(whole)
	if !ok || !rt.service[strings.ToLower(again[0].text)] {
		return match{}, err
	}
	decoded := make([]segment, len(again))
	for i, s := range again {
		decoded[i] = segment{text: s.text, decoded: s.text, ok: true}
		// Explorer encodes the id of its cloud-to-device path twice.
		if i == 1 && len(again) == 4 && strings.EqualFold(again[3].text, "deviceBound") {
			decoded[i] = s
		}
	}
	return rt.try(method, decoded)
}

// segment is one part of a path.
type segment struct {
	text    string // as it came
	decoded string
	ok      bool // its percent-encoding is sound
}

// split cuts an escaped path into segments; not ok for a path that no route has.
func split(escaped string) ([]segment, bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	rest = strings.TrimSuffix(rest, "/")
	if !ok || rest == "" || strings.Count(rest, "/") >= maxSegments {
		return nil, false
	}
	parts := strings.Split(rest, "/")
	segs := make([]segment, len(parts))
	for i, p := range parts {
		if p == "" {
			return nil, false
		}
		d, err := url.PathUnescape(p)
		segs[i] = segment{text: p, decoded: d, ok: err == nil}
	}
	return segs, true
}

// try matches segments: the pattern with most fixed words that has the method wins.
func (rt *router) try(method string, segs []segment) (match, error) {
	var best *endpoint
	var words *pattern
	var allow []string
	for _, p := range rt.paths {
		if !p.matches(segs) {
			continue
		}
		allow = append(allow, p.methods()...)
		if words != nil && words.literals >= p.literals {
			continue
		}
		for _, e := range p.endpoints {
			if e.method == method || e.method == "" && slices.Contains(anyMethod(), method) {
				best, words = e, p
			}
		}
	}
	switch {
	case best != nil:
		return words.bind(best, segs)
	case len(allow) > 0:
		slices.Sort(allow)
		return match{allow: slices.Compact(allow)}, fault.New(fault.GenericMethodNotAllowed, "web.route", "this path does not answer to %.*q", maxQuoted, method)
	}
	return match{}, notFound()
}

func notFound() *fault.Error {
	return fault.New(fault.GenericNotFound, "web.route", "the hub has no such path")
}

// anyMethod is what an endpoint without a method stands for.
func anyMethod() []string {
	return []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut}
}

// methods are those that the path answers to.
func (p *pattern) methods() []string {
	var all []string
	for _, e := range p.endpoints {
		if e.method == "" {
			return anyMethod()
		}
		all = append(all, e.method)
	}
	return all
}

func (p *pattern) matches(segs []segment) bool {
	if len(segs) != len(p.words) && (!p.rest || len(segs) < len(p.words)) {
		return false
	}
	for i, w := range p.words {
		if !isParam(w) && (!segs[i].ok || !strings.EqualFold(w, segs[i].decoded)) {
			return false
		}
	}
	return true
}

// bind reads what the path names.
func (p *pattern) bind(e *endpoint, segs []segment) (match, error) {
	m := match{endpoint: e}
	plain := make([]string, len(segs))
	for i, s := range segs {
		if !s.ok {
			return match{}, fault.New(fault.ArgumentInvalid, "web.route", "the path is not percent-encoded as it should be")
		}
		plain[i] = s.decoded
	}
	for i, w := range p.words {
		v := plain[i]
		switch w {
		case "{device}":
			if !iot.ValidID(v) {
				return match{}, badID("device", v)
			}
			m.id.Device = v
		case "{module}":
			if !iot.ValidID(v) {
				return match{}, badID("module", v)
			}
			m.id.Module = v
		case "{name}":
			if !iot.ValidAuthorityName(v) {
				return match{}, fault.New(fault.ArgumentInvalid, "web.route",
					"%.*q is no name: 1 to %d of A-Z a-z 0-9 - _ .", maxQuoted, v, iot.MaxAuthorityName)
			}
			m.name = v
		}
	}
	m.path = strings.Join(plain, "/")
	return m, nil
}

func badID(what, v string) *fault.Error {
	return fault.New(fault.ArgumentInvalid, "web.route",
		"%.*q is no %s id: 1 to %d of A-Z a-z 0-9 and - : . + %% _ # * ? ! ( ) , = @ $ ' semicolon", maxQuoted, v, what, iot.MaxIDLength)
}
