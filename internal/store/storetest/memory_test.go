package storetest_test

import (
	"errors"
	"testing"

	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// TestMemoryMeetsTheContract: what stands in for an engine in other packages' tests is
// held to the same suite.
func TestMemoryMeetsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Subject {
		m := storetest.New()
		return storetest.Subject{Engine: m, Reopen: func(*testing.T) storetest.Engine { return m.Restart() }}
	})
}

func TestMemoryFailsWhenTold(t *testing.T) {
	m := storetest.New()
	m.Fail(func(op storetest.Op) error {
		if op == storetest.LogCommit {
			return store.ErrFull
		}
		return nil
	})
	block := []store.Block{storetest.Block(0, 0, []byte("x"), nil)}
	if err := m.Log().Commit(block); !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if got, err := m.Log().Read(0, 0, 1); err != nil || len(got) != 0 {
		t.Errorf("a failed commit left %v %v", got, err)
	}
	m.Fail(nil)
	if err := m.Log().Commit(block); err != nil {
		t.Error(err)
	}
	m.Damage(0, 0)
	if _, err := m.Log().Read(0, 0, 1); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}
