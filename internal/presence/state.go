package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/store"
)

// state is what is known of an identity's connection: the record that is written
// behind. A record that says connected means it only until the hub stops, in whatever
// way: nobody clears it, and a reader who finds no live session knows better.
type state struct {
	connected bool
	epoch     store.Epoch // of the session that it speaks of
	since     int64       // Unix nanoseconds of the last change of connected
	active    int64       // Unix nanoseconds of the last activity
	gone      bool        // the identity was deleted: its record is to be, too
}

// The state record, version 1:
//
//	version    1 byte, 1
//	flags      1 byte: bit 0 connected, the others 0
//	generation uvarint, of the epoch
//	counter    uvarint, of the epoch
//	since      varint, Unix nanoseconds
//	active     varint, Unix nanoseconds
const (
	stateVersion  = 1
	flagConnected = 1
)

// errRecord is what a record that cannot be read is refused with.
var errRecord = errors.New("presence: malformed record")

// encode gives the record's bytes.
func (st *state) encode() []byte {
	flags := byte(0)
	if st.connected {
		flags |= flagConnected
	}
	b := append(make([]byte, 0, 32), stateVersion, flags)
	b = appendEpoch(b, st.epoch)
	b = binary.AppendVarint(b, st.since)
	return binary.AppendVarint(b, st.active)
}

// decodeState reads a state record; a newer version is store.ErrFormat.
func decodeState(b []byte) (state, error) {
	d := store.NewDecoder(b)
	if v := d.Byte(); v > stateVersion {
		return state{}, fmt.Errorf("state record of version %d: %w", v, store.ErrFormat)
	} else if v != stateVersion {
		d.Fail()
	}
	flags := d.Byte()
	st := state{connected: flags&flagConnected != 0, epoch: epochOf(&d), since: d.Varint(), active: d.Varint()}
	if !d.Done() || flags > flagConnected {
		return state{}, fmt.Errorf("state: %w", errRecord)
	}
	return st, nil
}

func appendEpoch(b []byte, e store.Epoch) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, e.Generation), e.Counter)
}

func epochOf(d *store.Decoder) store.Epoch {
	return store.Epoch{Generation: d.Uvarint(), Counter: d.Uvarint()}
}

func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
