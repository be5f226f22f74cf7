package c2d

import (
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// request is something that is to happen to one identity in its turn.
type request struct {
	kind kind
	done chan<- result // capacity 1; nil: nobody waits

	message *iot.CloudMessage // toSend: without its properties and body
	size    int               // toSend: as iot.CloudMessage.Size
	record  []byte            // toSend: the message as stored

	sequence  uint64 // toSettle
	outcome   device.Outcome
	messageID string
	consumer  *Consumer
	tag       uint64

	marks []uint64 // toMark: messages that a receiver was given and did not settle
}

// kind is the closed set of requests.
type kind uint8

const (
	toSend kind = iota + 1
	toSettle
	toMark
	toSweep  // remove what has expired, as every turn does
	toPurge  // remove everything, with feedback
	toForget // remove everything without a word: the identity is gone
)

// result is what became of a request.
type result struct {
	n   int // messages purged
	err error
}

// answer hands a result to whoever waits for it.
func (r *request) answer(res result) {
	switch {
	case r.done != nil:
		r.done <- res
	case r.consumer != nil:
		r.consumer.hooks.Settled(r.tag, res.err)
	}
}
