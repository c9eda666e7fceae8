package drift

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// event is a row of a prediction or an outcome; val nil is null.
type event struct {
	id      string
	val     any // float64, bool or string
	stamp   feature.Stamp
	deleted bool
}

// tables are the rows of views, by name.
type tables map[string][]event

func (t tables) Scan(_ context.Context, v *feature.View, from, to int64, columns []string, fn func(*feature.Batch) error) error {
	rows := t[v.Meta.Name]
	at := v.Feature(columns[0])
	for len(rows) > 0 {
		n := min(len(rows), 7)
		b := &feature.Batch{View: v, Tombstone: make([]bool, 0, n)}
		rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
		for _, e := range rows[:n] {
			if e.stamp.Event < from || e.stamp.Event >= to {
				continue
			}
			b.Origin.Partition = 0
			b.Offsets = append(b.Offsets, e.stamp.Offset)
			b.EventTime, b.KnownTime = append(b.EventTime, e.stamp.Event), append(b.KnownTime, e.stamp.Known)
			b.Tombstone = append(b.Tombstone, e.deleted)
			rb.Field(0).(*array.StringBuilder).Append(e.id)
			for i := range v.Features {
				f := rb.Field(1 + i)
				switch x := e.val.(type) {
				case float64:
					if fb, ok := f.(*array.Float64Builder); ok && i == at {
						fb.Append(x)
						continue
					}
				case bool:
					if fb, ok := f.(*array.BooleanBuilder); ok && i == at {
						fb.Append(x)
						continue
					}
				case string:
					if fb, ok := f.(*array.StringBuilder); ok && i == at {
						fb.Append(x)
						continue
					}
				}
				f.AppendNull()
			}
		}
		rows = rows[n:]
		b.Rows = rb.NewRecordBatch()
		if b.Len() == 0 {
			continue
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

const anHour = int64(time.Hour / time.Microsecond)

// predicting is a monitor of predictions of a type and outcomes of a type, in windows of an hour; outcomes are waited for for two.
func predicting(kind feature.PredictionKind, of, label feature.Type) *feature.Monitor {
	keys := []feature.Field{{Name: "id", Type: feature.String}}
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "predictions"}, Keys: keys, Version: 1, Features: []feature.Field{{Name: "other", Type: feature.String}, {Name: "score", Type: of}}}
	o := &feature.View{Meta: feature.Meta{Project: "p", Name: "outcomes"}, Keys: keys, Version: 1, Features: []feature.Field{{Name: "y", Type: label}}}
	return &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "predictions", ViewOf: v, Version: 1, Window: feature.Window{Size: "1h"},
		Performance: &feature.Performance{Prediction: "score", Kind: kind, Outcomes: feature.Outcomes{View: "outcomes", Label: "y", Within: feature.Duration(2 * time.Hour), ViewOf: o}}}
}

