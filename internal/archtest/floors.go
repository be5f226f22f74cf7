// Package archtest holds the floors of the source tree as a test: imports point
// down, never sideways, never up, and transports skip from floor 6 to floor 2.
//
// Its one invariant: every package of the module has a floor. It parses files
// itself, because a test that asks the go command is cached and passes when it
// should not.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path that every package of the tree begins with.
const Module = "github.com/berth-iot/berth"

// testFloor is above everything: what only tests import.
const testFloor = 9

// floorOf gives a package its floor; the path is relative to the module.
func floorOf(pkg string) (int, bool) {
	floors := [][]string{
		0: {"internal/iot", "internal/fault", "internal/file"},
		1: {"internal/twin", "internal/arbiter", "internal/mqttwire", "internal/amqpwire"},
		2: {"internal/event", "internal/device", "internal/park", "internal/pki", "internal/config"},
		3: {"internal/store", "internal/store/pebble"},
		4: {"internal/registry", "internal/c2d", "internal/method", "internal/telemetry", "internal/presence", "internal/diagnosis", "internal/reslog"},
		5: {"internal/hub"},
		6: {"internal/mqtt", "internal/amqp", "internal/amqp/endpoint", "internal/web", "internal/client", "internal/bench"},
		7: {"cmd/berth", "bench"},
		9: {"internal/hubtest", "internal/archtest", "internal/store/storetest", "test/conformance", "test/crash", "test/rig"},
	}
	for floor, pkgs := range floors {
		if slices.Contains(pkgs, pkg) {
			return floor, true
		}
	}
	return 0, false
}

// Violation is one import that points the wrong way, or a package without a floor.
type Violation struct {
	File   string
	Import string
	Why    string
}

// String gives one line for a test's output.
func (v Violation) String() string {
	return fmt.Sprintf("%s imports %s: %s", v.File, v.Import, v.Why)
}

// Check parses every Go file of the tree and reports what breaks the floors.
func Check(tree fs.FS) ([]Violation, error) {
	var found []Violation
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		vs, err := checkFile(filepath.ToSlash(name), src)
		found = append(found, vs...)
		return err
	})
	return found, err
}

func skipped(dir string) bool {
	base := path.Base(dir)
	return dir != "." && (base == "testdata" || base == "node_modules" || base == "tools" || base == "peers" || strings.HasPrefix(base, "."))
}

func checkFile(name string, src []byte) ([]Violation, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	pkg := path.Dir(name)
	from, ok := floorOf(pkg)
	if !ok {
		return []Violation{{name, pkg, "the package has no floor (internal/archtest/floors.go)"}}, nil
	}
	test := strings.HasSuffix(name, "_test.go")
	var found []Violation
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("import in %s: %w", name, err)
		}
		rel, ours := strings.CutPrefix(target, Module+"/")
		if !ours {
			continue
		}
		if why := forbidden(pkg, from, rel, test); why != "" {
			found = append(found, Violation{name, rel, why})
		}
	}
	return found, nil
}

// forbidden says why pkg on floor from may not import target, or "".
func forbidden(pkg string, from int, target string, test bool) string {
	to, ok := floorOf(target)
	switch {
	case !ok:
		return "the imported package has no floor"
	case test, from == testFloor, pkg == target:
		return ""
	case to == testFloor:
		return "only tests may import it"
	case pkg == "internal/amqp/endpoint" && target != "internal/amqpwire":
		return "the endpoint knows the standard and its bytes alone"
	case strings.HasPrefix(pkg, target+"/"), strings.HasPrefix(target, pkg+"/"):
		return "" // an engine may import its parent, a part its whole
	case pkg == "internal/mqttwire" || pkg == "internal/amqpwire":
		return "wire packages know the standard and nothing of ours"
	case from == 6 && to > 2:
		return "transports know floors 0 to 2 only"
	case to == from && from == 0, to == from && from == 2:
		return "" // words and contracts may speak of each other
	case to == from:
		return "sideways: packages of one floor do not know each other"
	case to > from:
		return "up: imports point down"
	}
	return ""
}
