package hubtest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/berth-iot/berth/internal/iot"
)

// record is what the resource log says of a connection.
type record struct {
	operation string
	code      string
	id        iot.Identity
	conn      uint64
	by        uint64 // of a displacement: the newcomer
}

func (r record) String() string {
	return fmt.Sprintf("%s of %s by connection %d, code %q, for %d", r.operation, r.id, r.conn, r.code, r.by)
}

// readRecords reads the records of connections that were let in.
func readRecords(t *testing.T, lines [][]byte) (all []record) {
	t.Helper()
	for _, line := range lines {
		var outer struct{ OperationName, Category, ResultType, Properties string }
		must(t, json.Unmarshal(line, &outer))
		if outer.Category != "Connections" || outer.OperationName == "deviceConnect" && outer.ResultType != "" {
			continue
		}
		var inner struct {
			DeviceID, ModuleID string
			Berth              struct {
				Conn uint64
				By   *struct{ Conn uint64 }
			}
		}
		must(t, json.Unmarshal([]byte(outer.Properties), &inner))
		r := record{outer.OperationName, outer.ResultType, iot.Identity{Device: inner.DeviceID, Module: inner.ModuleID}, inner.Berth.Conn, 0}
		if inner.Berth.By != nil {
			r.by = inner.Berth.By.Conn
		}
		all = append(all, r)
	}
	return all
}

// checkRecords compares the resource log with the sessions there were: each began once and
// ended once, and each displacement names both sides and its code. It is called outside
// the bubble, for the log's writer is there.
func (d *duel) checkRecords(t *testing.T, shelf *shelf) {
	t.Helper()
	var want []string
	for id, spells := range d.witness.spells {
		for _, s := range spells {
			want = append(want, record{"deviceConnect", "", id, s.party.Conn.ID, 0}.String())
			if s.end == nil {
				continue // told already
			}
			r := record{"deviceDisconnect", "", id, s.party.Conn.ID, 0}
			if s.end.Code != 0 {
				r.code = fmt.Sprintf("%06d", s.end.Code)
			}
			if s.end.By != nil {
				r.by = s.end.By.Conn.ID
			}
			want = append(want, r.String())
		}
	}
	var got []string
	for _, r := range readRecords(t, shelf.take(t)) {
		if r.conn >= d.first {
			got = append(got, r.String())
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("the resource log holds\n%q\nwant\n%q", got, want)
	}
}
