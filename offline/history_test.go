package offline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// filled is a table of several commits of three partitions, and its batches.
func filled(t testing.TB, seed uint64, keys, commits, rows int) (offline.Table, []*feature.Batch) {
	t.Helper()
	ctx := context.Background()
	v := offlinetest.View("stats")
	tb, err := memory.Open().Table(ctx, v)
	require.NoError(t, err)
	g := &offlinetest.Gen{R: rand.New(rand.NewPCG(seed, 5)), View: v, Keys: keys}
	w := offlinetest.NewWriter(t, tb)
	at := map[int32]feature.Position{}
	var all []*feature.Batch
	for i := range commits {
		c := &feature.Commit{ID: fmt.Sprintf("c%d", i), View: v}
		var bs []*feature.Batch
		for p := range int32(3) {
			b := g.Batch(p, at[p].Next, 1+g.R.IntN(rows), true)
			c.Advances = append(c.Advances, feature.Advance{From: at[p], To: offlinetest.At(p, b.Origin.Next, c.ID)})
			at[p] = c.Advances[p].To
			bs = append(bs, b)
		}
		require.NoError(t, offlinetest.Flush(ctx, w, c, bs...))
		all = append(all, bs...)
	}
	return tb, all
}

func TestScan(t *testing.T) {
	tb, all := filled(t, testseed.For(t), 20, 6, 900)
	var want []string
	for _, b := range all {
		want = append(want, offlinetest.Lines(b)...)
	}
	scan := func(o offline.ScanOptions) (got []string) {
		last := int64(-1 << 62)
		require.NoError(t, offline.Scan(context.Background(), tb, o, func(b *feature.Batch) error {
			require.Equal(t, "events", b.Origin.Topic)
			require.True(t, slices.IsSorted(b.Offsets))
			require.Equal(t, b.Len(), int(b.Rows.NumRows()))
			day := int64(offline.DayOf(b.Stamp(0).Effective()))
			require.GreaterOrEqual(t, day, last)
			last = day
			got = append(got, offlinetest.Lines(b)...)
			return nil
		}))
		return got
	}
	offlinetest.SameRows(t, want, scan(offline.ScanOptions{}))

	since := []feature.Position{offlinetest.At(0, 100, ""), offlinetest.At(2, 700, "")}
	from, to := offlinetest.Base-2*offline.Day, offlinetest.Base-offline.Day/2
	var some, days []string
	for _, b := range all {
		for i, l := range offlinetest.Lines(b) {
			if p, ok := offline.Find(since, offlinetest.At(b.Origin.Partition, 0, "")); ok && b.Offsets[i] >= p.Next {
				some = append(some, l)
			}
			if b.EventTime[i] >= from && b.EventTime[i] < to {
				days = append(days, l)
			}
		}
	}
	require.NotEmpty(t, some)
	offlinetest.SameRows(t, some, scan(offline.ScanOptions{Since: since}))
	offlinetest.SameRows(t, days, scan(offline.ScanOptions{EventFrom: from, EventTo: to}))

	within := []offline.Range{
		{TopicID: offlinetest.TopicID, Partition: 1, First: 50, Next: 60}, {TopicID: offlinetest.TopicID, Partition: 1, First: 40, Next: 300},
		{TopicID: offlinetest.TopicID, Partition: 2, First: 0, Next: 1}, {Partition: 0, First: 0, Next: 1 << 40}}
	some = nil
	for _, b := range all {
		for i, l := range offlinetest.Lines(b) {
			if p, o := b.Origin.Partition, b.Offsets[i]; p == 1 && o >= 40 && o < 300 || p == 2 && o == 0 {
				some = append(some, l)
			}
		}
	}
	require.NotEmpty(t, some)
	offlinetest.SameRows(t, some, scan(offline.ScanOptions{Within: within}))

	got := scan(offline.ScanOptions{Columns: []string{"f_string"}})
	require.Len(t, got, len(want))
	for _, l := range got {
		require.Contains(t, l, "f_float64=null")
		require.NotContains(t, l, "customer_id=null")
	}
	stop := errors.New("enough")
	n := 0
	require.ErrorIs(t, offline.Scan(context.Background(), tb, offline.ScanOptions{}, func(*feature.Batch) error {
		n++
		return stop
	}), stop)
	require.Equal(t, 1, n)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, offline.Scan(ctx, tb, offline.ScanOptions{}, func(*feature.Batch) error { return nil }), context.Canceled)
}

// lossy is a table some of whose files cannot be opened, or cannot be read to the end.
type lossy struct {
	offline.Table
	gone, torn string
}

func (l lossy) Open(ctx context.Context, path string) (offline.FileReader, error) {
	if path == l.gone {
		return nil, feature.Errorf(feature.NotFound, "test.open", path, "no such file")
	}
	r, err := l.Table.Open(ctx, path)
	if path == l.torn && err == nil {
		r = tornReader{r}
	}
	return r, err
}

type tornReader struct{ offline.FileReader }

func (r tornReader) ReadAt(p []byte, off int64) (int, error) {
	if off < r.Size()/3 {
		return 0, errors.New("bad sector")
	}
	return r.FileReader.ReadAt(p, off)
}

