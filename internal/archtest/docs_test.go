package archtest

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9_]*`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// read reads a file of the tree.
func read(t *testing.T, tree fs.FS, name string) string {
	t.Helper()
	b, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// walk calls f with every file of the tree that has the ending.
func walk(t *testing.T, tree fs.FS, ending string, f func(name string)) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(name):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ending):
			f(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	tree := os.DirFS("../..")
	walk(t, tree, ".md", func(name string) {
		for _, m := range link.FindAllStringSubmatch(read(t, tree, name), -1) {
			if _, err := fs.Stat(tree, path.Join(path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links %s: %v", name, m[1], err)
			}
		}
	})
}

// TestTablesNameTestsThatExist: a table of tests is worth what its tests are.
func TestTablesNameTestsThatExist(t *testing.T) {
	tree := os.DirFS("../..")
	exists := map[string]bool{}
	walk(t, tree, "_test.go", func(name string) {
		for _, m := range testFunc.FindAllStringSubmatch(read(t, tree, name), -1) {
			exists[m[1]] = true
		}
	})
	for _, table := range []struct {
		file  string
		least int // of the tests that it must name
	}{
		{"docs/compatibility.md", 50},
		{"docs/threats.md", 50},
	} {
		named := testName.FindAllString(read(t, tree, table.file), -1)
		if len(named) < table.least {
			t.Errorf("%s names %d tests only: is it still a table of tests?", table.file, len(named))
		}
		for _, name := range named {
			if !exists[name] {
				t.Errorf("%s names %s, which is no test", table.file, name)
			}
		}
	}
}

var row = regexp.MustCompile(`(?m)^\| (\d+) \|(.*)\|$`)

// TestEveryThreatHasItsTest: a class that Berth can meet names what shows that it is met.
func TestEveryThreatHasItsTest(t *testing.T) {
	var next int
	for _, m := range row.FindAllStringSubmatch(read(t, os.DirFS("../.."), "docs/threats.md"), -1) {
		next++
		if got := m[1]; got != strconv.Itoa(next) {
			t.Fatalf("class %s stands where %d should", got, next)
		}
		cells := strings.Split(m[2], "|")
		if tests := strings.TrimSpace(cells[len(cells)-1]); tests != "none: there is no such thing" && !testName.MatchString(tests) {
			t.Errorf("class %d names no test: %q", next, tests)
		}
	}
	if next != 28 {
		t.Errorf("%d classes, want 28", next)
	}
}
