package drift

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// churn draws predictions of a calibrated model, each with its outcome; worse is by how much outcomes
// turn from what was said.
func churn(r *rand.Rand, n int, worse float64) *scores {
	s := &scores{Predictions: int64(n)}
	for range n {
		p := 1 / (1 + math.Exp(-2.5*r.NormFloat64()-0.5))
		y := r.Float64() < p
		if r.Float64() < worse {
			y = !y
		}
		s.probability(p, 0.5, y)
	}
	return s
}

// prices are predictions of numbers whose errors have a heavy tail.
func prices(r *rand.Rand, n int, worse float64) *scores {
	s := &scores{Predictions: int64(n)}
	for range n {
		s.number((1+worse)*math.Exp(1.2*r.NormFloat64())*r.NormFloat64(), 0)
	}
	return s
}

func churnMonitor() *feature.Monitor {
	m := predicting(feature.Probability, feature.Float64, feature.Bool)
	m.Performance.Metrics = []string{"accuracy", "log_loss", "brier", "precision", "recall"}
	return m
}

func priceMonitor() *feature.Monitor {
	m := predicting(feature.Number, feature.Float64, feature.Float64)
	m.Performance.Metrics = []string{"mae", "rmse"}
	return m
}

// TestPerformanceFalseAlarms: where the model is as good as in the reference, windows are called worse at the stated rate
// or less, whatever their size: by significance alone as well, before any effect is looked at.
func TestPerformanceFalseAlarms(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): a thousand windows of each size")
	}
	const windows = 1000
	for name, c := range map[string]struct {
		m    *feature.Monitor
		draw func(*rand.Rand, int, float64) *scores
	}{"probability": {churnMonitor(), churn}, "number": {priceMonitor(), prices}} {
		r := rand.New(rand.NewPCG(20260103, 1))
		m := c.m
		m.MinCount = 50
		m = m.WithDefaults()
		most := windows*m.Alpha + 3*math.Sqrt(windows*m.Alpha*(1-m.Alpha))
		ref := &standard{Whole: c.draw(r, 20000, 0)}
		for _, n := range []int{100, 500, 5000} {
			alarms, significant := 0, 0
			for range windows {
				v := judgePerformance(m, ref, c.draw(r, n, 0))
				if v.Outcome == Drifted {
					alarms++
				}
				least := 1.0
				for _, x := range v.Performance.Metrics {
					if x.Adjusted != nil {
						least = min(least, *x.Adjusted)
					}
				}
				if least <= m.Alpha {
					significant++
				}
			}
			t.Logf("%s: %d windows of %d predictions: %d alarms, %d significant, at most %.1f", name, windows, n, alarms, significant, most)
			require.LessOrEqual(t, float64(significant), most)
			require.LessOrEqual(t, float64(alarms), most)
		}
	}
}

// TestPerformancePower: an accuracy that has fallen by 0.05, and errors that are larger by a fifth, are found at 5,000 predictions.
func TestPerformancePower(t *testing.T) {
	const windows = 60
	for name, c := range map[string]struct {
		m      *feature.Monitor
		draw   func(*rand.Rand, int, float64) *scores
		worse  float64
		metric string
	}{"probability": {churnMonitor(), churn, 0.08, "accuracy"}, "number": {priceMonitor(), prices, 0.2, "mae"}} {
		r := rand.New(rand.NewPCG(20260103, 2))
		m := c.m.WithDefaults()
		ref, found, better := &standard{Whole: c.draw(r, 20000, 0)}, 0, 0
		fell := 0.0
		for range windows {
			x := judgePerformance(m, ref, c.draw(r, 5000, c.worse)).Performance.Metrics[0]
			require.Equal(t, c.metric, x.Name)
			fell += x.Worse / windows
			found += b2i(x.Drifted)
			better += b2i(judgePerformance(m, ref, c.draw(r, 5000, -0.3)).Outcome == Drifted)
		}
		t.Logf("%s: %s worse by %.3f in the mean, found in %d of %d windows of 5000 predictions", name, c.metric, fell, found, windows)
		require.GreaterOrEqual(t, found, windows*95/100)
		if name == "number" {
			require.Zero(t, better, "what has become better is no drift")
		}
	}
}

