package drift

import (
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// scores is what is counted of judged predictions: every metric comes from it, and two of them add up.
type scores struct {
	Predictions int64 `json:"predictions"`
	Invalid     int64 `json:"invalid"` // of them, those that are none: null, no number, no probability
	Judged      int64 `json:"judged"`  // those with an outcome
	Right       int64 `json:"right"`   // of these, those that said what came
	Said        int64 `json:"said"`    // those that said the positive label
	Was         int64 `json:"was"`     // those that were positive
	Hits        int64 `json:"hits"`    // those that said so and were
	// Of each judged prediction: the logarithm's loss, the difference to what came, and its square.
	LogLoss  moments `json:"log_loss"`
	Absolute moments `json:"absolute"`
	Squared  moments `json:"squared"`
}

// logLossClip is how near to 0 and 1 probabilities are taken: a double's epsilon, as scikit-learn has it.
const logLossClip = 0x1p-52

// largestError keeps squares of errors, and their sums, fit for JSON.
const largestError = 1e150

// probability adds a prediction of a probability, and whether the positive label came.
func (s *scores) probability(p, threshold float64, positive bool) {
	s.label(p >= threshold == positive, p >= threshold, positive)
	q, y := p, 1.0 // of what came
	if !positive {
		q, y = 1-p, 0
	}
	s.LogLoss.add(-math.Log(min(max(q, logLossClip), 1-logLossClip)))
	s.Squared.add((p - y) * (p - y))
}

// label adds a prediction of a label.
func (s *scores) label(right, said, was bool) {
	s.Judged++
	for _, x := range []struct {
		is bool
		n  *int64
	}{{right, &s.Right}, {said, &s.Said}, {was, &s.Was}, {said && was, &s.Hits}} {
		if x.is {
			*x.n++
		}
	}
}

// number adds a prediction of a number.
func (s *scores) number(p, y float64) {
	s.Judged++
	by := min(math.Abs(p-y), largestError)
	s.Absolute.add(by)
	s.Squared.add(by * by)
}

func (s *scores) merge(o *scores) {
	s.Predictions, s.Invalid, s.Judged = s.Predictions+o.Predictions, s.Invalid+o.Invalid, s.Judged+o.Judged
	s.Right, s.Said, s.Was, s.Hits = s.Right+o.Right, s.Said+o.Said, s.Was+o.Was, s.Hits+o.Hits
	s.LogLoss.merge(o.LogLoss)
	s.Absolute.merge(o.Absolute)
	s.Squared.merge(o.Squared)
}

// coverage is the share of the predictions that could be judged.
func (s *scores) coverage() float64 {
	if s.Predictions == 0 {
		return 0
	}
	return float64(s.Judged) / float64(s.Predictions)
}

// share is a metric that is one: so many of so many.
func (s *scores) share(metric string) (x, n float64) {
	switch metric {
	case feature.MetricPrecision:
		return float64(s.Hits), float64(s.Said)
	case feature.MetricRecall:
		return float64(s.Hits), float64(s.Was)
	}
	return float64(s.Right), float64(s.Judged)
}

// errors are the errors that a metric is the mean of; rmse is that mean's root.
func (s *scores) errors(metric string) *moments {
	switch metric {
	case feature.MetricLogLoss:
		return &s.LogLoss
	case feature.MetricMAE:
		return &s.Absolute
	}
	return &s.Squared
}

// value is a metric; ok is false where nothing is there that it is about.
func (s *scores) value(metric string) (v float64, ok bool) {
	if feature.IsShare(metric) {
		x, n := s.share(metric)
		return x / max(1, n), n > 0
	}
	e := s.errors(metric)
	v = e.Mean
	if metric == feature.MetricRMSE {
		v = math.Sqrt(v)
	}
	return v, e.N > 0
}

// moments are a mean and a variance, made one value at a time without loss of digits (Welford, Chan).
type moments struct {
	N    float64 `json:"n"`
	Mean float64 `json:"mean"`
	M2   float64 `json:"m2"` // sum of squared differences from the mean
}

func (m *moments) add(x float64) {
	m.N++
	d := x - m.Mean
	m.Mean += d / m.N
	m.M2 = clamp(m.M2 + d*(x-m.Mean))
}

func (m *moments) merge(o moments) {
	if o.N == 0 {
		return
	}
	n, d := m.N+o.N, o.Mean-m.Mean
	m.M2 = clamp(m.M2 + o.M2 + d*d*m.N*o.N/n)
	m.Mean += d * o.N / n
	m.N = n
}

// variance is the sample's; clamped values say nothing and have an infinite one.
func (m *moments) variance() float64 {
	switch {
	case m.N < 2:
		return 0
	case m.M2 >= 1e300:
		return math.Inf(1)
	}
	return m.M2 / (m.N - 1)
}
