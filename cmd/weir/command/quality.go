package command

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) quality() *cobra.Command {
	c := &cobra.Command{Use: "quality", Short: "What is known of the quality of streams, by windows and by the clock"}
	list := &cobra.Command{
		Use: "list", Short: "List what is watched of views, with where it stands", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.quality.List(ctx, &weirv1.ListQualityRequest{Project: c.project})
				if err != nil {
					return err
				}
				return e.listQuality(r.Rules)
			})
		},
	}
	var limit int32
	var window string
	show := &cobra.Command{
		Use: "show VIEW", Short: "Show the windows of a view's suites, newest first; exit code 1 while an alert fires", Args: exactly(1, "VIEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &weirv1.ShowQualityRequest{View: args[0], Limit: limit}
			if window != "" {
				t, err := time.Parse(time.RFC3339Nano, window)
				if err != nil {
					return fmt.Errorf("--window %s: write a time like 2026-11-20T09:00:00Z", window)
				}
				req.Window = t.UnixMicro()
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := c.quality.Show(ctx, req)
				if err != nil {
					return err
				}
				return e.showQuality(r)
			})
		},
	}
	show.Flags().Int32Var(&limit, "limit", 20, "newest this many windows of each suite")
	show.Flags().StringVar(&window, "window", "", "only the windows that this time falls in, like 2026-11-20T09:00:00Z")
	c.AddCommand(list, show)
	return c
}

func (e *env) listQuality(rules []*weirv1.QualityRule) error {
	if e.output == "json" {
		out := []any{}
		for _, r := range rules {
			out = append(out, qualityRuleJSON(r))
		}
		return printJSON(e.out, out)
	}
	t := newTable(e.out, "view", "rule", "state", "since", "last window", "what is watched, what fails")
	for _, r := range rules {
		last := "-"
		about := []string{r.About}
		if w := r.Last; w != nil {
			last = when(w.Start) + " " + w.Outcome
			about = append(about, failing(w)...)
		}
		if r.Reason != "" && r.Rule != "suite" {
			about = append(about, r.Reason)
		}
		t.AppendRow([]any{r.Project + "/" + r.View, ruleName(r), qualityState(r.State), when(r.Since), last, strings.Join(about, "\n")})
	}
	t.Render()
	return nil
}

func ruleName(r *weirv1.QualityRule) string {
	if r.Suite == "" {
		return r.Rule
	}
	if r.Shadow {
		return r.Suite + " (shadow)"
	}
	return r.Suite
}

func qualityState(s weirv1.QualityState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "QUALITY_STATE_"))
}

// failing are the expectations of a window that failed, a line each.
func failing(w *weirv1.QualityWindow) (out []string) {
	for _, r := range w.Results {
		if r.Outcome == "failed" {
			out = append(out, resultText(r))
		}
	}
	return out
}

// resultText says in a line what came of an expectation.
func resultText(r *weirv1.QualityResult) string {
	s := r.Name
	switch {
	case r.Elements > 0:
		s += fmt.Sprintf(": %s of %s rows", count(r.Unexpected), count(r.Elements-r.Missing))
		if len(r.Examples) > 0 {
			s += ", like " + short(strings.Join(r.Examples, ", "), 60)
		}
	case r.Observed != "":
		s += ": " + short(r.Observed, 60)
	}
	if r.Expected != "" {
		s += ", expected " + short(r.Expected, 60)
	}
	for _, x := range []string{r.Error, r.Reason} {
		if x != "" {
			s += " (" + x + ")"
		}
	}
	if r.Severity != "critical" {
		s += " [" + r.Severity + "]"
	}
	return s
}

func (e *env) showQuality(r *weirv1.ShowQualityResponse) error {
	fires := false
	for _, x := range r.Rules {
		fires = fires || x.State == weirv1.QualityState_QUALITY_STATE_FIRING
	}
	if e.output == "json" {
		rules, windows := []any{}, []any{}
		for _, x := range r.Rules {
			rules = append(rules, qualityRuleJSON(x))
		}
		for _, w := range r.Windows {
			windows = append(windows, qualityWindowJSON(w))
		}
		if err := printJSON(e.out, map[string]any{"rules": rules, "windows": windows}); err != nil {
			return err
		}
	} else {
		if err := e.listQuality(r.Rules); err != nil {
			return err
		}
		if len(r.Windows) > 0 {
			fmt.Fprintln(e.out)
			t := newTable(e.out, "window", "suite", "rows", "", "expectations")
			for _, w := range r.Windows {
				var lines []string
				for _, x := range w.Results {
					mark := map[string]string{"ok": "  ", "failed": "x "}[x.Outcome]
					if mark == "" {
						mark = "? "
					}
					lines = append(lines, mark+resultText(x))
				}
				t.AppendRow([]any{when(w.Start), w.Suite, count(w.Rows), windowState(w), strings.Join(lines, "\n")})
			}
			t.Render()
		}
	}
	if fires {
		return errNo
	}
	return nil
}

// windowState is a window's outcome with how sure it is.
func windowState(w *weirv1.QualityWindow) string {
	s := w.Outcome
	switch {
	case s == "":
		return w.State
	case s == "failed":
		s = "FAILED"
	}
	if w.State != "judged" {
		s += ", early"
	}
	if w.Amended > 0 {
		s += fmt.Sprintf(", amended %d times", w.Amended)
	}
	if w.Late > 0 {
		s += fmt.Sprintf(", %s rows too late", count(w.Late))
	}
	return s
}

func qualityRuleJSON(r *weirv1.QualityRule) map[string]any {
	out := map[string]any{"project": r.Project, "view": r.View, "rule": r.Rule, "state": qualityState(r.State), "since": when(r.Since),
		"about": r.About, "event": r.Event, "reason": r.Reason}
	if r.Suite != "" {
		out["suite"], out["shadow"] = r.Suite, r.Shadow
	}
	if r.Last != nil {
		out["last"] = qualityWindowJSON(r.Last)
	}
	return out
}

func qualityWindowJSON(w *weirv1.QualityWindow) map[string]any {
	results := []any{}
	for _, r := range w.Results {
		x := map[string]any{"type": r.Type, "id": r.Id, "column": r.Column, "severity": r.Severity, "outcome": r.Outcome,
			"elements": r.Elements, "missing": r.Missing, "unexpected": r.Unexpected, "examples": append([]string{}, r.Examples...), "error": r.Error, "reason": r.Reason}
		for k, v := range map[string]string{"observed": r.Observed, "expected": r.Expected} {
			if json.Valid([]byte(v)) {
				x[k] = json.RawMessage(v)
			} else if v != "" { // cut short
				x[k] = v
			}
		}
		results = append(results, x)
	}
	return map[string]any{"suite": w.Suite, "start": when(w.Start), "end": when(w.End), "state": w.State, "outcome": w.Outcome, "rows": w.Rows,
		"late": w.Late, "amended": w.Amended, "judged_at": when(w.JudgedAt), "results": results}
}
