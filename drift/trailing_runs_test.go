package drift

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// paned is a store of panes that are closed, of one series.
type paned struct {
	Store // nothing else is asked of it
	panes []WindowRecord
	text  map[int64][]byte // their profiles
	read  int              // profiles
}

func (s *paned) Windows(_ context.Context, q WindowQuery) (out []WindowRecord, err error) {
	want := map[int64]bool{}
	for _, x := range q.Starts {
		want[x] = true
	}
	for _, p := range s.panes {
		if len(want) > 0 && !want[p.Start] || (q.From != 0 || q.Before != 0) && (p.Start < q.From || p.Start >= q.Before) {
			continue
		}
		if q.Profiles {
			s.read++
			if p.Profile, err = DecodeProfile(s.text[p.Start]); err != nil {
				return nil, err
			}
		}
		if out = append(out, p); len(out) == q.Limit {
			break
		}
	}
	return out, nil
}

// paneStore has panes of rows that draw gives; a pane of no rows is not there.
func paneStore(t testing.TB, m *feature.Monitor, long int64, panes int, draw func(pane int) arrow.RecordBatch) *paned {
	s := &paned{text: map[int64][]byte{}}
	for i := range panes {
		p := NewProfiler()
		if rec := draw(i); rec != nil {
			require.NoError(t, p.Write(rec))
		}
		if p.Profile().Rows == 0 {
			continue
		}
		b, err := p.Finish()
		require.NoError(t, err)
		at := int64(i) * long
		s.panes = append(s.panes, WindowRecord{Series: SeriesOf(m), Start: at, End: at + long, State: Judged, Rows: p.Profile().Rows, Deltas: 1 + int64(i%3)})
		s.text[at] = b
	}
	return s
}

// everyPane is the reference as it was made before there were runs: each pane read, and merged in its order.
func everyPane(t *testing.T, s *paned, m *feature.Monitor, from, to int64) *trailed {
	x := newTrailed(m, to)
	for i := range s.panes {
		w := &s.panes[i]
		if w.Start < from || w.End > to {
			continue
		}
		p, err := DecodeProfile(s.text[w.Start])
		require.NoError(t, err)
		x.all.Merge(p)
		x.first = min(x.first, w.Start)
		at := (x.to - w.End) / x.size
		if at >= x.whole || at > 0 && int64(float64(at)/x.every) == int64(float64(at-1)/x.every) {
			continue
		}
		if x.window.Panes() == 1 {
			at = w.Start
		}
		if x.chunks[at] == nil {
			x.chunks[at] = &Profile{}
		}
		x.chunks[at].Merge(p)
	}
	return x
}

// sameRows: both have seen the same. All that a profile keeps is equal but for the coins of the quantiles, which stay within their error.
func sameRows(t *testing.T, want, got *Profile) {
	t.Helper()
	require.Equal(t, want.Rows, got.Rows)
	require.Len(t, got.Features, len(want.Features))
	for i, w := range want.Features {
		g := got.Features[i]
		require.Equal(t, []any{w.Name, w.Shape, w.Count, w.Nulls, w.Odd}, []any{g.Name, g.Shape, g.Count, g.Nulls, g.Odd})
		switch w.Shape {
		case Categories:
			require.Equal(t, w.cat.wide, g.cat.wide)
			if w.cat.exact() {
				require.Equal(t, w.cat.sorted(), g.cat.sorted())
				continue
			}
			for _, c := range w.cat.sorted() { // beyond so many only the frequent ones have names, each with an error
				n := g.cat.of(c.Value)
				require.GreaterOrEqual(t, n+g.CategoryError(), c.Count)
				require.LessOrEqual(t, n, c.Count+w.CategoryError())
			}
		case Numbers:
			if w.Count == 0 {
				continue
			}
			a, b := w.num.m, g.num.m
			require.Equal(t, []float64{a.Min, a.Max}, []float64{b.Min, b.Max})
			require.InDelta(t, a.Mean, b.Mean, 1e-9)
			require.InEpsilon(t, 1+a.M2, 1+b.M2, 1e-9)
			n, _, ok := w.num.different()
			k, _, ok2 := g.num.different()
			require.Equal(t, []any{n, ok}, []any{k, ok2})
			x, y := w.num.distribution(), g.num.distribution()
			off := w.num.rankError() + g.num.rankError()
			for q := 0.05; q < 1; q += 0.05 {
				v := x.Quantile(q)
				below := func(d distribution) float64 {
					share := 0.0
					for k, at := range d.At {
						if at <= v {
							share = d.Cum[k] / d.N
						}
					}
					return share
				}
				require.InDelta(t, below(x), below(y), off*1.5+1e-9, "%s at %g", w.Name, q)
			}
		}
	}
}

