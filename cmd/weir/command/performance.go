package command

import (
	"fmt"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// performanceTable shows how good a model was in each window.
func (e *env) performanceTable(windows []*weirv1.WindowResult) {
	head, first := []any{"window", "predictions", "", "outcomes"}, true
	var rows [][]any
	for _, w := range windows {
		row := []any{when(w.Start), count(w.Rows), monitored(w), ""}
		if p := w.Performance; p != nil {
			row[1], row[3] = count(p.Predictions), fmt.Sprintf("%.1f %%", 100*p.Coverage)
			for _, m := range p.Metrics {
				if first {
					head = append(head, m.Metric)
				}
				row = append(row, metricText(m))
			}
			first = false
		}
		rows = append(rows, row)
	}
	t := newTable(e.out, head...)
	for _, row := range rows {
		t.AppendRow(row)
	}
	t.Render()
}

// monitored is how a window of a monitor stands.
func monitored(w *weirv1.WindowResult) string {
	state := "ok"
	if w.Drifted {
		state = "DRIFT"
	}
	switch {
	case w.Open && w.JudgedAt != 0: // late rows may amend it
		state += ", still open"
	case w.Open:
		state = "open"
	}
	return state
}

// metricText is a metric of a window, and where it has become worse, from what.
func metricText(m *weirv1.MetricResult) string {
	if m.Value == nil {
		return ""
	}
	s := number(*m.Value)
	switch {
	case m.Drifted:
		s += fmt.Sprintf(" was %s (p %s, %s %s of %s)", number(*m.Reference), number(*m.AdjustedPValue), m.Effect, number(m.Worse), number(m.Threshold))
	case m.Skipped != "":
		s += " (" + m.Skipped + ")"
	}
	return s
}

func performanceJSON(p *weirv1.PerformanceResult) map[string]any {
	metrics := []any{}
	for _, m := range p.Metrics {
		x := map[string]any{"metric": m.Metric, "worse": m.Worse, "effect": m.Effect, "threshold": m.Threshold, "drifted": m.Drifted, "test": m.Test, "skipped": m.Skipped}
		for name, v := range map[string]*float64{"value": m.Value, "reference": m.Reference, "p_value": m.PValue, "adjusted_p_value": m.AdjustedPValue} {
			if v != nil {
				x[name] = *v
			}
		}
		metrics = append(metrics, x)
	}
	return map[string]any{"predictions": p.Predictions, "outcomes": p.Outcomes, "invalid": p.Invalid, "coverage": p.Coverage,
		"reference_outcomes": p.ReferenceOutcomes, "metrics": metrics}
}
