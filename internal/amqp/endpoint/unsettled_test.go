package endpoint

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// The table against a plain list, over the wrap of ids, with what is gone in between.
func TestUnsettledIsAListOfIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &Link{role: w.RoleReceiver}
		var u unsettled
		var model []uint32
		next := rapid.Uint32Range(0xffff_ff00, 0xffff_ffff).Draw(t, "first")
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				next += rapid.Uint32Range(1, 3).Draw(t, "gap")
				u.push(entry{link: l, id: next})
				l.unsettled++
				model = append(model, next)
			case 3:
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
					u.remove(u.find(model[i]))
					u.trim()
					model = slices.Delete(model, i, i+1)
				}
			case 4: // the oldest ones
				n := rapid.IntRange(0, len(model)).Draw(t, "n")
				for _, id := range model[:n] {
					u.remove(u.find(id))
				}
				u.trim()
				model = slices.Delete(model, 0, n)
			case 5:
				id := next - rapid.Uint32Range(0, 400).Draw(t, "back")
				if got, want := u.find(id) != nil, slices.Contains(model, id); got != want {
					t.Fatalf("find(%d) = %v, want %v", id, got, want)
				}
			}
			var got []uint32
			for i := range u.n {
				if e := u.at(i); e.link != nil {
					got = append(got, e.id)
				}
			}
			if !slices.Equal(got, model) || u.live() != len(model) || int(l.unsettled) != len(model) {
				t.Fatalf("%v, want %v", got, model)
			}
			if len(u.ring) > 4*max(len(model), keptRing) && u.n > keptRing {
				t.Fatalf("a ring of %d for %d of %d", len(u.ring), len(model), u.n)
			}
		}
	})
}

// What a burst needed is given back though a delivery of it stays unsettled, whichever.
func TestUnsettledGivesBackWhatABurstNeeded(t *testing.T) {
	const burst = 8192
	for _, stays := range []uint32{0, burst / 2, burst - 1} {
		l := &Link{role: w.RoleReceiver}
		var u unsettled
		for id := range uint32(burst) {
			u.push(entry{link: l, id: id})
			l.unsettled++
		}
		for id := range uint32(burst) {
			if id != stays {
				u.remove(u.find(id))
				u.trim()
			}
		}
		if len(u.ring) > 2*keptRing {
			t.Errorf("with %d unsettled the ring has %d places, want at most %d", stays, len(u.ring), 2*keptRing)
		}
		if u.live() != 1 || u.find(stays) == nil {
			t.Errorf("%d live, %d is there: %v", u.live(), stays, u.find(stays) != nil)
		}
	}
}

// One delivery that nobody settles must not make the table grow with those behind it.
func TestUnsettledOldestDoesNotHoldRoom(t *testing.T) {
	l := &Link{role: w.RoleReceiver}
	var u unsettled
	u.push(entry{link: l, id: 0})
	l.unsettled++
	for id := uint32(1); id < 1_000_000; id++ {
		u.push(entry{link: l, id: id})
		l.unsettled++
		u.remove(u.find(id))
		u.trim()
	}
	if len(u.ring) > keptRing || u.live() != 1 {
		t.Errorf("a ring of %d for %d deliveries", len(u.ring), u.live())
	}
}

// A delivery half of all ids behind is forgotten, because serial numbers cannot tell any
// more which is older.
func TestUnsettledForgetsBeyondSerialNumbers(t *testing.T) {
	l := &Link{role: w.RoleReceiver}
	var u unsettled
	for _, id := range []uint32{7, 8, 1 << 31, 1<<31 + 7, 1<<31 + 8} {
		u.push(entry{link: l, id: id})
		l.unsettled++
	}
	if u.find(7) != nil || u.find(8) != nil || u.live() != 3 || l.unsettled != 3 {
		t.Errorf("live %d, unsettled %d", u.live(), l.unsettled)
	}
}
