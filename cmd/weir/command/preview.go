package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// previewFlags are how far back changed suites are tried.
type previewFlags struct {
	hours float64
	none  bool
}

func (f *previewFlags) add(c *cobra.Command) {
	c.Flags().Float64Var(&f.hours, "preview-hours", 24, "try suites that change on so many hours of event time, up to each table's newest row")
	c.Flags().BoolVar(&f.none, "no-preview", false, "do not try suites that change on the rows there are")
}

// of asks for previews. That it cannot be had is said, and in the way of nothing.
func (f *previewFlags) of(ctx context.Context, c *client, files []*weirv1.ManifestFile) (previews []*weirv1.SuitePreview, none string) {
	if f.none {
		return nil, ""
	}
	if f.hours <= 0 || f.hours > 24*366 {
		return nil, "--preview-hours must be above 0 and at most a year"
	}
	r, err := c.registry.Preview(ctx, &weirv1.PreviewRequest{Files: files, DefaultProject: c.project, Span: int64(f.hours * float64(time.Hour.Microseconds()))})
	switch status.Code(err) {
	case codes.OK:
		return r.Previews, ""
	case codes.Unimplemented:
		return nil, "the server cannot"
	}
	return nil, err.Error()
}

func (e *env) showPreviews(previews []*weirv1.SuitePreview, none string) {
	if none != "" {
		fmt.Fprintf(e.out, "\nno preview: %s\n", none)
	}
	for _, p := range previews {
		what := "suite " + p.Suite
		if p.Suite == "" {
			what = "schema"
		}
		fmt.Fprintf(e.out, "\nFeatureView %s/%s, %s: ", p.Project, p.View, what)
		switch {
		case p.None != "":
			fmt.Fprintf(e.out, "no preview: %s\n", p.None)
		default:
			would := "would have held back"
			if p.Shadow {
				would = "in shadow, would have counted"
			}
			fmt.Fprintf(e.out, "%s %s of %s%s, of event time %s to %s\n", would, count(p.Rejected), plural(p.Rows, "row"), share(p.Rejected, p.Rows), when(p.From), when(p.To))
		}
		if p.Cut != "" {
			fmt.Fprintf(e.out, "  %s\n", p.Cut)
		}
		if p.Held > 0 {
			fmt.Fprintf(e.out, "  of %s in quarantine, %s would pass now\n", plural(p.Held, "event"), count(p.HeldPassing))
		}
		if len(p.Rules) == 0 {
			continue
		}
		t := newTable(e.out, "expectation", "failed", "of", "", "examples")
		for _, x := range p.Rules {
			var some []string
			for _, ex := range x.Examples {
				some = append(some, strings.TrimSuffix(ex.Key+": "+ex.Value, ": "))
			}
			note := x.Severity
			if !x.Rejects {
				note += ", holds nothing back"
			}
			t.AppendRow([]any{x.Expectation + "(" + x.Column + ") " + x.Expected, count(x.Failed), count(x.Evaluated), note, strings.Join(some, "\n")})
		}
		t.Render()
	}
}

func share(n, of int64) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.2f %%)", 100*float64(n)/float64(of))
}

func previewsJSON(previews []*weirv1.SuitePreview) []any {
	out := []any{}
	for _, p := range previews {
		rules := []any{}
		for _, x := range p.Rules {
			some := []any{}
			for _, ex := range x.Examples {
				some = append(some, map[string]any{"key": ex.Key, "value": ex.Value, "event_time": when(ex.EventTime)})
			}
			rules = append(rules, map[string]any{"expectation": x.Expectation, "column": x.Column, "expected": x.Expected, "severity": x.Severity,
				"rejects": x.Rejects, "evaluated": x.Evaluated, "failed": x.Failed, "examples": some})
		}
		rate := 0.0
		if p.Rows > 0 {
			rate = float64(p.Rejected) / float64(p.Rows)
		}
		out = append(out, map[string]any{"project": p.Project, "view": p.View, "suite": p.Suite, "shadow": p.Shadow, "none": p.None,
			"from": when(p.From), "to": when(p.To), "rows": p.Rows, "rejected": p.Rejected, "share": rate, "rules": rules, "cut": p.Cut,
			"held": p.Held, "held_passing": p.HeldPassing})
	}
	return out
}
