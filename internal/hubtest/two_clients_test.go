package hubtest_test

import (
	"testing"
	"testing/synctest"
)

// FuzzTwoClients plays two scripted clients against a whole hub in memory: they connect over
// MQTT or AMQP as the same device, its module, or another, take over, send, settle, say
// goodbye or do not, and break the protocol, as the fuzzer interleaves them.
func FuzzTwoClients(f *testing.F) {
	shelf := newShelf(f)
	f.Fuzz(func(t *testing.T, script []byte) { fight(t, shelf, decodeScript(script)) })
}

// fight plays one script in a bubble of its own, which also knows when a goroutine is left.
func fight(t *testing.T, shelf *shelf, steps []step) *duel {
	t.Helper()
	var d *duel
	synctest.Test(t, func(t *testing.T) {
		d = newDuel(newWhole(t, shelf))
		d.play(steps)
		d.finish()
		if t.Failed() {
			t.Logf("the script:\n%s", tell(steps))
		}
	})
	d.checkRecords(t, shelf)
	return d
}