// TestScanLost: files that cannot be read are named, and all others are read.
func TestScanLost(t *testing.T) {
	tb, all := filled(t, testseed.For(t), 20, 3, 900)
	st, err := tb.Load(t.Context(), offline.Version{})
	require.NoError(t, err)
	require.Greater(t, len(st.Files), 3)
	l := lossy{tb, st.Files[1].Path, st.Files[len(st.Files)-1].Path}
	var lost []string
	rows := 0
	count := func(b *feature.Batch) error { rows += b.Len(); return nil }
	note := func(f offline.File, err error) error {
		require.Error(t, err)
		lost = append(lost, f.Path)
		return nil
	}
	require.NoError(t, offline.Scan(t.Context(), l, offline.ScanOptions{Lost: note}, count))
	require.ElementsMatch(t, []string{l.gone, l.torn}, lost)
	want := -int(st.Files[1].Rows + st.Files[len(st.Files)-1].Rows)
	for _, b := range all {
		want += b.Len()
	}
	require.Equal(t, want, rows)

	stop := errors.New("enough")
	require.ErrorIs(t, offline.Scan(t.Context(), l, offline.ScanOptions{Lost: func(offline.File, error) error { return stop }}, count), stop)
	require.ErrorIs(t, offline.Scan(t.Context(), l, offline.ScanOptions{Lost: note}, func(*feature.Batch) error { return stop }), stop)
	require.Equal(t, feature.NotFound, feature.KindOf(offline.Scan(t.Context(), lossy{tb, st.Files[1].Path, ""}, offline.ScanOptions{}, count)))
}

func TestNewest(t *testing.T) {
	seed := testseed.For(t)
	for _, keys := range []int{1, 5, 3000} {
		tb, all := filled(t, seed, keys, 5, 700)
		type row struct {
			stamp feature.Stamp
			line  string
		}
		best := map[string]row{}
		for _, b := range all {
			for i, l := range offlinetest.Lines(b) {
				k := string(feature.AppendKey(nil, b.KeyColumns(), i))
				if old, ok := best[k]; !ok || old.stamp.Compare(b.Stamp(i)) < 0 {
					best[k] = row{b.Stamp(i), l}
				}
			}
		}
		var want []string
		for _, r := range best {
			want = append(want, r.line)
		}
		for _, most := range []int{1 << 20, 200, 1} {
			if most == 1 && len(want) > 20 {
				continue
			}
			var got []string
			keys := int64(-1)
			o := offline.NewestOptions{Counted: func(n int64) { keys = n }}
			require.NoError(t, offline.NewestIn(context.Background(), tb, o, most, func(b *feature.Batch) error {
				got = append(got, offlinetest.Lines(b)...)
				return nil
			}))
			offlinetest.SameRows(t, want, got)
			require.EqualValues(t, len(want), keys, "exact in the end")
		}
	}
}

// The parts of a snapshot are together its keys, in the same order every time,
// whatever has been committed since.
func TestNewestInParts(t *testing.T) {
	ctx := context.Background()
	tb, _ := filled(t, testseed.For(t), 3000, 4, 700)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	read := func(o offline.NewestOptions, most int) (lines []string) {
		require.NoError(t, offline.NewestIn(ctx, tb, o, most, func(b *feature.Batch) error {
			lines = append(lines, offlinetest.Lines(b)...)
			return nil
		}))
		return lines
	}
	pinned := offline.Version{Snapshot: st.Snapshot}
	want := read(offline.NewestOptions{Version: pinned}, 1<<20)

	at := st.Positions[0]
	g := &offlinetest.Gen{R: rand.New(rand.NewPCG(1, 6)), View: tb.View(), Keys: 5000}
	b := g.Batch(at.Partition, at.Next, 2000, true)
	c := &feature.Commit{ID: "later", View: tb.View(), Advances: []feature.Advance{{From: at, To: offlinetest.At(at.Partition, b.Origin.Next, "later")}}}
	require.NoError(t, offlinetest.Flush(ctx, offlinetest.NewWriter(t, tb), c, b))
	require.NotEqual(t, len(want), len(read(offline.NewestOptions{}, 1<<20)))

	for parts, most := range map[int]int{1: 700, 2: 1 << 20, 7: 100} {
		var all []string
		for part := range parts {
			o := offline.NewestOptions{Version: pinned, Part: part, Parts: parts}
			lines := read(o, most)
			if part == parts/2 {
				require.Equal(t, lines, read(o, most), "the order of a part is always the same")
			}
			all = append(all, lines...)
		}
		offlinetest.SameRows(t, want, all)
	}
	err = offline.Newest(ctx, tb, offline.NewestOptions{Part: 3, Parts: 3}, nil)
	require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
	require.Equal(t, []int{1, 1, 2, 25}, []int{offline.PartsFor(0), offline.PartsFor(4 << 20), offline.PartsFor(4<<20 + 1), offline.PartsFor(100 << 20)})
}

// TestAsOfBeforeFirstCameBack: the first snapshot stands at the log's beginning because a
// rollback brought it back and what lay between has expired. The table was not empty then.
func TestAsOfBeforeFirstCameBack(t *testing.T) {
	p := offline.Past{Current: 1, Snapshots: map[int64]offline.Ancestor{1: {ID: 1, At: 10, Root: true, First: true}}, Log: []offline.Reign{{ID: 1, At: 30}}}
	_, ok := p.AsOf(20)
	require.False(t, ok, "what was the newest then has expired")
	id, ok := p.AsOf(30)
	require.True(t, ok)
	require.EqualValues(t, 1, id)
	p.Log[0].At = 10
	id, ok = p.AsOf(5)
	require.True(t, ok, "before the table's first snapshot")
	require.Zero(t, id)
}
