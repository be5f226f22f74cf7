package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/pebble"
)

// population is how many devices the benchmarks have: more than the keyring and the
// engine's cache hold.
const population = 1 << 19

// newPopulation is a registry on disk with many devices, device n under the name of
// nth(n), all with the same keys.
func newPopulation(b *testing.B) *Registry {
	b.Helper()
	e, err := pebble.Open(pebble.Options{Dir: b.TempDir(), BallastBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	r, err := New(Config{Records: e.Records(), HubName: "hub", Hosts: isTestHost, Policies: []iot.Policy{devicePolicy}})
	if err != nil {
		b.Fatal(err)
	}
	const together = 1 << 12
	for from := 0; from < population; from += together {
		var batch store.Batch
		for n := from; n < from+together; n++ {
			rec := &record{method: methodSAS, generation: uint64(n + 1), etag: 1, keys: [2][]byte{testKey(11), testKey(12)}}
			batch.Writes = append(batch.Writes, store.Write{Key: key(iot.Identity{Device: nth(n)}), Value: rec.encode(), Index: statusIndex(nth(n), rec)})
		}
		if _, err := e.Records().Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

// nth names devices so that neighbours in number are not neighbours in the store.
func nth(n int) string { return fmt.Sprintf("%08x", uint32(n)*2654435761) }

// BenchmarkAuthenticate is one check of a connect: of a device that came before with
// this token, with another, and of one that is not known and read from the store.
func BenchmarkAuthenticate(b *testing.B) {
	r := newPopulation(b)
	later := time.Now().Add(time.Hour)
	sign := func(n, second int) device.Credential {
		return tokenOf(iot.Identity{Device: nth(n)}, testKey(11), later.Add(time.Duration(second)*time.Second))
	}
	run := func(name string, cred func(i int) (int, device.Credential)) {
		b.Run(name, func(b *testing.B) {
			const tokens = 1 << 16
			ids, creds := make([]int, tokens), make([]device.Credential, tokens)
			for i := range tokens {
				ids[i], creds[i] = cred(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				i := i % tokens
				if _, err := r.Authenticate(b.Context(), iot.Identity{Device: nth(ids[i])}, testHost, creds[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("same token", func(int) (int, device.Credential) { return 1, sign(1, 0) })
	run("another token", func(i int) (int, device.Credential) { return 1, sign(1, i) })
	run("unknown", func(i int) (int, device.Credential) { return i * (population >> 16), sign(i*(population>>16), 0) })
}

// BenchmarkAuthenticateChain is the check of a certificate by its chain.
func BenchmarkAuthenticateChain(b *testing.B) {
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	f := newFixture(b)
	root := authority(b, "root", from, to, issued{})
	f.device(b, "d", &iot.Authentication{Type: iot.AuthenticationCA})
	if _, err := f.PutCA(b.Context(), "root", root.pem(), true, iot.Match{}); err != nil {
		b.Fatal(err)
	}
	cred := certs(leaf(b, "d", from, to, root))
	for name, forget := range map[string]bool{"known": false, "unknown": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					f.keyring.changing([]store.Write{{Key: key(dev1)}})()
				}
				if _, err := f.Authenticate(b.Context(), dev1, testHost, cred); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStatistics is what the service API is asked by dashboards, while identities
// are being made.
func BenchmarkStatistics(b *testing.B) {
	r := newPopulation(b)
	for range 20_000 { // each adds to the counter
		if _, err := r.records.Apply(b.Context(), store.Batch{Deltas: []store.Delta{{Key: countDevices, N: 1}}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Statistics(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListDevices is one page of a thousand.
func BenchmarkListDevices(b *testing.B) {
	r := newPopulation(b)
	b.ReportAllocs()
	for b.Loop() {
		if list, err := r.ListDevices(b.Context(), maxList); err != nil || len(list) != maxList {
			b.Fatal(err)
		}
	}
}
