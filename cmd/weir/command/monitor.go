package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func (e *env) monitor() *cobra.Command {
	c := &cobra.Command{Use: "monitor", Short: "What the drift monitors have found"}
	var limit int32
	list := &cobra.Command{
		Use: "list", Short: "List monitors with their state", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.monitors.List(ctx, &weirv1.ListMonitorsRequest{Project: c.project})
				if err != nil {
					return err
				}
				if e.output == "json" {
					out := []any{}
					for _, m := range r.Monitors {
						out = append(out, monitorJSON(m))
					}
					return printJSON(e.out, out)
				}
				t := newTable(e.out, "monitor", "view", "state", "since", "windows", "reference")
				for _, m := range r.Monitors {
					t.AppendRow([]any{m.Project + "/" + m.Name, m.View, stateName(m.State), when(m.Since), m.Windows, m.Reference})
				}
				t.Render()
				return nil
			})
		},
	}
	show := &cobra.Command{
		Use: "show NAME", Short: "Show the windows of a monitor; exit code 1 when it has drifted", Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.monitors.Show(ctx, &weirv1.ShowMonitorRequest{Project: c.project, Name: args[0], Limit: limit})
				if err != nil {
					return err
				}
				return e.showMonitor(r.Monitor, r.Windows)
			})
		},
	}
	show.Flags().Int32Var(&limit, "limit", 20, "newest this many windows, 2000 at most")
	var from, to string
	run := &cobra.Command{
		Use: "run NAME", Short: "Close the open windows of a monitor now and judge them; with --from, judge history and change nothing", Args: exactly(1, "NAME"),
		Example: "  weir monitor run churn_drift\n  weir monitor run churn_drift --from 2026-01-01 --to 2026-07-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &weirv1.RunMonitorRequest{Name: args[0], History: from != "" || to != ""}
			if to != "" && from == "" {
				return feature.Errorf(feature.Invalid, "monitor.run", "--to", "needs --from").WithHint("--from is where history begins")
			}
			for _, x := range []struct {
				flag, text string
				at         *int64
			}{{"--from", from, &req.From}, {"--to", to, &req.To}} {
				if x.text == "" {
					continue
				}
				var ok bool
				if *x.at, ok = tabular.ParseTime([]byte(x.text)); !ok {
					return feature.Errorf(feature.Invalid, "monitor.run", x.flag+" "+x.text, "not a time").WithHint("use 2026-01-31 or 2026-01-31T12:00:00Z")
				}
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := c.monitors.Run(ctx, req)
				if err != nil {
					return err
				}
				if req.History {
					return e.showBacktest(r)
				}
				return e.showMonitor(r.Monitor, r.Windows)
			})
		},
	}
	run.Flags().StringVar(&from, "from", "", "judge the table's rows from this event time on, as if they came now: when would it have fired?")
	run.Flags().StringVar(&to, "to", "", "up to this event time (now)")
	c.AddCommand(list, show, run, e.monitorProfile())
	return c
}

func stateName(s weirv1.MonitorState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "MONITOR_STATE_"))
}

func monitorJSON(m *weirv1.MonitorSummary) map[string]any {
	return map[string]any{"project": m.Project, "name": m.Name, "view": m.View, "state": stateName(m.State),
		"since": when(m.Since), "windows": m.Windows, "reference": m.Reference, "false_alarms_a_year": m.FalseAlarms, "windows_a_year": m.WindowsAYear}
}

func windowJSON(w *weirv1.WindowResult) map[string]any {
	fs := []any{}
	for _, f := range w.Features {
		tests := []any{}
		for _, x := range f.Tests {
			t := map[string]any{"test": x.Test, "statistic": x.Statistic, "threshold": x.Threshold, "exceeded": x.Exceeded}
			if x.PValue != nil {
				t["p_value"] = *x.PValue
			}
			if x.Check != "" {
				t["check"], t["effect"], t["value"] = x.Check, x.Effect, x.Statistic
				delete(t, "statistic")
			}
			if x.AdjustedPValue != nil {
				t["adjusted_p_value"] = *x.AdjustedPValue
			}
			if x.TestStatistic != nil {
				t["statistic"] = *x.TestStatistic
			}
			tests = append(tests, t)
		}
		fs = append(fs, map[string]any{"feature": f.Feature, "drifted": f.Drifted, "skipped": f.Skipped, "count": f.Count,
			"nulls": f.Nulls, "reference_count": f.ReferenceCount, "tests": tests})
	}
	out := map[string]any{"start": when(w.Start), "end": when(w.End), "rows": w.Rows, "drifted": w.Drifted, "open": w.Open, "features": fs,
		"snapshot": w.Snapshot, "model": w.Model, "model_version": w.ModelVersion}
	if w.Performance != nil {
		out["performance"] = performanceJSON(w.Performance)
	}
	return out
}

func testsText(ts []*weirv1.TestResult) string {
	var out []string
	for _, t := range ts {
		if t.Check != "" {
			if t.Exceeded {
				out = append(out, fmt.Sprintf("%s (%s p %s, %s %s of %s)", t.Check, t.Test, number(*t.PValue), t.Effect, number(t.Statistic), number(t.Threshold)))
			}
			continue
		}
		s := t.Test + " " + number(t.Statistic)
		if t.PValue != nil {
			s += fmt.Sprintf(" (p %s)", number(*t.PValue))
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (e *env) showMonitor(m *weirv1.MonitorSummary, windows []*weirv1.WindowResult) error {
	drifted := m.State == weirv1.MonitorState_MONITOR_STATE_DRIFTED
	if e.output == "json" {
		ws := []any{}
		for _, w := range windows {
			ws = append(ws, windowJSON(w))
		}
		j := monitorJSON(m)
		j["results"] = ws
		if err := printJSON(e.out, j); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.out, "%s/%s watches %s against %s: %s\n%s\n\n", m.Project, m.Name, m.View, m.Reference, stateName(m.State), m.Promise)
		e.windowTable(windows)
	}
	if drifted {
		return errNo
	}
	return nil
}

// uneven reports whether the starts of windows, the newest first, do not tell which times they are: they overlap, or are not all as long.
func uneven(windows []*weirv1.WindowResult) bool {
	for i, w := range windows {
		if i > 0 && (w.End > windows[i-1].Start || w.End-w.Start != windows[0].End-windows[0].Start) {
			return true
		}
	}
	return false
}

func (e *env) windowTable(windows []*weirv1.WindowResult) {
	if slices.ContainsFunc(windows, func(w *weirv1.WindowResult) bool { return w.Performance != nil }) {
		e.performanceTable(windows)
		return
	}
	head := []any{"window", "rows", "", "drifted features"}
	ends := uneven(windows)
	if ends {
		head = slices.Insert(head, 1, any("until"))
	}
	follows := slices.ContainsFunc(windows, func(w *weirv1.WindowResult) bool { return w.Model != "" })
	if follows {
		head = append(head, "compared with")
	}
	t := newTable(e.out, head...)
	for _, w := range windows {
		var fs []string
		for _, f := range w.Features {
			if f.Drifted {
				fs = append(fs, f.Feature+": "+testsText(f.Tests))
			}
		}
		row := []any{when(w.Start), count(w.Rows), monitored(w), strings.Join(fs, "\n")}
		if ends {
			row = slices.Insert(row, 1, any(when(w.End)))
		}
		if follows {
			against := w.Snapshot
			if w.Model != "" {
				against = w.Model + "@" + w.ModelVersion
			}
			row = append(row, against)
		}
		t.AppendRow(row)
	}
	t.Render()
}
