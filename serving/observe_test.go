package serving

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// series are all metrics as name{label="value",...}: a counter's or gauge's value, a
// histogram's count, and its sum under name_sum.
func (f *fixture) series() map[string]float64 {
	f.t.Helper()
	mfs, err := f.metrics.Gather()
	require.NoError(f.t, err)
	out := map[string]float64{}
	for _, mf := range mfs {
		for _, m := range mf.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			rest := "{" + strings.Join(labels, ",") + "}"
			switch mf.GetType() {
			case dto.MetricType_COUNTER:
				out[mf.GetName()+rest] = m.Counter.GetValue()
			case dto.MetricType_GAUGE:
				out[mf.GetName()+rest] = m.Gauge.GetValue()
			case dto.MetricType_HISTOGRAM:
				out[mf.GetName()+rest] = float64(m.Histogram.GetSampleCount())
				out[mf.GetName()+"_sum"+rest] = m.Histogram.GetSampleSum()
				for _, b := range m.Histogram.Bucket {
					out[fmt.Sprintf("%s_bucket%s le %g", mf.GetName(), rest, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return out
}

func (f *fixture) metric(name string) float64 {
	f.t.Helper()
	all := f.series()
	v, ok := all[name]
	require.True(f.t, ok, "no %s in %v", name, all)
	return v
}

// What was found is counted by view and by feature, with how old it was.
func TestLookupCounts(t *testing.T) {
	f := newFixture(t, nil)
	now := time.Now()
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		v := &b.Views[0]
		v.Status[2], v.Status[3], v.Status[4] = feature.NotFoundStatus, feature.OutsideMaxAge, feature.StoreError
		for i := range v.EventTime {
			v.EventTime[i] = now.Add(-2 * time.Hour).UnixMicro()
		}
		v.EventTime[0] = now.Add(time.Minute).UnixMicro() // a clock that runs ahead
		for i := range b.Columns {
			c := &b.Columns[i]
			c.Valid[1] = c.Name != "f_string"
			c.Valid[2], c.Valid[3], c.Valid[4] = false, false, false
		}
		return nil
	}
	for range 2 {
		_, err := f.lookup(churn(ints("id", 1, 2, 3, 4, 5)))
		require.NoError(t, err)
	}
	req := refs("profile:f_string")
	req.Entities = []*weirv1.EntityColumn{ints("id", 1, 2, 3, 4, 5)}
	_, err := f.lookup(req)
	require.NoError(t, err)

	for status, n := range map[string]float64{"PRESENT": 6, "NOT_FOUND": 3, "OUTSIDE_MAX_AGE": 3, "STORE_ERROR": 3} {
		require.Equal(t, n, f.metric(fmt.Sprintf(`weir_lookup_rows_total{project="default",status=%q,view="profile"}`, status)))
	}
	for series, n := range map[string]float64{
		`feature="f_string",project="default",status="PRESENT"`:         3,
		`feature="f_string",project="default",status="NULL_VALUE"`:      3,
		`feature="f_string",project="default",status="NOT_FOUND"`:       3,
		`feature="f_string",project="default",status="OUTSIDE_MAX_AGE"`: 3,
		`feature="f_string",project="default",status="STORE_ERROR"`:     3,
		`feature="f_bool",project="default",status="PRESENT"`:           4,
		`feature="f_bool",project="default",status="NULL_VALUE"`:        0,
		`feature="f_bool",project="default",status="STORE_ERROR"`:       2,
	} {
		require.Equal(t, n, f.metric(`weir_lookup_values_total{`+series+`,view="profile"}`), series)
	}
	const view = `{project="default",view="profile"}`
	require.Equal(t, 6.0, f.metric(`weir_lookup_age_seconds`+view))
	require.InDelta(t, 3*7200, f.metric(`weir_lookup_age_seconds_sum`+view), 600)
	require.Equal(t, 3.0, f.metric(`weir_lookup_age_seconds_bucket`+view+` le 1`))
	require.Equal(t, 3.0, f.metric(`weir_lookup_age_seconds_bucket`+view+` le 3600`))
	require.Equal(t, 6.0, f.metric(`weir_lookup_age_seconds_bucket`+view+` le 14400`))
	require.InDelta(t, float64(now.Add(time.Minute).UnixMicro())/1e6, f.metric(`weir_lookup_newest_event_timestamp_seconds`+view), 1e-3)

	const service = `{project="default",service="churn"}`
	require.Equal(t, 2.0, f.metric(`weir_lookup_seconds`+service))
	require.Equal(t, 1.0, f.metric(`weir_lookup_seconds{project="default",service=""}`))
	require.Equal(t, 10.0, f.metric(`weir_lookup_request_rows_sum`+service))
	require.Equal(t, 80.0, f.metric(`weir_lookup_request_values_sum`+service))
	var stages float64
	for _, stage := range stageNames {
		k := fmt.Sprintf(`{project="default",service="churn",stage=%q}`, stage)
		require.Equal(t, 2.0, f.metric(`weir_lookup_stage_seconds`+k), stage)
		stages += f.metric(`weir_lookup_stage_seconds_sum` + k)
	}
	require.InDelta(t, f.metric(`weir_lookup_seconds_sum`+service), stages, 1e-9, "the stages are the whole")
	require.Zero(t, f.metric(`weir_lookups_in_flight{}`))
}

// A lookup is under way until it is answered or refused, and what refused it is counted.
func TestRefusedLookupsAreCounted(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRows = 10 })
	during := make(chan float64, 1)
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		during <- f.metric(`weir_lookups_in_flight{}`)
		return present(ctx, s, keys, rows, b)
	}
	_, err := f.lookup(churn(ints("id", 1)))
	require.NoError(t, err)
	require.Equal(t, 1.0, <-during)
	f.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error { panic("oh") }
	_, err = f.lookup(churn(ints("id", 1)))
	require.Error(t, err)
	gone, leave := context.WithCancel(t.Context())
	f.read = func(ctx context.Context, _ *feature.Service, _ []feature.Vector, _ int, _ *feature.Block) error {
		leave()
		<-ctx.Done()
		return ctx.Err()
	}
	_, err = f.features.Lookup(gone, churn(ints("id", 1)))
	require.Error(t, err)
	_, err = f.lookup(churn(ints("id", make([]int64, 11)...)))
	require.Error(t, err)
	_, err = f.lookup(churn(ints("nope", 1)))
	require.Error(t, err)
	_, err = f.lookup(refs("nope:x"))
	require.Error(t, err)
	refused := func(reason string) float64 {
		return f.metric(fmt.Sprintf(`weir_lookups_refused_total{reason=%q}`, reason))
	}
	require.Eventually(t, func() bool { return refused("canceled") == 1 && f.metric(`weir_lookups_in_flight{}`) == 0 }, time.Minute, time.Millisecond)
	for reason, n := range map[string]float64{"exhausted": 1, "invalid": 1, "not found": 1, "internal": 1, "unavailable": 0} {
		require.Equal(t, n, refused(reason), reason)
	}
}

// What leaves the catalog leaves the metrics; what stays goes on counting.
func TestCountsFollowTheCatalog(t *testing.T) {
	f := newFixture(t, nil)
	f.apply(&feature.View{Meta: feature.Meta{Name: "other"}, Source: "billing", Entities: []string{"customer"}, Features: []feature.Field{{Name: "x", Type: feature.Int64}}},
		&feature.Service{Meta: feature.Meta{Name: "both"}, Features: []string{"profile:f_bool", "other:x"}})
	ask := func(service string) {
		t.Helper()
		_, err := f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: service}, Entities: []*weirv1.EntityColumn{ints("id", 1)}})
		require.NoError(t, err)
	}
	names := func(part string) (n int) {
		for name := range f.series() {
			if strings.HasPrefix(name, "weir_lookup") && strings.Contains(name, part) {
				n++
			}
		}
		return n
	}
	ask("both")
	ask("churn")
	require.NotZero(t, names(`service="both"`))
	require.NotZero(t, names(`view="other"`))
	p, err := f.reg.Delete(t.Context(), feature.Ref{Kind: feature.KindService, Project: "default", Name: "both"}, feature.Ref{Kind: feature.KindView, Project: "default", Name: "other"})
	require.NoError(t, err)
	require.Empty(t, p.Faults)
	view := &feature.View{Meta: feature.Meta{Name: "profile"}, Source: "billing", Entities: []string{"customer"}, Features: []feature.Field{{Name: "f_bool", Type: feature.Bool}}}
	f.apply(view)
	ask("churn")
	require.Zero(t, names(`service="both"`))
	require.Zero(t, names(`view="other"`))
	require.Zero(t, names(`feature="f_int64"`))
	require.Equal(t, 3.0, f.metric(`weir_lookup_values_total{feature="f_bool",project="default",status="PRESENT",view="profile"}`))
	require.Equal(t, 2.0, f.metric(`weir_lookup_seconds{project="default",service="churn"}`))
}

