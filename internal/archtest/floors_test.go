package archtest

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestImportsPointDown(t *testing.T) {
	found, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

// TestPlantedViolations shows that each wall stands: every case is a violation
// that must be reported, or an import that must be allowed.
func TestPlantedViolations(t *testing.T) {
	imports := func(pkg, target string) string {
		return "package " + pkg + "\nimport _ \"" + Module + "/" + target + "\"\n"
	}
	cases := []struct {
		name, file, src string
		want            int
	}{
		{"transport to hub", "internal/mqtt/x.go", imports("mqtt", "internal/hub"), 1},
		{"transport to service", "internal/web/x.go", imports("web", "internal/registry"), 1},
		{"transport to store", "internal/web/x.go", imports("web", "internal/store"), 1},
		{"transport to transport", "internal/web/x.go", imports("web", "internal/mqtt"), 1},
		{"transport to pure words", "internal/mqtt/x.go", imports("mqtt", "internal/mqttwire"), 0},
		{"service sideways", "internal/presence/x.go", imports("presence", "internal/registry"), 1},
		{"service up", "internal/presence/x.go", imports("presence", "internal/hub"), 1},
		{"service down", "internal/presence/x.go", imports("presence", "internal/store"), 0},
		{"pure sideways", "internal/arbiter/x.go", imports("arbiter", "internal/mqttwire"), 1},
		{"wire to words", "internal/mqttwire/x.go", imports("mqttwire", "internal/iot"), 1},
		{"wire to wire", "internal/amqpwire/x.go", imports("amqpwire", "internal/mqttwire"), 1},
		{"words up", "internal/iot/x.go", imports("iot", "internal/device"), 1},
		{"engine to parent", "internal/store/pebble/x.go", imports("pebble", "internal/store"), 0},
		{"endpoint to wire", "internal/amqp/endpoint/x.go", imports("endpoint", "internal/amqpwire"), 0},
		{"endpoint to words", "internal/amqp/endpoint/x.go", imports("endpoint", "internal/iot"), 1},
		{"endpoint to contract", "internal/amqp/endpoint/x.go", imports("endpoint", "internal/device"), 1},
		{"endpoint to its shell", "internal/amqp/endpoint/x.go", imports("endpoint", "internal/amqp"), 1},
		{"shell to endpoint", "internal/amqp/x.go", imports("amqp", "internal/amqp/endpoint"), 0},
		{"another transport to endpoint", "internal/web/x.go", imports("web", "internal/amqp/endpoint"), 1},
		{"product to test help", "internal/hub/x.go", imports("hub", "internal/hubtest"), 1},
		{"test to test help", "internal/hub/x_test.go", imports("hub", "internal/hubtest"), 0},
		{"package without a floor", "internal/util/x.go", "package util\n", 1},
		{"import without a floor", "internal/hub/x.go", imports("hub", "internal/util"), 1},
		{"command to anything", "cmd/berth/x.go", imports("main", "internal/mqtt"), 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found, err := Check(fstest.MapFS{c.file: {Data: []byte(c.src)}})
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != c.want {
				t.Errorf("got %d violations %v, want %d", len(found), found, c.want)
			}
		})
	}
}