// someEvents are predictions and outcomes over a day with all that goes wrong: doubled, corrected, deleted, late, too late,
// too early, missing, null, out of range.
func someEvents(r *rand.Rand, n, ids int, score, label func() any) tables {
	offset := int64(0)
	row := func(id string, at int64, val any, deleted bool) event {
		offset++
		known := at + r.Int64N(anHour) - anHour/4
		return event{id, val, feature.Stamp{Event: at, Known: known, Offset: offset}, deleted}
	}
	t := tables{}
	for i := range n {
		id := fmt.Sprint("k", i%ids)
		at := r.Int64N(24 * anHour)
		add := func(view string, e event) { t[view] = append(t[view], e) }
		add("predictions", row(id, at, score(), false))
		for r.IntN(4) == 0 { // again, within the hour or in another one
			add("predictions", row(id, at+r.Int64N(2*anHour)-anHour, score(), r.IntN(4) == 0))
		}
		if r.IntN(50) == 0 {
			add("predictions", row(id, at, nil, false))
		}
		for k := r.IntN(4); k > 0; k-- {
			add("outcomes", row(id, at+r.Int64N(6*anHour)-3*anHour, label(), r.IntN(6) == 0))
		}
		if r.IntN(20) == 0 { // at the very edge, and beyond it
			add("outcomes", row(id, at+2*anHour+r.Int64N(3)-1, label(), false))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		rows := t[name]
		r.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
	}
	return t
}

// naive is the plain way: of every id and window the last row, of the outcomes in time the last.
func naive(m *feature.Monitor, t tables, w window.Window) (n, invalid int, pairs [][2]any) {
	last := func(rows []event, keep func(*event) bool) *event {
		var found *event
		for i := range rows {
			if keep(&rows[i]) && (found == nil || found.stamp.Compare(rows[i].stamp) < 0) {
				found = &rows[i]
			}
		}
		return found
	}
	ids, byID := map[string]bool{}, map[string][2][]event{}
	for k, name := range []string{"predictions", "outcomes"} {
		for _, e := range t[name] {
			x := byID[e.id]
			x[k] = append(x[k], e)
			byID[e.id] = x
			ids[e.id] = true
		}
	}
	within := m.Performance.Outcomes.Within.Micros()
	for id := range ids {
		p := last(byID[id][0], func(e *event) bool { return w.Contains(e.stamp.Event) })
		if p == nil || p.deleted {
			continue
		}
		n++
		if x, ok := p.val.(float64); p.val == nil || ok && m.Performance.Kind == feature.Probability && (x < 0 || x > 1) {
			invalid++
			continue
		}
		o := last(byID[id][1], func(e *event) bool {
			return e.stamp.Event >= p.stamp.Event-within && e.stamp.Event <= p.stamp.Event+within
		})
		switch {
		case (o == nil || o.deleted) && m.Performance.Outcomes.Absent != "":
			pairs = append(pairs, [2]any{p.val, m.Performance.Outcomes.Absent == "true"})
		case o != nil && !o.deleted && o.val != nil:
			pairs = append(pairs, [2]any{p.val, o.val})
		}
	}
	return n, invalid, pairs
}

// metricsOf computes every metric from pairs, the plain way.
func metricsOf(kind feature.PredictionKind, positive any, pairs [][2]any) map[string]float64 {
	out, n := map[string]float64{"mae": 0, "rmse": 0}, float64(len(pairs))
	if kind != feature.Number {
		out = map[string]float64{"accuracy": 0, "log_loss": 0, "brier": 0}
	}
	if kind == feature.Label {
		out = map[string]float64{"accuracy": 0}
	}
	if len(pairs) == 0 {
		for k := range out {
			out[k] = math.NaN()
		}
	}
	var said, was, hits float64
	for _, p := range pairs {
		if kind == feature.Number {
			by := p[0].(float64) - p[1].(float64)
			out["mae"] += math.Abs(by) / n
			out["rmse"] += by * by / n
			continue
		}
		var yes, right bool
		if kind == feature.Probability {
			x, y := p[0].(float64), 0.0
			yes = x >= 0.5
			right = yes == (p[1] == positive)
			of := 1 - x
			if p[1] == positive {
				of, y = x, 1
			}
			out["log_loss"] -= math.Log(math.Min(math.Max(of, 0x1p-52), 1-0x1p-52)) / n
			out["brier"] += (x - y) * (x - y) / n
		} else {
			yes, right = p[0] == positive, p[0] == p[1]
		}
		if right {
			out["accuracy"] += 1 / n
		}
		if yes {
			said++
		}
		if p[1] == positive {
			was++
			if yes {
				hits++
			}
		}
	}
	if kind == feature.Number {
		out["rmse"] = math.Sqrt(out["rmse"])
		return out
	}
	out["precision"], out["recall"] = hits/said, hits/was
	return out
}

// TestPerformanceAgainstNaive: on random streams, of many keys and of few that are in many windows, every metric of every window is what the plain way gives, window
// by window, all at once, and by way of a file where the predictions do not fit.
func TestPerformanceAgainstNaive(t *testing.T) {
	yes := func(r *rand.Rand, one, other any) func() any {
		return func() any {
			switch r.IntN(9) {
			case 0:
				return nil
			case 1, 2, 3:
				return one
			}
			return other
		}
	}
	compared := 0
	for seed := range testseed.Each(t, 60) {
		r := rand.New(rand.NewPCG(seed, 3))
		var m *feature.Monitor
		var in tables
		var positive any
		n := 50 + r.IntN(300)
		ids := n
		if r.IntN(3) == 0 {
			ids = 1 + r.IntN(10) // few, each in many windows
		}
		switch seed % 4 {
		case 0, 1:
			m, positive = predicting(feature.Probability, feature.Float64, feature.Bool), true
			if seed%4 == 1 {
				m.Performance.Outcomes.Absent = []string{"true", "false"}[r.IntN(2)]
			}
			score := func() any {
				switch r.IntN(12) {
				case 0:
					return float64(r.IntN(2))
				case 1:
					return 1.5 - 3*float64(r.IntN(2))
				case 2:
					return nil
				case 3:
					return 0.5
				}
				return r.Float64()
			}
			in = someEvents(r, n, ids, score, yes(r, true, false))
		case 2:
			m, positive = predicting(feature.Label, feature.String, feature.String), "stays"
			m.Performance.Positive = "stays"
			in = someEvents(r, n, ids, yes(r, "stays", "leaves"), yes(r, "leaves", "stays"))
		case 3:
			m = predicting(feature.Number, feature.Float64, feature.Float64)
			any := func() any { return math.Round(r.NormFloat64()*1e4) / 10 }
			in = someEvents(r, n, ids, any, any)
		}
		if r.IntN(3) == 0 {
			m.Performance.Outcomes.Within = feature.Duration(r.Int64N(12*anHour) * 1000)
		}
		m = m.WithDefaults()
		j, err := newJoiner(m, in, t.TempDir())
		require.NoError(t, err)
		if r.IntN(2) == 0 {
			j.most = bytesOfRow * int64(1+r.IntN(n/10)) // in a file, and in several passes over a part of it
		}
		all := map[int64]*scores{}
		require.NoError(t, j.run(context.Background(), 0, 24*anHour, func(p *prediction) {
			if all[p.window] == nil {
				all[p.window] = &scores{}
			}
			j.count(all[p.window], p)
		}))
		for h := range int64(24) {
			w := window.Window{Start: h * anHour, End: (h + 1) * anHour}
			one := &scores{}
			require.NoError(t, j.run(context.Background(), w.Start, w.End, func(p *prediction) { j.count(one, p) }))
			count, invalid, pairs := naive(m, in, w)
			require.EqualValues(t, []int{count, invalid, len(pairs)}, []int{int(one.Predictions), int(one.Invalid), int(one.Judged)}, "seed %d, hour %d", seed, h)
			if count == 0 {
				require.Nil(t, all[w.Start])
				continue
			}
			for metric, want := range metricsOf(m.Performance.Kind, positive, pairs) {
				for _, s := range []*scores{one, all[w.Start]} {
					got, ok := s.value(metric)
					require.Equal(t, !math.IsNaN(want), ok, "seed %d, hour %d, %s", seed, h, metric)
					if ok {
						require.InDelta(t, want, got, 1e-9*max(1, math.Abs(want)), "seed %d, hour %d, %s", seed, h, metric)
						compared++
					}
				}
			}
		}
	}
	t.Logf("%d metrics of windows are the same", compared)
	require.Greater(t, compared, 1000)
}

// Variances are those of the values, also where windows are merged and where values are huge.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 5))
	for range 200 {
		var parts [3]moments
		var v []float64
		far := 1e9 * float64(r.IntN(2))
		for k := range parts {
			for range r.IntN(40) {
				x := far + r.NormFloat64()
				v = append(v, x)
				parts[k].add(x)
			}
		}
		all := parts[0]
		all.merge(parts[1])
		all.merge(parts[2])
		require.EqualValues(t, len(v), all.N)
		if len(v) < 2 {
			require.Zero(t, all.variance())
			continue
		}
		mean, sum := 0.0, 0.0
		for _, x := range v {
			mean += x / float64(len(v))
		}
		for _, x := range v {
			sum += (x - mean) * (x - mean)
		}
		require.InEpsilon(t, mean, all.Mean, 1e-9+math.Abs(1e-7*float64(b2i(far == 0))/mean))
		require.InEpsilon(t, sum/float64(len(v)-1), all.variance(), 1e-5)
	}
	s := &scores{}
	for range 5 {
		s.number(math.MaxFloat64, -math.MaxFloat64)
		s.number(0, 1)
	}
	for _, m := range []string{"mae", "rmse"} {
		v, ok := s.value(m)
		require.True(t, ok && !math.IsInf(v, 0) && !math.IsNaN(v))
	}
	require.True(t, math.IsInf(s.Squared.variance(), 1), "nothing is known of it")
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// countedScans counts how often each view's table is read.
type countedScans struct {
	tables
	of map[string]int
}

func (c countedScans) Scan(ctx context.Context, v *feature.View, from, to int64, columns []string, fn func(*feature.Batch) error) error {
	c.of[v.Meta.Name]++
	return c.tables.Scan(ctx, v, from, to, columns, fn)
}

// What is held at once is bounded, whatever there is to read, and each table is read once all the same; of the file nothing stays.
func TestJoinHoldsFew(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 6))
	m := predicting(feature.Number, feature.Float64, feature.Float64).WithDefaults()
	in := someEvents(r, 20_000, 20_000, func() any { return 1.0 }, func() any { return r.Float64() })
	type found struct {
		key    string
		window int64
		value  value
		label  value
		came   presence
	}
	join := func(most int64) (all map[found]int, j *joiner) {
		scans := countedScans{in, map[string]int{}}
		folder := t.TempDir()
		j, err := newJoiner(m, scans, folder)
		require.NoError(t, err)
		if most > 0 {
			j.most = most
		}
		all = map[found]int{}
		require.NoError(t, j.run(context.Background(), 0, 24*anHour, func(p *prediction) { all[found{p.key, p.window, p.value, p.label, p.came}]++ }))
		require.Equal(t, map[string]int{"predictions": 1, "outcomes": 1}, scans.of)
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, left)
		return all, j
	}
	whole, j := join(0)
	require.Greater(t, len(whole), 20_000)
	for _, rows := range []int64{1000, 100, 10} {
		most := rows * (bytesOfRow + 30)
		parts, k := join(most)
		require.Equal(t, whole, parts)
		require.LessOrEqual(t, k.held, max(2*most, j.held/(joinParts*mostPasses)*5), "hashes spread keys evenly")
	}

	_, err := newJoinFile("/dev/null/none")
	require.Equal(t, feature.Exhausted, feature.KindOf(err))
	require.ErrorContains(t, err, "do not fit in memory")
}

