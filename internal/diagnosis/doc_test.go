package diagnosis

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

var update = flag.Bool("update", false, "write the tables of docs/diagnosis.md anew")

const (
	document = "../../docs/diagnosis.md"
	opens    = "<!-- tables: go test ./internal/diagnosis -update -->\n"
	closes   = "<!-- end of tables -->\n"
)

// TestDocumentSaysTheRules: the tables that people read are the tables that judge.
func TestDocumentSaysTheRules(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), opens)
	got, after, ok2 := strings.Cut(rest, closes)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", document)
	}
	want := "\n" + ruleTable() + "\n" + gateTable() + "\n"
	if *update {
		if err := os.WriteFile(document, []byte(before+opens+want+closes+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run go test ./internal/diagnosis -update (-want +got):\n%s", diff)
	}
}

func ruleTable() string {
	var s strings.Builder
	s.WriteString("| signal | strength | for | against | because |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range Rules() {
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s | %s |\n", r.Signal, r.Strength, names(r.For), names(r.Against), r.Reason)
	}
	return s.String()
}

func gateTable() string {
	var s strings.Builder
	s.WriteString("| verdict | cause | needs | never with | above 0.7 with | fix |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, g := range Gates() {
		cause := "neither"
		if n := g.Verdict.Cause(); n != 0 {
			cause = fmt.Sprint(n)
		}
		var needs []string
		if g.Strong > 0 {
			needs = append(needs, fmt.Sprintf("%d strong for it", g.Strong))
		}
		if len(g.All) > 0 {
			needs = append(needs, names(g.All))
		}
		if len(g.Any) > 0 {
			needs = append(needs, "one of "+names(g.Any))
		}
		sure := ""
		if len(g.Sure) > 0 {
			sure = "one of " + names(g.Sure)
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s | %s | %s |\n", g.Verdict, cause, strings.Join(needs, "; "), names(g.Without), sure, g.Fix)
	}
	return s.String()
}

func names[T ~string](list []T) string {
	var l []string
	for _, v := range list {
		l = append(l, "`"+string(v)+"`")
	}
	return strings.Join(l, ", ")
}

func TestEveryVerdictHasAGateAndAdvice(t *testing.T) {
	for _, v := range iot.Verdicts() {
		g := gateOf(v)
		if g.Next == "" || g.Fix == "" || g.Flip == "" && v != iot.VerdictUndecided && v != iot.VerdictNone {
			t.Errorf("%s has no advice", v)
		}
		if unsure := g.advice(nil); unsure.Next == "" || unsure.Fix == "" {
			t.Errorf("%s has no advice while it is not sure", v)
		}
	}
}
