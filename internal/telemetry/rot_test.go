package telemetry

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

// rotTable flips one bit of a random table or blob file of the log.
func rotTable(t *testing.T, fs vfs.FS, rng *rand.Rand) string {
	t.Helper()
	names, err := fs.List("data/log")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob") {
			files = append(files, "data/log/"+name)
		}
	}
	name := files[rng.IntN(len(files))]
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	bit := rng.IntN(len(content) * 8)
	content[bit/8] ^= 1 << (bit % 8)
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.Write(content)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

// end is where a partition ends.
func (l *Log) end(p int) cursor {
	l.partitions[p].mu.Lock()
	defer l.partitions[p].mu.Unlock()
	return l.partitions[p].end
}

// TestRottenLogOpensAndGoesOn flips a bit somewhere in what the log stored, again and
// again, as a disk that is dying does. It opens each time; of everything ever stored, each
// message is read as it was or lies in a stretch that readers are told is damaged; and no
// sequence and no offset is used twice.
func TestRottenLogOpensAndGoesOn(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	type kept struct {
		offset uint64
		body   string
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			fs := vfs.NewMem()
			c := Config{Partitions: 2, RingBytes: -1, CatchUpRate: -1, Now: leaping()}
			ever := [2]map[uint64]kept{{}, {}}
			pad := []int{0, 5000}[rng.IntN(2)] // blocks in tables, or in blob files
			for round := range 3 {
				l, done := onPebble(t, fs, c)
				for p := range 2 {
					r, err := l.Reader(p, device.Start{})
					if err != nil {
						t.Fatal(err)
					}
					for end := l.end(p).sequence; r.place.sequence < end; {
						from := r.place.sequence
						events, err := r.Next(t.Context())
						if err != nil && (!errors.Is(err, store.ErrCorrupt) || fault.Of(err) != fault.ServerError) {
							t.Fatal(err)
						}
						for _, e := range events {
							read := ever[p][e.Sequence]
							if read.body != string(e.Raw.Body) || read.offset != e.Offset {
								t.Fatalf("round %d, partition %d: message %d is %q at %d, it was %q at %d", round, p, e.Sequence, e.Raw.Body, e.Offset, read.body, read.offset)
							}
							if e.Sequence != from {
								t.Fatalf("round %d, partition %d: message %d follows %d, and nobody was told", round, p, e.Sequence, from)
							}
							from++
						}
					}
					r.Close()
					for n := range 1 + rng.IntN(60) {
						body := fmt.Sprintf("%d %d %s", round, n, strings.Repeat(".", pad))
						_, seq, err := l.Append(t.Context(), stampOf(on(l, p)), text("%s", body))
						if err != nil {
							t.Fatal(err)
						}
						if old, used := ever[p][seq]; used {
							t.Fatalf("round %d, partition %d: sequence %d was %q", round, p, seq, old.body)
						}
						ever[p][seq] = kept{l.end(p).last, body}
					}
					offsets := map[uint64]uint64{}
					for seq, k := range ever[p] {
						if other, used := offsets[k.offset]; used {
							t.Fatalf("round %d, partition %d: messages %d and %d are at offset %d", round, p, seq, other, k.offset)
						}
						offsets[k.offset] = seq
					}
				}
				done()
				for range 1 + rng.IntN(2) {
					rotTable(t, fs, rng)
				}
			}
		})
	}
}