// A number is in the first bucket whose bound it does not pass.
func TestHistogramBuckets(t *testing.T) {
	for _, s := range []scale{wholeScale, stageScale, rowsScale, valuesScale} {
		require.Less(t, s.bounds, mostBuckets)
		bounds := make([]int64, s.bounds)
		for i := range bounds {
			bounds[i] = s.least << (i * s.growth)
		}
		tried := []int64{0, 1, math.MaxInt64}
		for _, b := range bounds {
			tried = append(tried, b-1, b, b+1)
		}
		for _, v := range tried {
			h := &histogram{}
			h.add(&s, v)
			want, _ := slices.BinarySearch(bounds, v)
			require.EqualValues(t, 1, h.buckets[want].Load(), "%d in %v", v, bounds)
			require.Equal(t, v, h.sum.Load())
		}
	}
}

// Ages are in the buckets that Prometheus would put them in, in whatever order they come.
func TestAgeBuckets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const rows = 2000
	w, b := counted(t, 1, 1, rows)
	now := time.Now().UnixMicro()
	want := make([]uint64, len(ageBounds)+1)
	var sum int64
	for i := range rows {
		age := int64(math.Exp(r.Float64()*35)) - 1
		switch k := r.IntN(4 * len(ageBounds)); {
		case k < len(ageBounds): // at a bound, and around it
			age = ageBounds[k] + int64(r.IntN(3)) - 1
		case k == len(ageBounds):
			age = 0
		}
		b.Views[0].EventTime[i] = now - age
		at, _ := slices.BinarySearch(ageBounds[:], age)
		want[at]++
		sum += age
	}
	w.count(b, now)
	got := make([]uint64, len(want))
	for i := range got {
		got[i] = w.views[0].stats.ages[i].Load()
	}
	require.Equal(t, want, got)
	require.Equal(t, sum, w.views[0].stats.ageSum.Load())
	require.NotContains(t, want, uint64(0), "every bucket was tried")
}