// TestPerformanceOutcomes: what is too little says nothing, and each metric says why.
func TestPerformanceOutcomes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	m := churnMonitor().WithDefaults()
	ref := &standard{Whole: churn(r, 5000, 0)}
	outcome := func(ref *standard, s *scores) (Outcome, Outcome) {
		v := judgePerformance(m, ref, s)
		require.Empty(t, v.Features)
		require.NotNil(t, v.Features)
		return v.Outcome, v.Performance.Metrics[0].Outcome
	}
	check := func(want, metric Outcome, ref *standard, s *scores) {
		t.Helper()
		got, first := outcome(ref, s)
		require.Equal(t, []Outcome{want, metric}, []Outcome{got, first})
	}
	check(Steady, Steady, ref, churn(r, 1000, 0))
	check(Drifted, Drifted, ref, churn(r, 1000, 0.5))
	check(Insufficient, Insufficient, ref, churn(r, 199, 0.5))
	check(Insufficient, Insufficient, ref, &scores{})
	check(Insufficient, NoReference, &standard{Whole: &scores{}}, churn(r, 1000, 0.5))
	check(Insufficient, NoReference, &standard{Whole: churn(r, 199, 0)}, churn(r, 1000, 0.5))
	few := churn(r, 1000, 0.5)
	few.Predictions = 2001 // most of them without an outcome
	check(Insufficient, Insufficient, ref, few)
	none := 0.0
	m.Performance.MinCoverage = &none
	check(Drifted, Drifted, ref, few)

	// A metric about nothing: nobody was said to leave.
	s := &scores{Predictions: 1000}
	for range 1000 {
		s.probability(0.1, 0.5, r.IntN(10) == 0)
	}
	v := judgePerformance(m, ref, s)
	require.Nil(t, v.Performance.Metrics[3].Value)
	require.Equal(t, Insufficient, v.Performance.Metrics[3].Outcome)
	require.Nil(t, v.Performance.Metrics[3].PValue)

	// Significance without size, and size without significance.
	large := churn(r, 400000, 0.01)
	big := &standard{Whole: churn(r, 400000, 0)}
	x := judgePerformance(m, big, large).Performance.Metrics[0]
	require.LessOrEqual(t, *x.Adjusted, m.Alpha)
	require.False(t, x.Drifted)
	m.MinCount = 10
	small := &scores{Predictions: 20}
	for i := range 20 {
		small.probability(0.9, 0.5, i < 15)
	}
	x = judgePerformance(m, ref, small).Performance.Metrics[0]
	require.Greater(t, x.Worse, x.Threshold)
	require.False(t, x.Drifted)
}

// TestPerformanceBaseline: values of training serve in the place of a reference.
func TestPerformanceBaseline(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	m := churnMonitor()
	whole := churn(r, 200000, 0)
	m.Performance.Metrics = nil
	m.Performance.Baseline = map[string]float64{}
	for _, metric := range []string{"accuracy", "log_loss"} {
		m.Performance.Baseline[metric], _ = whole.value(metric)
	}
	m = m.WithDefaults()
	alarms := 0
	for range 200 {
		alarms += b2i(judgePerformance(m, &standard{}, churn(r, 1000, 0)).Outcome == Drifted)
	}
	require.LessOrEqual(t, alarms, 6)
	v := judgePerformance(m, &standard{}, churn(r, 2000, 0.1))
	require.Equal(t, []string{"accuracy", "log_loss"}, v.Performance.Worse())
	require.Equal(t, "binomial", v.Performance.Metrics[0].Test)
	require.Equal(t, "t", v.Performance.Metrics[1].Test)
	require.Zero(t, v.Performance.RefOutcomes)
	n := priceMonitor()
	n.Performance.Baseline, n.Performance.Metrics = map[string]float64{"rmse": 1, "mae": 0.5}, nil
	n = n.WithDefaults()
	s := &scores{Predictions: 300}
	for i := range 300 {
		s.number(float64(i%2)*1.5, 0)
	}
	v = judgePerformance(n, &standard{}, s)
	require.Equal(t, []string{"mae"}, v.Performance.Worse(), "the mean error is 0.75, the root of its square 1.06")
	require.InDelta(t, 0.0607, v.Performance.Metrics[1].Worse, 1e-4)
}

