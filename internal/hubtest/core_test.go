package hubtest

import (
	"errors"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func open(t *testing.T, c *Core, hello device.Hello) (device.Session, *int) {
	t.Helper()
	wakes := new(int)
	s, err := c.Open(t.Context(), hello, func() { *wakes++ })
	if err != nil {
		t.Fatal(err)
	}
	return s, wakes
}

func TestTakeoverFences(t *testing.T) {
	c := NewCore(Script{})
	hello := device.Hello{Identity: iot.Identity{Device: "d"}}
	old, woken := open(t, c, hello)
	next, _ := open(t, c, hello)
	if fault.Of(old.Err()) != fault.ConnectionForcefullyClosedOnNewConnection || *woken != 1 {
		t.Errorf("old: %v, %d wakes; want 400027 and 1", old.Err(), *woken)
	}
	if n, err := old.Append([]iot.Raw{{}}); n != 0 || err == nil {
		t.Errorf("a fenced session appended %d, %v", n, err)
	}
	old.Close(device.Goodbye{Kind: device.GoodbyeEnded}) // late: harmless
	if err := next.Err(); err != nil {
		t.Errorf("the newcomer: %v", err)
	}
	third, _ := open(t, c, hello)
	if next.Err() == nil || third.Err() != nil {
		t.Error("the late goodbye released the newcomer's hold")
	}
}

func TestSubscriptionsAreKept(t *testing.T) {
	c := NewCore(Script{Answer: func(device.Op) error { return nil }})
	hello := device.Hello{Identity: iot.Identity{Device: "d"}}
	s, _ := open(t, c, hello)
	sub := device.Subscription{To: device.Methods, Filter: "m", QoS: 1}
	if err := s.Do(device.Op{Tag: 1, What: device.Subscribe{Subs: []device.Subscription{sub, {To: device.TwinResponses, Filter: "t"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(device.Op{Tag: 2, What: device.Unsubscribe{Filters: []string{"t"}}}); err != nil {
		t.Fatal(err)
	}
	if got := s.Take(make([]device.Delivery, 4), device.Room{}); len(got) != 2 || got[0].Tag != 1 || got[1].Tag != 2 {
		t.Errorf("results %v", got)
	}
	again, _ := open(t, c, hello)
	if subs, present := again.Resumed(); !present || len(subs) != 1 || subs[0] != sub {
		t.Errorf("resumed %v, %t; want %v", subs, present, sub)
	}
	hello.Clean = true
	clean, _ := open(t, c, hello)
	if subs, present := clean.Resumed(); present || len(subs) > 0 {
		t.Errorf("a clean session resumed %v, %t", subs, present)
	}
}

func TestRoomAndCommits(t *testing.T) {
	bad := errors.New("bad")
	c := NewCore(Script{Reject: func(m iot.Raw) error {
		if string(m.Body) == "bad" {
			return bad
		}
		return nil
	}})
	s, woken := open(t, c, device.Hello{Identity: iot.Identity{Device: "d"}})
	mine := c.Session(t.Context(), 0)
	mine.Room(1)
	ms := []iot.Raw{{Body: []byte("a")}, {Body: []byte("b")}, {Body: []byte("bad")}}
	if n, err := s.Append(ms); n != 1 || err != nil {
		t.Errorf("Append = %d, %v; want 1, nil", n, err)
	}
	mine.Room(-1)
	if n, err := s.Append(ms[1:]); n != 1 || !errors.Is(err, bad) {
		t.Errorf("Append = %d, %v; want 1, %v", n, err, bad)
	}
	mine.Commit(5)
	if got := s.Durable(); got != 2 {
		t.Errorf("Durable = %d, want 2: no more than was appended", got)
	}
	if *woken != 3 {
		t.Errorf("%d wakes, want 3", *woken)
	}
}

func TestAfterlivesAreRecorded(t *testing.T) {
	c := NewCore(Script{})
	s, _ := open(t, c, device.Hello{Identity: iot.Identity{Device: "d"}})
	want := device.Afterlife{Kind: device.AfterlifeClosed, Bytes: 2}
	s.Afterlife(want)
	if got := c.Session(t.Context(), 0).Afterlives(); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
