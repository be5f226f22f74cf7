package reslog

import "testing"

// BenchmarkConnection is the two records of one connection: made, encoded and written.
func BenchmarkConnection(b *testing.B) {
	l, err := Open(Config{Dir: b.TempDir(), HubName: "hub"})
	if err != nil {
		b.Fatal(err)
	}
	p, e := elder(), ended(0, "DISCONNECT")
	e.Party = elder()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		l.Connected(p)
		l.Ended(e)
		if n%1000 == 999 { // the queue is bounded
			reply := make(chan snapshot, 1)
			l.ask <- reply
			<-reply
		}
	}
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
