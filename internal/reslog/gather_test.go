package reslog

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAStormIsWritten: a record waits for others, but not for them to end.
func TestAStormIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := new(mem)
		l := inMemory(t, file, nil)
		for n := range 100 {
			l.Connected(nth(n))
			time.Sleep(time.Millisecond)
		}
		file.mu.Lock()
		written := file.buf.Len()
		file.mu.Unlock()
		if written == 0 {
			t.Errorf("nothing is written after %d records and %v", 100, 100*time.Millisecond)
		}
		l.Connected(nth(100))
		time.Sleep(gatherFor)
		synctest.Wait()
		if got := len(file.lines()); got != 101 {
			t.Errorf("%d lines, want 101", got)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