// TestTrailingOfRunsIsThatOfPanes: for windows that follow each other, skip some, and come again, and with a cache that
// holds all, some or nothing, references are those that every pane was read for.
func TestTrailingOfRunsIsThatOfPanes(t *testing.T) {
	for seed := range testseed.Each(t, 10) {
		r := rand.New(rand.NewPCG(seed, 7))
		long := anHour
		m := predicting(feature.Number, feature.Float64, feature.Float64)
		m.Performance, m.Window = nil, feature.Window{Size: "1h"}
		if r.IntN(2) == 0 {
			long, m.Window.Slide = anHour/4, "15m"
		}
		m.Reference = feature.Reference{Trailing: feature.Duration((1 + r.Int64N(150)) * anHour * 1000), Gap: feature.Duration(r.Int64N(3) * anHour * 500)}
		m = m.WithDefaults()
		schema := arrow.NewSchema([]arrow.Field{{Name: "cat", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "num", Type: arrow.PrimitiveTypes.Float64, Nullable: true}}, nil)
		labels, most := []int{5, 400, 3000}[r.IntN(3)], []int{4, 40, 400}[r.IntN(3)]
		const panes = 300
		s := paneStore(t, m, long, panes, func(i int) arrow.RecordBatch {
			if r.IntN(10) == 0 {
				return nil
			}
			rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			for range r.IntN(most) {
				rb.Field(0).(*array.StringBuilder).Append(fmt.Sprint("label ", r.IntN(labels)))
				if r.IntN(9) == 0 {
					rb.Field(1).AppendNull()
				} else {
					rb.Field(1).(*array.Float64Builder).Append(r.NormFloat64() + float64(i)/panes)
				}
			}
			return rb.NewRecordBatch()
		})
		x := trailing{store: s}
		x.kept.most = []int64{1, 300 << 10, keptProfiles}[r.IntN(3)]
		at := panes / 2
		for range 25 {
			if at += r.IntN(3); r.IntN(12) == 0 {
				at -= 5 // rows came late, or history
			}
			start := int64(min(at, panes)) * long
			from, to := m.Reference.Before(start)
			got, err := x.before(context.Background(), m, start, false)
			require.NoError(t, err)
			want := everyPane(t, s, m, from, to)
			if reaches, _ := x.reaches(context.Background(), SeriesOf(m), from, m.Window); !reaches {
				require.Zero(t, got.profile.Rows)
				continue
			}
			ref := want.baseline()
			sameRows(t, ref.profile, got.profile)
			require.Len(t, got.chunked, len(ref.chunked))
			for i := range ref.chunked {
				sameRows(t, ref.chunked[i], got.chunked[i])
			}
			require.LessOrEqual(t, x.kept.bytes, x.kept.most)
			sum := int64(0)
			for _, k := range x.kept.of {
				sum += k.bytes
			}
			require.Equal(t, sum, x.kept.bytes)
		}
	}
}

// weekOfTenMinutes is a store of panes of ten minutes with so many features, and the monitor that compares each with the week before.
func weekOfTenMinutes(t testing.TB, features, rows int, window feature.Window) (*paned, *feature.Monitor) {
	m := predicting(feature.Number, feature.Float64, feature.Float64)
	m.Performance, m.Window = nil, window
	m.Reference = feature.Reference{Trailing: feature.Duration(7 * 24 * time.Hour)}
	r := rand.New(rand.NewPCG(1, 9))
	var fields []arrow.Field
	for i := range features {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("f%02d", i), Type: arrow.PrimitiveTypes.Float64})
	}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	for range rows {
		for i := range fields {
			rb.Field(i).(*array.Float64Builder).Append(math.Exp(r.NormFloat64()))
		}
	}
	rec := rb.NewRecordBatch()
	var text []byte
	long := anHour / 6
	s := paneStore(t, m, long, 1, func(int) arrow.RecordBatch { return rec })
	text = s.text[0]
	for i := range int64(1200) {
		at := (1 + i) * long
		w := s.panes[0]
		w.Start, w.End = at, at+long
		s.panes, s.text[at] = append(s.panes, w), text
	}
	return s, m.WithDefaults()
}

// A verdict reads few of the panes that it is compared with: those that the one before did not have, and of windows that follow each other those
// by which thresholds are calibrated.
func TestTrailingReadsFewPanes(t *testing.T) {
	for _, c := range []struct {
		window feature.Window
		most   int
	}{{feature.Window{Size: "10m"}, 34}, {feature.Window{Size: "1h", Slide: "10m"}, 36}} {
		s, m := weekOfTenMinutes(t, 1, 300, c.window)
		x := trailing{store: s}
		for i := range int64(100) {
			s.read = 0
			_, err := x.before(context.Background(), m, (1050+i)*anHour/6, false)
			require.NoError(t, err)
			if i == 0 {
				require.Equal(t, 1008, s.read)
				continue
			}
			require.LessOrEqual(t, s.read, c.most+runPanes, "verdict %d", i)
		}
	}
}

// BenchmarkTrailing makes the references of windows that follow each other, with twenty features; once as if nothing was at hand.
func BenchmarkTrailing(b *testing.B) {
	for _, w := range []feature.Window{{Size: "10m"}, {Size: "1h", Slide: "10m"}} {
		for name, most := range map[string]int64{"kept": keptProfiles, "nothing": 1} {
			b.Run(w.Name()+"/"+name, func(b *testing.B) {
				s, m := weekOfTenMinutes(b, 20, 5000, w)
				x := trailing{store: s}
				x.kept.most = most
				verdicts := int64(0)
				next := func() {
					if _, err := x.before(context.Background(), m, (1050+verdicts%150)*anHour/6, false); err != nil {
						b.Fatal(err)
					}
					verdicts++
				}
				next()
				s.read = 0
				for b.Loop() {
					next()
				}
				b.ReportMetric(float64(s.read)/float64(verdicts-1), "profiles/op")
			})
		}
	}
}