// counted is a plan's counts and a block of that size, for what counting costs.
func counted(tb testing.TB, views, columns, rows int) (*watched, *feature.Block) {
	tb.Helper()
	s := &feature.Service{}
	for v := range views {
		view := &feature.View{Meta: feature.Meta{Name: fmt.Sprintf("v%d", v)}}
		for c := range columns {
			view.Features = append(view.Features, feature.Field{Name: fmt.Sprintf("f%d", c), Type: feature.Int64})
			s.Columns = append(s.Columns, feature.ServiceColumn{View: v, Feature: c, Name: fmt.Sprintf("v%d__f%d", v, c)})
		}
		s.Views = append(s.Views, view)
	}
	b := &feature.Block{}
	require.NoError(tb, present(context.Background(), s, nil, rows, b))
	now := time.Now().UnixMicro()
	for i := range b.Views {
		for j := range rows {
			b.Views[i].EventTime[j] = now - int64(j)*int64(j)*1_000_000
		}
	}
	o := newObservations(prometheus.NewRegistry())
	return o.watch("p", "s", s), b
}

// Counting allocates nothing, however many values there are.
func TestCountingAllocatesNothing(t *testing.T) {
	for _, size := range [][3]int{{1, 10, 1}, {3, 10, 10}, {1, 10, 1000}} {
		w, b := counted(t, size[0], size[1], size[2])
		c := clock{began: time.Now()}
		require.Zero(t, testing.AllocsPerRun(100, func() {
			for stage := range stageCount {
				c.end(stage)
			}
			w.answered(&c, b, size[0]*size[1])
		}), "%v", size)
	}
}

// BenchmarkCount is what the counts of one lookup cost, of views x features x rows.
func BenchmarkCount(b *testing.B) {
	for _, size := range [][3]int{{1, 10, 1}, {3, 10, 10}, {1, 10, 100}, {1, 50, 100}} {
		b.Run(fmt.Sprintf("%dx%dx%d", size[0], size[1], size[2]), func(b *testing.B) {
			w, block := counted(b, size[0], size[1], size[2])
			b.ReportAllocs()
			for b.Loop() {
				c := clock{began: time.Now()}
				for stage := range stageCount {
					c.end(stage)
				}
				w.answered(&c, block, size[0]*size[1])
			}
		})
	}
}
