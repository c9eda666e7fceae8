package offline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// shelf is a SnapshotStore in memory.
type shelf struct {
	put     []feature.Snapshot
	profile []byte
	err     error
}

func (s *shelf) PutSnapshot(_ context.Context, x feature.Snapshot, profile []byte) error {
	if s.err == nil {
		s.put, s.profile = append(s.put, x), profile
	}
	return s.err
}

type counter struct{ rows int64 }

func (c *counter) Write(rec arrow.RecordBatch) error { c.rows += rec.NumRows(); return nil }
func (c *counter) Finish() ([]byte, error)           { return fmt.Appendf(nil, "%d rows", c.rows), nil }

// fromBatches turns what was written into facts for the oracle.
func fromBatches(v *feature.View, bs ...*feature.Batch) []fact {
	var out []fact
	for _, b := range bs {
		for i := range b.Len() {
			f := fact{stamp: b.Stamp(i), dead: b.Deleted(i)}
			for c := range int(b.Rows.NumCols()) {
				if x := cellAny(b.Rows.Column(c), i); c < len(v.Keys) {
					f.keys = append(f.keys, x)
				} else {
					f.values = append(f.values, x)
				}
			}
			out = append(out, f)
		}
	}
	return out
}

// TestSnapshotThroughWriter takes the whole way: batches through the Writer into
// a store, a snapshot to Parquet, the file against the oracle, and the snapshot
// made again after more rows have come.
func TestSnapshotThroughWriter(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) offline.Store{
		"memory": func(*testing.T) offline.Store { return memstore.Open() },
		"iceberg": func(t *testing.T) offline.Store {
			dir := t.TempDir()
			s, err := iceberg.Open(context.Background(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse"), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) { snapshotThroughWriter(t, open(t)) })
	}
}

func snapshotThroughWriter(t *testing.T, store offline.Store) {
	r := rand.New(rand.NewPCG(3, 4))
	v, empty := offlinetest.View("stats"), offlinetest.View("empty")
	empty.Features = empty.Features[:1]
	v.TTL = feature.Duration(24 * time.Hour)
	table, err := store.Table(ctx, v)
	require.NoError(t, err)
	none, err := store.Table(ctx, empty)
	require.NoError(t, err)
	cfg := offline.DefaultConfig()
	cfg.Compression = "snappy" // under the race detector zstd's coders are made anew for every page
	wr, err := offline.NewWriter(table, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	defer wr.Close()
	gen := &offlinetest.Gen{R: r, View: v, Keys: 15}
	var all []*feature.Batch
	next, last := int64(0), feature.Position{}
	more := func(n int) {
		b := gen.Batch(0, next, n, false)
		next += int64(n)
		require.NoError(t, wr.Write(ctx, b))
		to := offlinetest.At(0, next, "")
		c := offlinetest.Move(v, fmt.Sprint("c", next), last, to)
		require.NoError(t, offlinetest.Flush(ctx, wr, c))
		at, err := wr.Positions(ctx)
		require.NoError(t, err)
		last = at[0]
		all = append(all, b)
	}
	for range 5 {
		more(300)
	}
	w := &world{clock: feature.KnownClock, service: makeService(t, v, empty)}
	w.views = []*worldView{{view: v, facts: fromBatches(v, all...), table: table}, {view: empty, table: none}}
	w.schema = arrow.NewSchema([]arrow.Field{
		{Name: "row_id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "at", Type: feature.Timestamp.Arrow()},
		{Name: "customer_id", Type: arrow.BinaryTypes.String},
		{Name: "shop_id", Type: arrow.PrimitiveTypes.Int64},
	}, nil)
	for i := range 400 {
		f := w.views[0].facts[r.IntN(len(w.views[0].facts))]
		w.spine = append(w.spine, spineRow{id: int64(i), time: f.stamp.Known + r.Int64N(2*offline.Day) - offline.Day/2,
			keys: map[string]any{"customer_id": f.keys[0], "shop_id": f.keys[1]}})
	}

	shelf := &shelf{}
	snaps := offline.NewSnapshots(shelf, slog.New(slog.DiscardHandler), nil)
	path := filepath.Join(t.TempDir(), "train.parquet")
	spine := offline.Spine{Rows: w.records(r), Time: "at"}
	schema, err := offline.JoinSchema(w.service, spine)
	require.NoError(t, err)
	out, err := tabular.Create(path, schema, tabular.WriteOptions{})
	require.NoError(t, err)
	defer out.Abort()
	made, err := snaps.Create(ctx, offline.CreateRequest{
		Service: w.service, Tables: w.tables(), Spine: spine, Profiler: &counter{}, Commit: out.Close,
	}, out.Write)
	require.NoError(t, err)
	require.Equal(t, []feature.Snapshot{made.Snapshot}, shelf.put)
	require.Equal(t, "400 rows", string(shelf.profile))
	require.Equal(t, int64(400), made.Rows)
	require.Equal(t, feature.KnownClock, made.Clock)
	require.Equal(t, 3, made.ServiceVersion)
	require.NotZero(t, made.Tables[0].Version)
	require.Equal(t, offline.SnapshotTag(made.ID), made.Tables[0].Tag)
	require.Zero(t, made.Tables[1].Version)
	require.Empty(t, made.Tables[1].Tag)

	// The file, read by another library, is what the oracle says.
	in, err := tabular.Open(ctx, path, tabular.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, int64(400), in.Rows())
	nulls := make([]int64, len(w.service.Columns))
	present := 0
	for row := 0; row < 400; {
		rec, err := in.Read()
		require.NoError(t, err)
		for i := range int(rec.NumRows()) {
			require.Equal(t, w.spine[row].id, cellAny(rec.Column(0), i))
			for k, c := range w.service.Columns {
				want := w.oracle(w.views[c.View], w.spine[row])[c.Feature]
				got := cellAny(rec.Column(w.schema.NumFields()+k), i)
				if typ := w.views[c.View].view.Features[c.Feature].Type; typ.IsArray() && want != nil {
					b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
					b.Append(want.([]byte)) // as the batch had it
					lists, err := feature.ToLists(typ, b.NewBinaryArray())
					require.NoError(t, err)
					require.Equal(t, fmt.Sprint(cellAny(lists, 0)), fmt.Sprint(got), "row %d, column %s", row, c.Name)
				} else if f, ok := want.(float64); !ok || f == f { // NaN is not equal to itself
					require.Equal(t, want, got, "row %d, column %s", row, c.Name)
				}
				if got == nil {
					nulls[k]++
				} else {
					present++
				}
			}
			row++
		}
		rec.Release()
	}
	require.NoError(t, in.Close())
	require.Greater(t, present, 500)
	for k, c := range made.Columns {
		require.Equal(t, nulls[k], c.Nulls, c.Name)
	}

	// Later rows change nothing; the snapshot's own file serves as its spine.
	more(500)
	verify := func(rows offline.RowReader) offline.Verified {
		got, err := snaps.Verify(ctx, offline.VerifyRequest{Snapshot: made.Snapshot, Service: w.service,
			Tables: []offline.Table{table, none}, Spine: offline.Spine{Rows: rows, Time: "at"}})
		require.NoError(t, err)
		return got
	}
	got := verify(w.records(r))
	require.True(t, got.Same, "%v", got.Differences)
	in, err = tabular.Open(ctx, path, tabular.ReadOptions{BatchRows: 7})
	require.NoError(t, err)
	defer in.Close()
	got = verify(in)
	require.True(t, got.Same, "%v", got.Differences)
	w.spine[17].id++
	got = verify(w.records(r))
	require.False(t, got.Same)
	require.Contains(t, got.Differences, "the spine is not the one the snapshot was made for")
}

func TestSnapshotFailsWhole(t *testing.T) {
	svc, tables := oneFact(t, 0)
	fault := errors.New("disk full")
	shelf := &shelf{}
	snaps := offline.NewSnapshots(shelf, slog.New(slog.DiscardHandler), nil)
	req := func() offline.CreateRequest {
		return offline.CreateRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: csvSpine(t, svc, "id,event_timestamp\n7,2026-02-01\n")}}
	}
	committed := false
	q := req()
	q.Commit = func() error { committed = true; return nil }
	_, err := snaps.Create(ctx, q, func(arrow.RecordBatch) error { return fault })
	require.ErrorIs(t, err, fault)
	require.False(t, committed)
	q = req()
	q.Commit = func() error { return fault }
	_, err = snaps.Create(ctx, q, func(arrow.RecordBatch) error { return nil })
	require.ErrorIs(t, err, fault)
	require.Empty(t, shelf.put)
	shelf.err = fault
	_, err = snaps.Create(ctx, req(), func(arrow.RecordBatch) error { return nil })
	require.ErrorIs(t, err, fault)
}

func TestSnapshotIDs(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var ids []string
	for i := range 200 {
		id, err := offline.NewSnapshotID(at.Add(time.Duration(i/2) * time.Millisecond))
		require.NoError(t, err)
		require.Regexp(t, `^[0-9a-hjkmnp-tv-z]{16}$`, id)
		require.NotContains(t, ids, id)
		if i%2 == 0 {
			ids = append(ids, id)
		}
	}
	require.True(t, slices.IsSorted(ids))
}

// TestSnapshotHash: equal values hash equally however they are cut into batches;
// a changed value and a changed order show.
func TestSnapshotHash(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	w := randomWorld(t, r)
	for len(w.spine) < 60 {
		w = randomWorld(t, r)
	}
	sum := func(w *world) string {
		s, err := offline.HashRows(w.records(r).recs)
		require.NoError(t, err)
		return s
	}
	base := sum(w)
	require.Equal(t, base, sum(w))
	changed := *w
	changed.spine = slices.Clone(w.spine)
	changed.spine[3], changed.spine[4] = changed.spine[4], changed.spine[3]
	require.NotEqual(t, base, sum(&changed))
	changed.spine = slices.Clone(w.spine)
	changed.spine[59].time = nil
	if w.spine[59].time == nil {
		changed.spine[59].time = int64(1)
	}
	require.NotEqual(t, base, sum(&changed))
}
