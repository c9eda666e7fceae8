package api

import (
	"github.com/weir-ml/weir/drift"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// performance is how good a model was, in the words of the wire.
func performance(p *drift.Performance) *weirv1.PerformanceResult {
	out := &weirv1.PerformanceResult{Predictions: p.Predictions, Outcomes: p.Outcomes, Invalid: p.Invalid, Coverage: p.Coverage, ReferenceOutcomes: p.RefOutcomes}
	for _, x := range p.Metrics {
		m := &weirv1.MetricResult{Metric: x.Name, Value: x.Value, Reference: x.Reference, Test: x.Test, PValue: x.PValue, AdjustedPValue: x.Adjusted,
			Effect: x.Effect, Worse: x.Worse, Threshold: x.Threshold, Drifted: x.Drifted}
		if x.Outcome != drift.Steady && x.Outcome != drift.Drifted {
			m.Skipped = string(x.Outcome)
		}
		out.Metrics = append(out.Metrics, m)
	}
	return out
}
