package c2d

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/berth-iot/berth/internal/iot"
)

// The keys of the store. Ids never hold '/'.
const (
	queueKeys    = "c2d/q/"
	messageKeys  = "c2d/m/"
	feedbackKeys = "c2d/f/"
	noticeKeys   = "c2d/n/"
	dueIndex     = "c2d/due/"

	countPending = "c2d/pending"
)

func queueKey(id iot.Identity) string { return queueKeys + id.Device + "/" + id.Module }

// identityOf is the inverse of queueKey.
func identityOf(key string) (iot.Identity, bool) {
	rest, ok := strings.CutPrefix(key, queueKeys)
	if !ok {
		return iot.Identity{}, false
	}
	dev, module, ok := strings.Cut(rest, "/")
	return iot.Identity{Device: dev, Module: module}, ok
}

func messageKey(id iot.Identity, sequence uint64) string {
	return messageKeys + id.Device + "/" + id.Module + "/" + digits(sequence)
}

func feedbackKey(sequence uint64) string { return feedbackKeys + digits(sequence) }

// noticePrefix begins the keys of the messages for back-ends of one kind.
func noticePrefix(kind string) string { return noticeKeys + kind + "/" }

func noticeKey(kind string, sequence uint64) string { return noticePrefix(kind) + digits(sequence) }

// noticeOf is the inverse of noticeKey.
func noticeOf(key string) (kind string, sequence uint64, ok bool) {
	rest, ok := strings.CutPrefix(key, noticeKeys)
	if !ok {
		return "", 0, false
	}
	kind, text, ok := strings.Cut(rest, "/")
	if !ok {
		return "", 0, false
	}
	sequence, err := strconv.ParseUint(text, 16, 64)
	return kind, sequence, err == nil
}

// dueKey is the index key of a record in which something expires at a time, in
// milliseconds of the hub's clock. It ends in the record's own key, so that a scan can
// go on behind any of them.
func dueKey(at uint64, key string) string { return dueIndex + digits(at) + "/" + key }

// dueBehind is greater than the index keys of all that expires at a time or before it,
// and less than any other.
func dueBehind(at uint64) string { return dueIndex + digits(at) + "0" }

// dueOf gives the time of an index key.
func dueOf(index string) (uint64, bool) {
	rest, ours := strings.CutPrefix(index, dueIndex)
	text, _, ok := strings.Cut(rest, "/")
	if !ours || !ok {
		return 0, false
	}
	at, err := strconv.ParseUint(text, 16, 64)
	return at, err == nil
}

func digits(n uint64) string { return fmt.Sprintf("%016x", n) }
