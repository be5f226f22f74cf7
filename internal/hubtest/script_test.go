package hubtest_test

import (
	"fmt"
	"slices"
	"strings"
)

// kind is what a step does.
type kind uint8

const (
	doMQTT     kind = iota // connect anew over MQTT; the connection there was is left to itself
	doAMQP                 // the same over AMQP, with a login and links
	doPublish              // telemetry
	doListen               // subscribe, or attach a link on which the hub sends
	doUnlisten             // the opposite
	doAck                  // settle messages that came
	doCommand              // a back-end sends a message to an identity
	doBye                  // DISCONNECT, close
	doCut                  // reset the connection
	doHalf                 // end our side of the stream, and read on
	doGarbage              // bytes of the script, as they are
	doHold                 // keep back all but the first bytes of what comes next
	doTrickle              // send in small pieces from now on
	doPing                 // PINGREQ, or a flow that asks for one
	doStall                // do not read, or read again
	doWait                 // let time pass
	doOdd                  // break the protocol, or go to its borders
	doToken                // put another token (AMQP)
	doAttach               // attach a link of any identity (AMQP)
	doBar                  // a back-end disables the device, or enables it
	doSlow                 // hold up its calls into the hub, or those of its next connection, or no more
	doFail                 // the disk of the log fails, or works again
	kinds
)

var kindNames = [kinds]string{
	"mqtt", "amqp", "publish", "listen", "unlisten", "ack", "command", "bye", "cut", "half", "garbage", "hold", "trickle",
	"ping", "stall", "wait", "odd", "token", "attach", "bar", "slow", "fail",
}

// step is one line of a script: one of the two clients does something. In a rush, the next
// step does not wait until the hub has done all that it has to do.
type step struct {
	who  int // 0 or 1
	rush bool
	do   kind
	arg  uint8
	data []byte // of doGarbage, at most maxGarbage
}

const (
	maxSteps   = 48
	maxGarbage = 127
)

// decodeScript reads any bytes as a script: two for each step, and behind those of garbage
// its bytes, as many as the argument says.
func decodeScript(b []byte) []step {
	var all []step
	for len(b) >= 2 && len(all) < maxSteps {
		s := step{who: int(b[0] >> 7), rush: b[0]&0x40 != 0, do: kind(b[0]&0x3f) % kinds, arg: b[1]}
		b = b[2:]
		if s.do == doGarbage {
			n := min(int(s.arg&maxGarbage), len(b))
			s.data, b = slices.Clone(b[:n]), b[n:]
		}
		all = append(all, s)
	}
	return all
}

// encodeScript is the bytes of a script.
func encodeScript(steps []step) []byte {
	var b []byte
	for _, s := range steps {
		first := byte(s.do) | byte(s.who)<<7
		if s.rush {
			first |= 0x40
		}
		if s.do == doGarbage {
			s.arg = s.arg&^maxGarbage | byte(len(s.data))
		}
		b = append(append(b, first, s.arg), s.data...)
	}
	return b
}

func (s step) String() string {
	text := fmt.Sprintf("%c %s %#x", "AB"[s.who], kindNames[s.do], s.arg)
	if s.do == doGarbage {
		text += fmt.Sprintf(" % x", s.data)
	}
	if s.rush {
		text += " in a rush"
	}
	return text
}

// tell writes a script for a person.
func tell(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%2d %s\n", i, s)
	}
	return b.String()
}