// A file that is cut short is noticed.
func TestJoinFileIsWhole(t *testing.T) {
	f, err := newJoinFile(t.TempDir())
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, f.predictions.add(3, fmt.Append(nil, i), &said{value: value{text: "yes"}, is: aValue}))
	}
	require.NoError(t, f.predictions.end())
	read := func() (n int, err error) {
		err = f.predictions.read(3, func(_ uint64, key []byte, x *said) error {
			require.Equal(t, fmt.Sprint(n), string(key))
			require.Equal(t, said{value: value{text: "yes"}, is: aValue}, *x)
			n++
			return nil
		})
		return n, err
	}
	n, err := read()
	require.NoError(t, err)
	require.Equal(t, 100, n)
	require.NoError(t, f.f.Truncate(f.size-1))
	_, err = read()
	require.Equal(t, feature.Exhausted, feature.KindOf(err))
	require.NoError(t, f.close())
}

// What one key costs that is in very many windows grows with their number, and not with its square: of each prediction and outcome
// a few nodes are looked at.
func TestJoinOfOneKeyInManyWindows(t *testing.T) {
	const n = 20_000
	for _, within := range []int64{0, 2, n} {
		x := newJoined(within * anHour)
		for i := range int64(n) {
			at := i * 7919 % n // in no order
			x.predict(1, []byte("k"), at*anHour, &said{stamp: feature.Stamp{Event: at * anHour, Known: at * anHour, Offset: i}, value: value{num: float64(at)}, is: aValue})
		}
		x.settle()
		for i := range int64(n) {
			at := i * 6007 % n
			x.outcome(1, []byte("k"), &said{stamp: feature.Stamp{Event: at * anHour, Known: at * anHour, Offset: i}, value: value{num: float64(at)}, is: aValue})
		}
		seen := 0
		require.NoError(t, x.judged(func(p *prediction) {
			want := math.Min(p.value.num+float64(within), n-1) // the last that is near enough
			require.Equal(t, aValue, p.came)
			require.Equal(t, want, p.label.num)
			seen++
		}))
		require.Equal(t, n, seen)
		t.Logf("%d steps for %d predictions and as many outcomes within %d windows", x.steps, n, within)
		require.Less(t, x.steps, int64(80*n))
	}
}
