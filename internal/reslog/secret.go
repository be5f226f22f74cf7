package reslog

import (
	"regexp"
	"strings"
)

// scrub hides what looks like a secret in a text that a peer chose: a confused client
// sends its connection string as a client id, or its token as its type. Hidden are the
// values of sig, SharedAccessKey and SharedAccessSignature, and what has the form of a
// key by itself: 43 or more base64 digits with their padding.
func scrub(s string) string {
	if !strings.ContainsAny(s, "=%") { // no secret of these forms is without
		return s
	}
	return bareKey.ReplaceAllString(named.ReplaceAllString(s, "${1}***"), "***")
}

var (
	named   = regexp.MustCompile(`(?i)(\b(?:sig|SharedAccessKey|SharedAccessSignature)(?:=|%3D))[^&;,"'\s]*`)
	bareKey = regexp.MustCompile(`(?:[A-Za-z0-9+/]|%2[BbFf]){43,}(?:=|%3[Dd]){1,2}`)
)
