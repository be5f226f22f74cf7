package diagnosis

import (
	"fmt"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// text says what happened before a displacement.
func (t *Trouble) text(at time.Time) string {
	before := span(at.Sub(t.At)) + " earlier"
	switch t.Kind {
	case TroubleLost:
		return before + ", a connection of the identity ended without a goodbye (404104 DeviceConnectionClosedRemotely)"
	case TroubleIdle:
		return before + ", a connection of the identity was closed because nothing had been heard of it (404104 DeviceConnectionClosedRemotely)"
	case TroubleToken:
		return before + ", a connection of the identity was closed because its token had expired (401003 IotHubUnauthorized)"
	case TroubleRefused:
		return before + ", a connection that asked for the identity was refused (401003 IotHubUnauthorized)"
	case TroubleStart:
		return before + ", the hub started, and every client had to reconnect"
	}
	return before + ", something happened that this version does not know"
}

// troubleOf reads an end that may cause a later displacement; Kind is 0 for others.
func troubleOf(code fault.Code, reason string, at time.Time) Trouble {
	switch {
	case code == fault.IotHubUnauthorized:
		return Trouble{TroubleToken, at}
	case code != fault.DeviceConnectionClosedRemotely:
		return Trouble{}
	case strings.Contains(reason, "keep-alive"), strings.Contains(reason, "idle"):
		return Trouble{TroubleIdle, at}
	}
	return Trouble{TroubleLost, at}
}

// refusal reads a refused connection; ok is false for one that explains nothing.
func refusal(hello *device.Hello, err error, at time.Time) (ev event, ok bool) {
	id := hello.Identity
	if fault.Of(err) != fault.IotHubUnauthorized || !iot.ValidID(id.Device) || id.Module != "" && !iot.ValidID(id.Module) {
		return event{}, false
	}
	return event{kind: eventRefused, at: at, identity: id}, true
}

// troubles remembers the latest trouble of each of maxTroubles identities.
type troubles struct {
	latest map[iot.Identity]Trouble
	order  []iot.Identity // a ring, oldest at next once full
	next   int
}

func newTroubles() *troubles { return &troubles{latest: map[iot.Identity]Trouble{}} }

// note remembers a trouble in place of the identity's last one.
func (t *troubles) note(id iot.Identity, what Trouble) {
	if _, known := t.latest[id]; !known {
		if len(t.order) < maxTroubles {
			t.order = append(t.order, id)
		} else {
			delete(t.latest, t.order[t.next])
			t.order[t.next] = id
			t.next = (t.next + 1) % maxTroubles
		}
	}
	t.latest[id] = what
}

// newest gives the later of two troubles, if it is one that a displacement at that
// time may come from.
func newest(at time.Time, keepAlive time.Duration, of ...Trouble) *Trouble {
	within := max(rootCauseWithin, keepAlive*3/2)
	var found *Trouble
	for _, t := range of {
		if t.Kind == 0 || t.At.After(at) || at.Sub(t.At) > within || found != nil && !t.At.After(found.At) {
			continue
		}
		found = &t
	}
	return found
}

// sequence gives the sequence numbers of connection events. They grow over all
// identities, hence for each; over restarts because the run's number does.
type sequence struct {
	run     uint64
	counter counter
}

// number is the form that Azure's published samples have: 64 hex digits, of which the
// second 16 are a FILETIME and the last 16 a counter (connections 5).
func (s *sequence) number(n uint64) string {
	return fmt.Sprintf("%016x%016x%016x%016x", 0, s.run, uint64(2)<<32, n)
}
