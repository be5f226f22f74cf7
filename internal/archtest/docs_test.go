package archtest

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	testName = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9_]*`)
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
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

func TestCompatibilityNamesTestsThatExist(t *testing.T) {
	tree := os.DirFS("../..")
	exists := map[string]bool{}
	walk(t, tree, "_test.go", func(name string) {
		for _, m := range testFunc.FindAllStringSubmatch(read(t, tree, name), -1) {
			exists[m[1]] = true
		}
	})
	named := testName.FindAllString(read(t, tree, "docs/compatibility.md"), -1)
	if len(named) < 50 {
		t.Errorf("docs/compatibility.md names %d tests only: is it still a table of tests?", len(named))
	}
	for _, name := range named {
		if !exists[name] {
			t.Errorf("docs/compatibility.md names %s, which is no test", name)
		}
	}
}
