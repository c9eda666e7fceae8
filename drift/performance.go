package drift

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/weir-ml/weir/drift/stats"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Performance is how good a model was in a window: its predictions against their outcomes.
type Performance struct {
	Predictions int64 `json:"predictions"`
	Outcomes    int64 `json:"outcomes"`          // predictions that have one and were judged by it
	Invalid     int64 `json:"invalid,omitempty"` // predictions that are none: null, no number, no probability
	// Coverage is Outcomes as a share of Predictions.
	Coverage    float64    `json:"coverage"`
	RefOutcomes int64      `json:"reference_outcomes,omitempty"` // 0 where the monitor has a baseline
	Metrics     []Measured `json:"metrics"`                      // in the monitor's order
}

// Measured is one metric of a window, against the reference's.
type Measured struct {
	Name      string   `json:"name"`
	Outcome   Outcome  `json:"outcome"`
	Value     *float64 `json:"value,omitempty"`     // nil where nothing is there that it is about
	Reference *float64 `json:"reference,omitempty"` // the reference's, or the baseline
	// Test says whether it is worse than by chance, one-sided: proportions or welch against a
	// reference, binomial or t against a baseline; empty where it was not tested.
	Test     string   `json:"test,omitempty"`
	PValue   *float64 `json:"p_value,omitempty"`
	Adjusted *float64 `json:"adjusted_p_value,omitempty"` // after Benjamini and Hochberg over the metrics
	// Effect is drop, a difference of shares, or rise, by what part an error has grown; Worse
	// is how large it is, negative where the window is better.
	Effect    string  `json:"effect,omitempty"`
	Worse     float64 `json:"worse"`
	Threshold float64 `json:"threshold"` // what Worse must reach
	Drifted   bool    `json:"drifted"`
}

// Worse are the names of the metrics that have become worse.
func (p *Performance) Worse() (names []string) {
	if p == nil {
		return nil
	}
	for i := range p.Metrics {
		if p.Metrics[i].Drifted {
			names = append(names, p.Metrics[i].Name)
		}
	}
	return names
}

// What a metric's Worse is.
const (
	effectDrop = "drop"
	effectRise = "rise"
)

// standard is what windows' performance is compared with: scores of a range of time and what its own windows
// show, or, where Whole is nil, the monitor's baseline.
type standard struct {
	Whole  *scores           `json:"whole"`
	Spread map[string]spread `json:"spread,omitempty"` // by metric
}

// newStandard finds how far windows of a reference are from all of it.
func newStandard(m *feature.Monitor, whole *scores, windows []*scores) *standard {
	out := &standard{Whole: whole}
	for _, metric := range m.Performance.Metrics {
		var found []float64
		var counts []int64
		for _, w := range windows {
			x, ok := w.value(metric)
			if !ok || w.Judged < chunkValues {
				continue
			}
			ref, _ := whole.value(metric)
			// The window is a part of the whole: from the rest it differs by more than from the whole.
			rest := 1 - min(0.5, float64(w.Judged)/float64(max(1, whole.Judged)))
			found = append(found, worse(metric, ref, x)/rest)
			counts = append(counts, w.Judged)
		}
		if len(found) < fewChunks {
			continue
		}
		slices.Sort(counts)
		if out.Spread == nil {
			out.Spread = map[string]spread{}
		}
		out.Spread[metric] = spread{Limit: clamp(max(0, upper(found))), Count: counts[len(counts)/2]}
	}
	return out
}

// limit is how much worse a window of so many judged predictions becomes as the reference's own do.
func (s *standard) limit(metric string, judged int64) float64 {
	x, ok := s.Spread[metric]
	if !ok {
		return 0
	}
	if judged < x.Count { // it has more noise than they
		return x.Limit * math.Sqrt(float64(x.Count)/float64(max(1, judged)))
	}
	return x.Limit
}

// worse is how much worse a value is than a reference.
func worse(metric string, ref, v float64) float64 {
	switch {
	case feature.IsShare(metric):
		return ref - v
	case v == ref:
		return 0
	}
	return clamp(v/ref - 1)
}

