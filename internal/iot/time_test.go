package iot

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTimeIsWrittenAsAzureWritesIt(t *testing.T) {
	cest := time.FixedZone("CEST", 2*3600)
	for _, tc := range []struct {
		at   time.Time
		want string
	}{
		{time.Time{}, `"0001-01-01T00:00:00Z"`},
		{time.Date(2020, 7, 28, 22, 17, 23, 785_061_000, time.UTC), `"2020-07-28T22:17:23.785061Z"`},
		{time.Date(2020, 7, 28, 22, 17, 23, 675_682_299, time.UTC), `"2020-07-28T22:17:23.6756822Z"`},
		{time.Date(2026, 1, 2, 5, 4, 5, 0, cest), `"2026-01-02T03:04:05Z"`},
	} {
		got, err := json.Marshal(TimeOf(tc.at))
		if err != nil || string(got) != tc.want {
			t.Errorf("%v: got %s, %v, want %s", tc.at, got, err, tc.want)
		}
		text, err := TimeOf(tc.at).MarshalText()
		if err != nil || `"`+string(text)+`"` != tc.want {
			t.Errorf("%v: text %s, %v, want %s", tc.at, text, err, tc.want)
		}
	}
}

func TestTimeIsReadInEveryFormClientsSend(t *testing.T) {
	for in, want := range map[string]string{
		`"0001-01-01T00:00:00"`:          "0001-01-01T00:00:00Z",
		`"0001-01-01T00:00:00Z"`:         "0001-01-01T00:00:00Z",
		`null`:                           "0001-01-01T00:00:00Z",
		`""`:                             "0001-01-01T00:00:00Z",
		`"2026-01-02T03:04:05.1234567Z"`: "2026-01-02T03:04:05.1234567Z",
		`"2026-01-02T03:04:05.25"`:       "2026-01-02T03:04:05.25Z",
		`"2026-01-02T05:04:05+02:00"`:    "2026-01-02T03:04:05Z",
	} {
		var got Time
		if err := json.Unmarshal([]byte(in), &got); err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{
		`"yesterday"`, `1767323045`, `{}`, `"2026-13-01T00:00:00Z"`,
		`"2026-01-02T03:04:05.0000000000000000000000000000000000000000000000000000000Z"`,
	} {
		var got Time
		if err := json.Unmarshal([]byte(in), &got); err == nil {
			t.Errorf("%s: read as %s, want an error", in, got)
		}
	}
}

func TestTicksCountFromYearOne(t *testing.T) {
	at := time.Date(2020, 9, 2, 8, 26, 1, 634_714_000, time.UTC)
	if got := Ticks(at.Add(200)); got != Ticks(at)+2 {
		t.Errorf("200 ns later: %d ticks, want %d", got, Ticks(at)+2)
	}
	if got := Ticks(time.Time{}); got != 0 {
		t.Errorf("year 1: %d ticks, want 0", got)
	}
	if got := Ticks(time.Unix(0, 0)); got != 621_355_968_000_000_000 {
		t.Errorf("1970: %d ticks", got)
	}
	for _, ticks := range []uint64{0, 1, 637_345_907_161_634_714} {
		if got := Ticks(TicksTime(ticks)); got != ticks {
			t.Errorf("there and back: %d, want %d", got, ticks)
		}
	}
	if got := TicksTime(637_345_907_161_634_714).Format(time.RFC3339Nano); got != "2020-09-01T20:58:36.1634714Z" {
		t.Errorf("a recorded generation id is of %s", got)
	}
}

func TestETagsHaveTheirRecordedForms(t *testing.T) {
	if got := IdentityETag(241_791_198); got != "MjQxNzkxMTk4" { // service-rest B.1
		t.Errorf("identity: %s", got)
	}
	if got := TwinETag(1); got != "AAAAAAAAAAE=" { // service-rest B.5
		t.Errorf("twin: %s", got)
	}
}
