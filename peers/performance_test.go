//go:build peers

package peers

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmem "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// judgedModel has the predictions and outcomes of two hours in its tables.
type judgedModel struct {
	scores [2][]float64
	labels [2][]float64 // 1 and 0 where they are booleans
}

func (m *judgedModel) Scan(_ context.Context, v *feature.View, from, to int64, _ []string, fn func(*feature.Batch) error) error {
	b := &feature.Batch{View: v}
	rb := array.NewRecordBuilder(arrowmem.DefaultAllocator, v.Schema())
	for h := range m.scores {
		at := time.Unix(int64(h)*3600+60, 0).UnixMicro()
		if at < from || at >= to {
			continue
		}
		for i := range m.scores[h] {
			b.Offsets, b.EventTime, b.KnownTime = append(b.Offsets, int64(len(b.Offsets))), append(b.EventTime, at), append(b.KnownTime, at)
			rb.Field(0).(*array.StringBuilder).Append(fmt.Sprint(h, "-", i))
			x := m.scores[h][i]
			if v.Meta.Name == "outcomes" {
				x = m.labels[h][i]
			}
			switch f := rb.Field(1).(type) {
			case *array.Float64Builder:
				f.Append(x)
			case *array.BooleanBuilder:
				f.Append(x == 1)
			}
		}
	}
	b.Rows = rb.NewRecordBatch()
	return fn(b)
}

// TestScikitLearnAgrees judges random predictions as monitors do, and with scikit-learn's metrics and scipy's tests: the same
// values within 1e-9, against a reference and against a baseline.
func TestScikitLearnAgrees(t *testing.T) {
	py := startDrift(t)
	compared := 0
	for seed := range testseed.Each(t, 200) {
		r := rand.New(rand.NewPCG(seed, 11))
		kind, of, label := feature.Probability, feature.Float64, feature.Bool
		metrics := []string{"accuracy", "precision", "recall", "log_loss", "brier"}
		if r.IntN(3) == 0 {
			kind, label, metrics = feature.Number, feature.Float64, []string{"mae", "rmse"}
		}
		m := &judgedModel{}
		for h := range m.scores {
			spread, wrong := r.Float64()*4, r.Float64()*0.5
			for range 20 + r.IntN([]int{30, 1000}[r.IntN(2)]) {
				if kind == feature.Number {
					x := math.Exp(r.NormFloat64())
					m.scores[h], m.labels[h] = append(m.scores[h], x), append(m.labels[h], x+spread*r.NormFloat64())
					continue
				}
				p := 1 / (1 + math.Exp(-spread*r.NormFloat64()))
				switch r.IntN(20) { // the ends, where the logarithm is clipped, and the threshold
				case 0:
					p = float64(r.IntN(2))
				case 1:
					p = 0.5
				case 2:
					p = math.Pow(10, -5-15*r.Float64())
				}
				yes := 0.0
				if (p > 0.5) != (r.Float64() < wrong) {
					yes = 1
				}
				m.scores[h], m.labels[h] = append(m.scores[h], p), append(m.labels[h], yes)
			}
			m.scores[h], m.labels[h] = append(m.scores[h], 0.9, 0.1, 0.8), append(m.labels[h], 1, 0, 0) // of each something
		}
		q := map[string]any{"kind": kind, "scores": m.scores, "labels": m.labels}
		if kind == feature.Probability {
			labels := [2][]bool{}
			for h := range labels {
				for _, y := range m.labels[h] {
					labels[h] = append(labels[h], y == 1)
				}
			}
			q["labels"] = labels
		}
		var want map[string][4]any // of the reference, of the window, p against the reference, p against its value as a baseline
		py.ask(q, &want)

		keys := []feature.Field{{Name: "id", Type: feature.String}}
		v := &feature.View{Meta: feature.Meta{Project: "p", Name: "predictions"}, Keys: keys, Version: 1, Features: []feature.Field{{Name: "score", Type: of}}}
		o := &feature.View{Meta: feature.Meta{Project: "p", Name: "outcomes"}, Keys: keys, Version: 1, Features: []feature.Field{{Name: "y", Type: label}}}
		mon := &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "predictions", ViewOf: v, Version: 1, Window: feature.Window{Size: "1h"}, MinCount: 10,
			Reference: feature.Reference{From: time.Unix(0, 0), To: time.Unix(3600, 0)},
			Performance: &feature.Performance{Prediction: "score", Kind: kind, Metrics: metrics,
				Outcomes: feature.Outcomes{View: "outcomes", Label: "y", Within: feature.Duration(10 * time.Minute), ViewOf: o}}}
		for at := range 2 {
			if at == 1 {
				mon.Reference, mon.Performance.Baseline = feature.Reference{}, map[string]float64{}
				for _, metric := range metrics {
					mon.Performance.Baseline[metric] = want[metric][0].(float64)
				}
			}
			back, err := (&drift.Backtester{Store: memory.New(), History: m}).Run(context.Background(), mon, 3600e6, 7200e6)
			require.NoError(t, err)
			require.Len(t, back.Windows, 1)
			p := back.Windows[0].Verdict.Performance
			require.EqualValues(t, len(m.scores[1]), p.Outcomes)
			for _, x := range p.Metrics {
				w := want[x.Name]
				got := []float64{*x.Reference, *x.Value, *x.PValue}
				for i, y := range []any{w[0], w[1], w[2+at]} {
					require.True(t, numberAlike(y, got[i]), "seed %d, %s %d: want %v got %.17g", seed, x.Name, i, y, got[i])
					compared++
				}
			}
		}
	}
	t.Logf("%d numbers are the same", compared)
}