// TestPerformanceOfReferencesWindows: where the reference's own days differ, days that differ are no drift, and the standard is stored with that.
func TestPerformanceOfReferencesWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	m := churnMonitor().WithDefaults()
	day := func(k int) *scores { return churn(r, 1000, 0.06+0.06*math.Sin(float64(k))) }
	whole, days := &scores{}, []*scores{}
	for k := range 24 {
		d := day(k)
		days = append(days, d)
		whole.merge(d)
	}
	text, err := newStandard(m, whole, days).encode()
	require.NoError(t, err)
	ref, err := decodeStandard(text)
	require.NoError(t, err)
	plain, alarms := &standard{Whole: whole}, 0
	for k := range 24 {
		d := day(k)
		require.Equal(t, Steady, judgePerformance(m, ref, d).Outcome, k)
		alarms += b2i(judgePerformance(m, plain, d).Outcome == Drifted)
	}
	require.Greater(t, alarms, 3)
	require.Equal(t, Drifted, judgePerformance(m, ref, churn(r, 1000, 0.4)).Outcome)
	require.Greater(t, ref.limit("accuracy", 250), ref.limit("accuracy", 1000), "small windows differ more")
	require.Empty(t, newStandard(m, whole, days[:5]).Spread, "too few to say")
	_, err = decodeStandard(text[:len(text)-1])
	require.Error(t, err)
	_, err = decodeStandard([]byte{1})
	require.Error(t, err)
}

// Events of performance are what the schema says, whatever was found, and say what was compared with.
func TestPerformanceEvents(t *testing.T) {
	s := dataSchema(t)
	r := rand.New(rand.NewPCG(10, 10))
	m := churnMonitor()
	m.Reference = feature.Reference{From: time.Unix(0, 0), To: time.Unix(7200, 0)}
	m.Retrain = feature.Retrain{Model: "churn"}
	w := &WindowRecord{Series: SeriesOf(m), Start: 3600e6, End: 7200e6, Rows: 1001}
	ref := &standard{Whole: churn(r, 5000, 0)}
	for _, cur := range []*scores{churn(r, 1000, 0.5), churn(r, 10, 0), {Predictions: 5, Invalid: 5}} {
		e, err := newEvent(m.WithDefaults(), w, judgePerformance(m.WithDefaults(), ref, cur), w.Start, DetectedType, beginning{}, time.Unix(1000, 0))
		require.NoError(t, err)
		_, d := checkEvent(t, s, e.Payload)
		require.Equal(t, cur.Judged, d.Performance.Outcomes)
		require.True(t, e.Retrain)
		require.NotNil(t, d.Reference.From)
	}
	m.Reference, m.Performance.Metrics, m.Performance.Baseline = feature.Reference{}, nil, map[string]float64{"recall": 0.9}
	e, err := newEvent(m.WithDefaults(), w, judgePerformance(m.WithDefaults(), &standard{}, churn(r, 1000, 0)), w.Start, ResolvedType, beginning{}, time.Unix(1000, 0))
	require.NoError(t, err)
	_, d := checkEvent(t, s, e.Payload)
	require.Equal(t, map[string]float64{"recall": 0.9}, d.Reference.Baseline)
	require.Nil(t, d.Reference.From)
}
