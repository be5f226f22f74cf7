package fault

import (
	"maps"
	"slices"
)

// Codes lists every code of the table, ascending.
func Codes() []Code { return slices.Sorted(maps.Keys(table)) }

// String names the scope as docs/errors.md does.
func (s Scope) String() string {
	switch s {
	case ScopeOperation:
		return "operation"
	case ScopeLink:
		return "link"
	case ScopeSession:
		return "session"
	case ScopeConnection:
		return "connection"
	}
	return "unknown"
}
