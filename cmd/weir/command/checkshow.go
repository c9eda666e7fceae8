package command

import (
	"fmt"
	"strings"

	"github.com/weir-ml/weir/cmd/weir/check"
	"github.com/weir-ml/weir/registry/feature"
)

// showCheck prints what was found for people: a line for each expectation, then
// rows that failed.
func (e *env) showCheck(o *check.Outcome, level feature.Severity) {
	if o.Suite != nil {
		e.showSuite(o, level)
	}
	if o.Schema != nil {
		if o.Suite != nil {
			fmt.Fprintln(e.out)
		}
		e.showSchema(o.Schema)
	}
	if o.Stopped {
		fmt.Fprintf(e.out, "\nstopped after %s, as --fail-fast asks\n", plural(o.Rows, "row"))
	}
}

func (e *env) showSuite(o *check.Outcome, level feature.Severity) {
	results := o.Suite.Report.Results
	t := newTable(e.out, "", "expectation", "column", "severity", "found")
	held := 0
	for i := range results {
		r := &results[i]
		mark := "ok"
		switch {
		case r.Success:
			held++
		case r.Exception != "":
			mark = "ERROR"
		default:
			mark = "FAILED"
		}
		t.AppendRow([]any{mark, r.Expectation.Type, short(check.Columns(&r.Expectation), 40), string(r.Expectation.Level()), short(check.Finding(r), 90)})
	}
	t.Render()
	for i := range results {
		r := &results[i]
		if r.Success || r.Exception == "" && len(r.Examples) == 0 && r.Details == nil {
			continue
		}
		fmt.Fprintf(e.out, "\n%s\n", title(r.Expectation.Type, check.Columns(&r.Expectation), o.Suite.Wants(&r.Expectation)))
		switch {
		case r.Exception != "":
			fmt.Fprintln(e.out, "  "+r.Exception)
		case !r.Map && r.Details != nil:
			fmt.Fprintln(e.out, "  "+check.Show(r.Details))
		}
		for _, x := range r.Examples {
			fmt.Fprintf(e.out, "  row %s: %s\n", count(x.Row+1), check.Show(x.Value))
		}
		if more := r.Unexpected - int64(len(r.Examples)); r.Map && more > 0 && len(r.Examples) > 0 {
			fmt.Fprintf(e.out, "  and %s more\n", count(more))
		}
	}
	fmt.Fprintln(e.out)
	for _, w := range o.Suite.Warnings {
		fmt.Fprintf(e.out, "note: %s\n", w.Error())
	}
	fmt.Fprintf(e.out, "%s of %s: %d of %s hold%s\n", plural(o.Suite.Report.Rows, "row"), o.Path, held, plural(int64(len(results)), "expectation"), lighter(o, level))
}

// lighter says that what failed does not fail the command.
func lighter(o *check.Outcome, level feature.Severity) string {
	if o.Suite.Report.Success || o.Fails(level) {
		return ""
	}
	return "; what failed weighs less than " + string(level)
}

func title(rule, columns, wants string) string {
	s := rule
	if columns != "" {
		s += " (" + columns + ")"
	}
	if wants != "" {
		s += ": " + short(wants, 100)
	}
	return s
}

func (e *env) showSchema(s *check.SchemaOutcome) {
	if s.Failed == 0 {
		fmt.Fprintf(e.out, "schema %s: all %s pass\n", s.Name, plural(s.Rows, "row"))
		return
	}
	t := newTable(e.out, "schema rule", "path", "broken", "expected")
	for _, b := range s.Broken {
		t.AppendRow([]any{b.Keyword, short(b.Path, 40), count(b.Count), short(b.Expected, 80)})
	}
	t.Render()
	for _, b := range s.Broken {
		fmt.Fprintf(e.out, "\n%s\n", title(b.Keyword, b.Path, ""))
		for _, x := range b.Examples {
			at := "row " + count(x.Row+1)
			if x.Line > 0 {
				at += fmt.Sprintf(" (line %d)", x.Line)
			}
			if x.Value != "" {
				at += ": " + strings.ReplaceAll(x.Value, "\n", "\\n")
			}
			fmt.Fprintln(e.out, "  "+at)
		}
	}
	if s.More > 0 {
		fmt.Fprintf(e.out, "\nand %s at more places\n", plural(s.More, "failure"))
	}
	fmt.Fprintf(e.out, "\nschema %s: %s of %s fail\n", s.Name, count(s.Failed), plural(s.Rows, "row"))
}
