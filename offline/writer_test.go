package offline_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

var ctx = context.Background()

type fixture struct {
	view  *feature.View
	table offline.Table
	w     *offline.Writer
	gen   *offlinetest.Gen
}

func setup(t *testing.T) fixture {
	v := offlinetest.View("stats")
	tb, err := memory.Open().Table(ctx, v)
	require.NoError(t, err)
	return fixture{v, tb, offlinetest.NewWriter(t, tb), &offlinetest.Gen{R: rand.New(rand.NewPCG(1, 2)), View: v}}
}

func (f fixture) rows(t *testing.T) []string {
	st, err := f.table.Load(ctx, offline.Version{})
	require.NoError(t, err)
	return offlinetest.Read(t, f.table, st)
}

func TestWriterCutsOnlyItsPartitions(t *testing.T) {
	f := setup(t)
	a, b := f.gen.Batch(0, 0, 10, false), f.gen.Batch(1, 0, 10, false)
	require.NoError(t, f.w.Write(ctx, a))
	require.NoError(t, f.w.Write(ctx, b))
	held := f.w.Buffered()
	require.NoError(t, offlinetest.Flush(ctx, f.w, offlinetest.Move(f.view, "c1", feature.Position{}, offlinetest.At(0, 10, ""))))
	offlinetest.SameRows(t, offlinetest.Lines(a), f.rows(t))
	require.Positive(t, f.w.Buffered())
	require.Less(t, f.w.Buffered(), held)
	require.NoError(t, offlinetest.Flush(ctx, f.w, offlinetest.Move(f.view, "c2", feature.Position{}, offlinetest.At(1, 10, ""))))
	offlinetest.SameRows(t, append(offlinetest.Lines(a), offlinetest.Lines(b)...), f.rows(t))
	require.Zero(t, f.w.Buffered())
}

func TestWriterDropsWhatIsNotItsOwn(t *testing.T) {
	f := setup(t)
	c := offlinetest.Move(f.view, "c1", feature.Position{}, offlinetest.At(0, 10, ""))
	write := func() {
		require.NoError(t, f.w.Write(ctx, f.gen.Batch(0, 0, 10, false)))
	}
	write()
	f.w.Revoke([]feature.Position{offlinetest.At(0, 0, "")})
	require.Zero(t, f.w.Buffered(), "revoked")

	write()
	f.w.Cut(c)
	f.w.Revoke([]feature.Position{offlinetest.At(0, 0, "")})
	require.Positive(t, f.w.Buffered(), "what is cut survives a revoke")
	require.NoError(t, f.w.Assign(ctx, []feature.Position{offlinetest.At(0, 0, "")}))
	require.Zero(t, f.w.Buffered(), "assigned anew")
	// A commit whose rows were dropped must not move the position.
	require.Equal(t, feature.Conflict, feature.KindOf(f.w.Stage(ctx, c)))
	require.Equal(t, feature.Conflict, feature.KindOf(f.w.Commit(ctx, c)))
	require.Empty(t, f.rows(t))

	write()
	f.w.Cut(c)
	require.Equal(t, feature.Internal, feature.KindOf(f.w.Commit(ctx, c)), "not staged")
	require.NoError(t, f.w.Stage(ctx, c))
	f.w.Discard(c)
	require.Equal(t, feature.Conflict, feature.KindOf(f.w.Commit(ctx, c)))
	require.NoError(t, f.w.Settle(ctx, c), "settling twice is harmless")

	a := f.gen.Batch(0, 0, 10, false)
	require.NoError(t, offlinetest.Flush(ctx, f.w, c, a))
	offlinetest.SameRows(t, offlinetest.Lines(a), f.rows(t))
}

// failing is a table of which every other file cannot be made.
type failing struct {
	offline.Table
	n *atomic.Int32
}

func (f failing) Create(ctx context.Context, name string) (offline.FileWriter, error) {
	if f.n.Add(1)%2 == 0 {
		return nil, &feature.Error{Kind: feature.Unavailable, Op: "test", Err: errors.New("disk full")}
	}
	return f.Table.Create(ctx, name)
}

func TestWriterStagesAgainAfterAnError(t *testing.T) {
	f := setup(t)
	w := offlinetest.NewWriter(t, failing{f.table, &atomic.Int32{}})
	a := f.gen.Batch(0, 0, 200, false)
	c := offlinetest.Move(f.view, "c1", feature.Position{}, offlinetest.At(0, 200, ""))
	require.NoError(t, w.Write(ctx, a))
	w.Cut(c)
	tries := 0
	for err := w.Stage(ctx, c); err != nil; err = w.Stage(ctx, c) {
		require.Equal(t, feature.Unavailable, feature.KindOf(err))
		require.Positive(t, w.Buffered())
		tries++
		require.Less(t, tries, 20)
	}
	require.Positive(t, tries)
	require.NoError(t, w.Commit(ctx, c))
	offlinetest.SameRows(t, offlinetest.Lines(a), f.rows(t))
}

func TestWriterMetricsAreSharedByViews(t *testing.T) {
	reg := prometheus.NewRegistry()
	for _, name := range []string{"one", "two"} {
		v := offlinetest.View(name)
		tb, err := memory.Open().Table(ctx, v)
		require.NoError(t, err)
		w, err := offline.NewWriter(tb, offline.DefaultConfig(), slog.New(slog.DiscardHandler), reg)
		require.NoError(t, err)
		g := &offlinetest.Gen{R: rand.New(rand.NewPCG(1, 2)), View: v}
		require.NoError(t, offlinetest.Flush(ctx, w, offlinetest.Move(v, "c", feature.Position{}, offlinetest.At(0, 9, "")), g.Batch(0, 0, 9, false)))
	}
	n, err := testutil.GatherAndCount(reg, "weir_offline_rows_written_total", "weir_offline_commit_seconds")
	require.NoError(t, err)
	require.Equal(t, 4, n)
}

func TestConfigReportsAllFaults(t *testing.T) {
	require.NoError(t, offline.DefaultConfig().Validate())
	err := offline.Config{Writers: -1, Compression: "lzma"}.Validate()
	for _, want := range []string{"offline.writers: must be", "offline.compression: must be", "offline.row_group_rows: must be", "offline.page_bytes: must be"} {
		require.ErrorContains(t, err, want)
	}
}