// judgePerformance compares a window's scores with the standard, metric by metric: the model has become worse
// by a metric where that is significant and large enough, as with values that drift.
func judgePerformance(m *feature.Monitor, ref *standard, cur *scores) *Verdict {
	p := m.Performance
	out := &Performance{Predictions: cur.Predictions, Outcomes: cur.Judged, Invalid: cur.Invalid, Coverage: cur.coverage()}
	enough := cur.Judged >= m.MinCount && out.Coverage >= *p.MinCoverage
	known := true
	if ref.Whole != nil {
		out.RefOutcomes = ref.Whole.Judged
		known = ref.Whole.Judged >= m.MinCount
	}
	v := &Verdict{Outcome: Insufficient, Alpha: m.Alpha, Features: []Result{}, Performance: out}
	var at []int
	var ps []float64
	for _, metric := range p.Metrics {
		x := Measured{Name: metric, Outcome: Insufficient}
		value, some := cur.value(metric)
		base, has := p.Baseline[metric], true
		if ref.Whole != nil {
			base, has = ref.Whole.value(metric)
		}
		if some {
			x.Value = &value
		}
		if has {
			x.Reference = &base
		}
		if some && has {
			x.Effect, x.Threshold = effectRise, max(p.Rise, ref.limit(metric, cur.Judged))
			if feature.IsShare(metric) {
				x.Effect, x.Threshold = effectDrop, max(p.Drop, ref.limit(metric, cur.Judged))
			}
			x.Worse = worse(metric, base, value)
			if enough && known {
				test := x.test(ref.Whole, cur, base)
				x.Outcome, x.PValue = Steady, &test.P
				at, ps = append(at, len(out.Metrics)), append(ps, test.P)
			}
		}
		if !known || !has {
			x.Outcome = NoReference
		}
		out.Metrics = append(out.Metrics, x)
	}
	significant := 0
	for i, adjusted := range stats.BenjaminiHochberg(ps) {
		x := &out.Metrics[at[i]]
		x.Adjusted = &adjusted
		if v.Outcome == Insufficient {
			v.Outcome = Steady
		}
		if adjusted <= m.Alpha {
			significant++
			if x.Worse >= x.Threshold {
				x.Drifted, x.Outcome, v.Outcome = true, Drifted, Drifted
			}
		}
	}
	v.Alpha = m.Alpha * float64(max(1, significant)) / float64(max(1, len(ps)))
	return v
}

// test is whether the metric is worse than by chance; it keeps the test's name.
func (x *Measured) test(ref, cur *scores, baseline float64) stats.Test {
	if feature.IsShare(x.Name) {
		y, m := cur.share(x.Name)
		if ref == nil {
			x.Test = "binomial"
			return stats.FewerThan(y, m, baseline)
		}
		x.Test = "proportions"
		of, n := ref.share(x.Name)
		return stats.Fewer(of, n, y, m)
	}
	e := cur.errors(x.Name)
	mean := stats.Mean{N: e.N, Mean: e.Mean, Variance: e.variance()}
	if ref == nil {
		x.Test = "t"
		if x.Name == feature.MetricRMSE {
			baseline *= baseline
		}
		return stats.GreaterThan(mean, baseline)
	}
	x.Test = "welch"
	r := ref.errors(x.Name)
	return stats.Greater(stats.Mean{N: r.N, Mean: r.Mean, Variance: r.variance()}, mean)
}

// standardFormat is the first byte of an encoded standard; profiles and baselines have others.
const standardFormat = 3

func (s *standard) encode() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "drift.encode", "performance", "%w", err)
	}
	return append([]byte{standardFormat}, b...), nil
}

func decodeStandard(b []byte) (*standard, error) {
	s := &standard{}
	if len(b) == 0 || b[0] != standardFormat {
		return nil, feature.Errorf(feature.Internal, "drift.decode", "performance", "not the performance of a reference")
	}
	if err := json.Unmarshal(b[1:], s); err != nil || s.Whole == nil {
		return nil, feature.Errorf(feature.Internal, "drift.decode", "performance", "not the performance of a reference: %v", err)
	}
	return s, nil
}

// chunkWindows are windows of a range of time that tell how far its windows lie from all of it, by start.
func chunkWindows(size window.Size, from, to int64) map[int64]*scores {
	out := map[int64]*scores{}
	for k := range int64(mostChunks) {
		if w := size.Of(from + (to-from)/mostChunks*k); w.Start >= from && w.End <= to {
			out[w.Start] = &scores{}
		}
	}
	if len(out) < fewChunks {
		clear(out)
	}
	return out
}
