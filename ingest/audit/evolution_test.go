package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// TestDefinitionsEvolve: rows are right under the name and the type of their time,
// whatever the feature is called and however wide it is now.
func TestDefinitionsEvolve(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 2)
	features := func(f ...feature.Field) *feature.View {
		v := view()
		v.Features = f
		return v
	}
	i32, i64, f32, f64 := feature.Int32, feature.Int64, feature.Float32, feature.Float64
	w.apply(features(feature.Field{Name: "seen", Type: i32, Path: "extra"}, feature.Field{Name: "ratio", Path: "score", Type: f32}))
	first, err := w.reg.Current(t.Context())
	require.NoError(t, err)
	stop := w.worker()
	for _, v := range []*feature.View{
		nil,
		features(feature.Field{Name: "seen", Type: i64, Path: "extra"}, feature.Field{Name: "ratio", Path: "score", Type: f64}),
		features(feature.Field{Name: "ratio", Path: "score", Type: f64}, feature.Field{Name: "count", Type: i64, Path: "extra", RenamedFrom: "seen"}),
		features(feature.Field{Name: "ratio", Path: "score", Type: f64}, feature.Field{Name: "count", Type: i64, Path: "extra"}, feature.Field{Name: "seen", Type: i32, Path: "age"}),
		features(feature.Field{Name: "ratio", Path: "score", Type: f64}, feature.Field{Name: "seen", Type: i64, Path: "extra", RenamedFrom: "count"},
			feature.Field{Name: "count", Type: i64, Path: "age", RenamedFrom: "seen"}),
	} {
		if v != nil {
			w.apply(v)
		}
		w.produce(100)
		w.drained()
		w.clean()
	}
	stop()
	log, table, held := counts(w.clean(), false)
	require.EqualValues(t, 5*2*100, log)
	require.Equal(t, log, table+held)
	for revision := first.Revision(); revision <= first.Revision()+4; revision++ {
		cat, err := w.reg.At(t.Context(), revision)
		require.NoError(t, err)
		old, err := cat.View("p", "person")
		require.NoError(t, err)
		r, err := w.auditor().Run(t.Context(), old, audit.Options{}, nil)
		require.NoError(t, err)
		require.Zero(t, r.Found, "as revision %d sees it: %+v", revision, r.Differences)
	}
}

// lateCatalogs is the catalog as a worker has it who hears of changes when he is told.
type lateCatalogs struct {
	ingest.Catalogs
	news chan *registry.Catalog

	mu  sync.Mutex
	now *registry.Catalog // guarded by mu
}

func (l *lateCatalogs) Current(context.Context) (*registry.Catalog, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, nil
}

func (l *lateCatalogs) Subscribe() (<-chan *registry.Catalog, func()) { return l.news, func() {} }

func (l *lateCatalogs) tell(c *registry.Catalog) {
	l.mu.Lock()
	l.now = c
	l.mu.Unlock()
	l.news <- c
}

// TestLateWorker: two workers share a topic, and one of them hears late of a new
// feature, a wider type, a rename and a swap. Both go on all the while; no row is
// lost or twice, none is null where its worker had a value, and rows that both
// wrote are one column's.
func TestLateWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 4)
	features := func(f ...feature.Field) *feature.View {
		v := view()
		v.Features = f
		return v
	}
	i32, i64, f32, f64 := feature.Int32, feature.Int64, feature.Float32, feature.Float64
	seen := feature.Field{Name: "seen", Type: i32, Path: "extra"}
	ratio := feature.Field{Name: "ratio", Type: f32, Path: "score"}
	w.apply(features(seen, ratio))
	first, err := w.reg.Current(t.Context())
	require.NoError(t, err)
	late := &lateCatalogs{Catalogs: w.reg, news: make(chan *registry.Catalog, 1), now: first}
	stop, stopLate := w.worker(), w.workerOn(late)
	step := func() {
		t.Helper()
		w.produce(60)
		w.drained()
		w.clean()
	}
	step()
	seen.Type, ratio.Type = i64, f64
	renamed := feature.Field{Name: "count", Type: i64, Path: "extra", RenamedFrom: "seen"}
	for _, v := range []*feature.View{
		features(seen, ratio, feature.Field{Name: "age", Type: i64}),
		features(renamed, ratio, feature.Field{Name: "age", Type: i64}),
		features(renamed, ratio, feature.Field{Name: "seen", Type: i64, Path: "age"}, feature.Field{Name: "age", Type: i64}),
		features(feature.Field{Name: "seen", Type: i64, Path: "extra", RenamedFrom: "count"}, ratio,
			feature.Field{Name: "count", Type: i64, Path: "age", RenamedFrom: "seen"}, feature.Field{Name: "age", Type: i64}),
	} {
		w.apply(v)
		step() // one has heard, the other has not
		now, err := w.reg.Current(t.Context())
		require.NoError(t, err)
		late.tell(now)
		step()
	}
	stop()
	stopLate()
	log, table, held := counts(w.clean(), false)
	require.EqualValues(t, 9*4*60, log)
	require.Equal(t, log, table+held)

	tb, err := w.store.Table(t.Context(), w.view())
	require.NoError(t, err)
	defer tb.Close()
	var names []string
	for _, c := range tb.AllColumns() {
		if c.Name[0] != '_' {
			names = append(names, fmt.Sprint(c.Name, " ", c.Type))
		}
	}
	require.ElementsMatch(t, []string{"id string", "seen int64", "ratio float64", "count int64", "age int64"}, names, "no column was made for an old name")
	var full, empty int
	require.NoError(t, offline.Scan(t.Context(), tb, offline.ScanOptions{Columns: []string{"seen", "ratio"}}, func(b *feature.Batch) error {
		for i := range b.Len() {
			switch {
			case b.Deleted(i):
			case b.Rows.Column(1).IsNull(i) != b.Rows.Column(2).IsNull(i):
				t.Errorf("offset %d of partition %d has half of its values", b.Offsets[i], b.Origin.Partition)
			case b.Rows.Column(1).IsNull(i):
				empty++ // events without them
			default:
				full++
			}
		}
		return nil
	}))
	require.Greater(t, full, 5*empty)
}
