package iot

import (
	"net/netip"
	"slices"
	"strings"
)

// Hosts are the names a hub answers to. The first is the HostName of every
// connection string. The zero Hosts answers to none.
type Hosts struct {
	names   []string // as configured, lower case, each once
	aliases map[string]struct{}
}

// NewHosts makes the hub's names of the configured ones. To each of two labels or
// more belong Azure's newer forms, hub.device.domain and hub.service.domain, and to
// each the bare first label.
func NewHosts(names ...string) Hosts {
	h := Hosts{aliases: make(map[string]struct{})}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name == "" || slices.Contains(h.names, name) {
			continue
		}
		h.names = append(h.names, name)
		for _, alias := range append(hostForms(name), hostLabel(name)) {
			h.aliases[alias] = struct{}{}
		}
	}
	return h
}

// Has reports whether host names this hub, letter case and a trailing dot aside.
func (h Hosts) Has(host string) bool {
	if _, ok := h.aliases[host]; ok { // most clients write it in lower case
		return true
	}
	_, ok := h.aliases[strings.ToLower(strings.TrimSuffix(host, "."))]
	return ok
}

// First is the HostName of connection strings.
func (h Hosts) First() string {
	if len(h.names) == 0 {
		return ""
	}
	return h.names[0]
}

// Hub is the hub's name: the first label of the first host. It is also the
// EntityPath and the name redirects carry.
func (h Hosts) Hub() string { return hostLabel(h.First()) }

// Certified lists the names a server certificate must hold: each configured name
// and its newer forms, without bare labels that nobody configured.
func (h Hosts) Certified() []string {
	var all []string
	for _, name := range h.names {
		for _, form := range hostForms(name) {
			if !slices.Contains(all, form) {
				all = append(all, form)
			}
		}
	}
	return all
}

// hostForms is a name and, if it has two labels or more, Azure's newer forms of it.
func hostForms(name string) []string {
	first, domain, ok := strings.Cut(name, ".")
	if !ok || isAddress(name) {
		return []string{name}
	}
	return []string{name, first + ".device." + domain, first + ".service." + domain}
}

// hostLabel is the first label of a name; an address is its own.
func hostLabel(name string) string {
	if isAddress(name) {
		return name
	}
	first, _, _ := strings.Cut(name, ".")
	return first
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}
