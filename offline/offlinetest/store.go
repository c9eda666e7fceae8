package offlinetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Open opens the store of one subtest; called again it opens the same store as
// a second process would.
type Open func() offline.Store

// Store runs the suite. fresh makes an empty store for each subtest.
func Store(t *testing.T, fresh func(t *testing.T) Open) { store(t, 1, fresh) }

// StoreElsewhere runs the suite on a store that Store has seen, whose catalog or
// files lie elsewhere now: with a third of the random cases.
func StoreElsewhere(t *testing.T, fresh func(t *testing.T) Open) { store(t, 3, fresh) }

func store(t *testing.T, part int, fresh func(t *testing.T) Open) {
	for _, c := range []struct {
		name string
		fn   func(*testing.T, Open)
	}{
		{"append and load", appendAndLoad},
		{"a stale commit changes nothing", stale},
		{"a commit repeated lands once", repeated},
		{"a commit is recognised when others have moved on", recognised},
		{"uncertain commits", uncertain},
		{"rows that others have seen do not change", shared},
		{"writers of different partitions", partitions},
		{"a commit without rows moves positions", positionsOnly},
		{"offsets with gaps", gaps},
		{"old versions and tags", versions},
		{"open again", reopen},
		{"a new feature reads null in old rows", evolution},
		{"a rename is a mapping", renames},
		{"a type is widened", widening},
		{"random evolutions", func(t *testing.T, open Open) { evolutions(t, open, 15/part) }},
		{"other changes are refused", refusals},
		{"drop", drop},
		{"hundreds of days in one commit", manyDays},
		{"rivals for random partitions", func(t *testing.T, open Open) { rivals(t, open, 27/part) }},
	} {
		t.Run(c.name, func(t *testing.T) { c.fn(t, fresh(t)) })
	}
}

var ctx = context.Background()

func table(t testing.TB, s offline.Store, v *feature.View) offline.Table {
	t.Helper()
	tb, err := s.Table(ctx, v)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tb.Close() })
	return tb
}

// NewWriter makes a writer with small files, for tests.
func NewWriter(t testing.TB, tb offline.Table) *offline.Writer {
	t.Helper()
	cfg := offline.DefaultConfig()
	cfg.Writers, cfg.RowGroupRows, cfg.PageBytes = 2, 1024, 4096
	w, err := offline.NewWriter(tb, cfg, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// At is the position of a partition of the generated topic.
func At(partition int32, next int64, commit string) feature.Position {
	return feature.Position{Topic: "events", TopicID: TopicID, Partition: partition, Next: next, Revision: 7, Commit: commit}
}

// Move is a commit of one partition.
func Move(v *feature.View, id string, from, to feature.Position) *feature.Commit {
	to.Commit = id
	return &feature.Commit{ID: id, View: v, Advances: []feature.Advance{{From: from, To: to}}, Partitions: 4}
}

// Flush runs a whole commit.
func Flush(ctx context.Context, w *offline.Writer, c *feature.Commit, batches ...*feature.Batch) error {
	for _, b := range batches {
		if err := w.Write(ctx, b); err != nil {
			return err
		}
	}
	w.Cut(c)
	if err := w.Stage(ctx, c); err != nil {
		return err
	}
	if err := w.Commit(ctx, c); err != nil {
		return err
	}
	return w.Settle(ctx, c)
}

func load(t testing.TB, tb offline.Table, v offline.Version) *offline.State {
	t.Helper()
	st, err := tb.Load(ctx, v)
	require.NoError(t, err)
	return st
}

func gen(v *feature.View, seed uint64) *Gen {
	return &Gen{R: rand.New(rand.NewPCG(seed, 1)), View: v}
}

func appendAndLoad(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	st := load(t, tb, offline.Version{})
	require.Zero(t, st.Snapshot)
	require.Empty(t, st.Files)
	require.Empty(t, st.Positions)
	ids := map[int]bool{}
	for _, c := range tb.Columns() {
		require.False(t, c.ID <= 0 || ids[c.ID], "column ids are positive and different")
		ids[c.ID] = true
	}

	w, g := NewWriter(t, tb), gen(v, 1)
	a, b := g.Batch(0, 0, 5000, false), g.Batch(0, 5000, 10, false)
	before := time.Now().UnixMicro()
	require.NoError(t, Flush(ctx, w, Move(v, "c1", feature.Position{}, At(0, 5010, "")), a, b))
	require.Zero(t, w.Buffered())
	st = load(t, tb, offline.Version{})
	require.NotZero(t, st.Snapshot)
	require.Equal(t, []feature.Position{At(0, 5010, "c1")}, st.Positions)
	require.GreaterOrEqual(t, st.CommittedAt, before-1000)
	require.LessOrEqual(t, len(st.Files), 4)
	for _, f := range st.Files {
		require.True(t, f.Sorted)
		require.NotEqual(t, int64(offline.UnknownMin), f.MinEffective)
	}
	SameRows(t, append(Lines(a), Lines(b)...), Read(t, tb, st))
	_, err := tb.Open(ctx, st.Files[0].Path+"x")
	require.Equal(t, feature.NotFound, feature.KindOf(err))
}

func stale(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 2)
	a := g.Batch(0, 0, 50, false)
	require.NoError(t, Flush(ctx, w, Move(v, "c1", feature.Position{}, At(0, 50, "")), a))
	want := load(t, tb, offline.Version{})
	for name, from := range map[string]feature.Position{
		"new partition": {}, "wrong offset": At(0, 49, "c1"), "same offset, other commit": At(0, 50, "c0"), "ahead": At(0, 51, "c1"),
	} {
		err := Flush(ctx, w, Move(v, "c2", from, At(0, 100, "")), g.Batch(0, 50, 50, false))
		require.Equal(t, feature.Conflict, feature.KindOf(err), "%s: %v", name, err)
		w.Discard(&feature.Commit{ID: "c2"})
		require.Equal(t, want, load(t, tb, offline.Version{}), name)
	}
	// One stale advance spoils the whole commit.
	c := Move(v, "c3", At(0, 50, "c1"), At(0, 60, ""))
	c.Advances = append(c.Advances, feature.Advance{From: At(1, 5, "c9"), To: At(1, 6, "c3")})
	require.Equal(t, feature.Conflict, feature.KindOf(Flush(ctx, w, c)))
	require.Equal(t, want, load(t, tb, offline.Version{}))
	// A recreated topic is another topic.
	other := At(0, 10, "")
	other.TopicID[15]++
	require.NoError(t, Flush(ctx, w, Move(v, "c4", feature.Position{}, other)))
	require.Len(t, load(t, tb, offline.Version{}).Positions, 2)
}

func repeated(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 3)
	a := g.Batch(0, 0, 50, false)
	c1 := Move(v, "c1", feature.Position{}, At(0, 50, ""))
	require.NoError(t, w.Write(ctx, a))
	w.Cut(c1)
	require.NoError(t, w.Stage(ctx, c1))
	require.NoError(t, w.Stage(ctx, c1), "staged twice")
	for range 3 {
		require.NoError(t, w.Commit(ctx, c1))
	}
	b := g.Batch(1, 0, 5, false)
	require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, "c2", feature.Position{}, At(1, 5, "")), b))
	require.NoError(t, w.Commit(ctx, c1), "after a commit of somebody else")
	// Rows of the same commit through a second handle: recognised there too.
	require.NoError(t, table(t, open(), v).Append(ctx, c1, nil))
	SameRows(t, append(Lines(a), Lines(b)...), Read(t, tb, load(t, tb, offline.Version{})))
}

// recognised: a commit that has landed is not a stale one, however far its
// partition has come since.
func recognised(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 14)
	a := g.Batch(0, 0, 5, false)
	c1 := Move(v, "c1", feature.Position{}, At(0, 5, ""))
	require.NoError(t, w.Write(ctx, a))
	w.Cut(c1)
	require.NoError(t, w.Stage(ctx, c1))
	require.NoError(t, w.Commit(ctx, c1))
	want := Lines(a)
	from, heir := c1.Advances[0].To, NewWriter(t, table(t, open(), v))
	for i := range 4 {
		b := g.Batch(0, from.Next, 5, false)
		c := Move(v, fmt.Sprintf("d%d", i), from, At(0, from.Next+5, ""))
		require.NoError(t, Flush(ctx, heir, c, b))
		from, want = c.Advances[0].To, append(want, Lines(b)...)
		require.NoError(t, w.Commit(ctx, c1))
	}
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Append(ctx, Move(v, "x", c1.Advances[0].To, At(0, 6, "")), nil)))
	SameRows(t, want, Read(t, tb, load(t, tb, offline.Version{})))
}

// uncertain: every call fails now and then, before it took effect or after.
func uncertain(t *testing.T, open Open) {
	seed := testseed.For(t)
	v, r := View("stats"), rand.New(rand.NewPCG(seed, 2))
	tb := table(t, open(), v)
	faulty := &Faulty{Table: tb, Fail: func() (bool, bool) { n := r.IntN(8); return n == 0, n == 1 }}
	cfg := offline.DefaultConfig()
	cfg.Writers = 1 // the faults come in the seed's order
	w, err := offline.NewWriter(faulty, cfg, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	g := gen(v, seed)
	var want []string
	var from feature.Position
	again := func(f func() error) {
		for err := f(); err != nil; err = f() {
			require.ErrorIs(t, err, ErrInjected)
			require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
		}
	}
	for i := range 12 {
		b := g.Batch(0, from.Next, 20, false)
		c := Move(v, fmt.Sprintf("c%d", i), from, At(0, from.Next+20, ""))
		require.NoError(t, w.Write(ctx, b))
		w.Cut(c)
		again(func() error { return w.Stage(ctx, c) })
		again(func() error { return w.Commit(ctx, c) })
		require.NoError(t, w.Settle(ctx, c))
		from, want = c.Advances[0].To, append(want, Lines(b)...)
		var at []feature.Position
		again(func() (err error) { at, err = w.Positions(ctx); return err })
		require.Equal(t, []feature.Position{from}, at)
	}
	SameRows(t, want, Read(t, tb, load(t, tb, offline.Version{})))
}

// shared: a state that was loaded stays as it is while others commit.
func shared(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	g := gen(v, 15)
	a := g.Batch(0, 0, 30, false)
	c := Move(v, "c1", feature.Position{}, At(0, 30, ""))
	require.NoError(t, Flush(ctx, NewWriter(t, tb), c, a))
	st := load(t, tb, offline.Version{})
	files, at := slices.Clone(st.Files), slices.Clone(st.Positions)
	b := g.Batch(0, 30, 30, false)
	require.NoError(t, Flush(ctx, NewWriter(t, table(t, open(), v)), Move(v, "c2", c.Advances[0].To, At(0, 60, "")), b))
	SameRows(t, append(Lines(a), Lines(b)...), Read(t, tb, load(t, tb, offline.Version{})))
	require.Equal(t, files, st.Files)
	require.Equal(t, at, st.Positions)
	SameRows(t, Lines(a), Read(t, tb, st))
}

func partitions(t *testing.T, open Open) {
	v := View("stats")
	one, two := table(t, open(), v), table(t, open(), v)
	w1, w2, g := NewWriter(t, one), NewWriter(t, two), gen(v, 4)
	var want []string
	at1, at2 := feature.Position{}, feature.Position{}
	for i := range 6 {
		a, b := g.Batch(1, int64(i*10), 10, false), g.Batch(2, int64(i*10), 10, false)
		want = append(append(want, Lines(a)...), Lines(b)...)
		c1 := Move(v, fmt.Sprintf("a%d", i), at1, At(1, int64(i*10+10), ""))
		c2 := Move(v, fmt.Sprintf("b%d", i), at2, At(2, int64(i*10+10), ""))
		require.NoError(t, Flush(ctx, w1, c1, a))
		require.NoError(t, Flush(ctx, w2, c2, b))
		at1, at2 = c1.Advances[0].To, c2.Advances[0].To
	}
	st := load(t, one, offline.Version{})
	require.Equal(t, []feature.Position{At(1, 60, "a5"), At(2, 60, "b5")}, st.Positions)
	SameRows(t, want, Read(t, one, st))
	SameRows(t, want, Read(t, two, load(t, two, offline.Version{})))
}

func positionsOnly(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 5)
	c0 := Move(v, "c0", feature.Position{}, At(0, 7, ""))
	require.NoError(t, Flush(ctx, w, c0))
	st := load(t, tb, offline.Version{})
	require.Zero(t, st.Snapshot)
	require.Equal(t, []feature.Position{At(0, 7, "c0")}, st.Positions)
	a := g.Batch(0, 7, 3, false)
	require.NoError(t, Flush(ctx, w, Move(v, "c1", At(0, 7, "c0"), At(0, 10, "")), a))
	to := At(0, 10, "")
	to.Revision = 8
	require.NoError(t, Flush(ctx, w, Move(v, "c2", At(0, 10, "c1"), to)))
	require.NoError(t, tb.Append(ctx, Move(v, "c2", At(0, 10, "c1"), to), nil), "repeated")
	to.Commit = "c2"
	for _, h := range []offline.Table{tb, table(t, open(), v)} {
		st = load(t, h, offline.Version{})
		require.Equal(t, []feature.Position{to}, st.Positions)
		SameRows(t, Lines(a), Read(t, h, st))
		got, err := h.Positions(ctx)
		require.NoError(t, err)
		require.Equal(t, st.Positions, got)
	}
	// An append that was computed before a commit without rows must not land over it.
	err := tb.Append(ctx, Move(v, "c3", At(0, 10, "c1"), At(0, 11, "")), nil)
	require.Equal(t, feature.Conflict, feature.KindOf(err))
}

func gaps(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 6)
	a := g.Batch(0, 100, 40, true)
	require.NoError(t, Flush(ctx, w, Move(v, "c1", feature.Position{}, At(0, 500, "")), a))
	im := g.Batch(feature.ImportPartition, 0, 3, false)
	im.Origin.Topic, im.Origin.TopicID = "file:x.csv", [16]byte{9}
	p := feature.Position{Topic: "file:x.csv", TopicID: [16]byte{9}, Partition: -1, Next: 3, Revision: 7, Started: Base}
	require.NoError(t, Flush(ctx, w, Move(v, "c2", feature.Position{}, p), im))
	p.Commit = "c2"
	st := load(t, tb, offline.Version{})
	require.Equal(t, []feature.Position{At(0, 500, "c1"), p}, st.Positions)
	SameRows(t, append(Lines(a), Lines(im)...), Read(t, tb, st))
}

func versions(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 7)
	var snaps []*offline.State
	var rows [][]string
	from := feature.Position{}
	for i := range 5 {
		b := g.Batch(0, int64(10*i), 10, false)
		c := Move(v, fmt.Sprintf("c%d", i), from, At(0, int64(10*i+10), ""))
		require.NoError(t, Flush(ctx, w, c, b))
		from = c.Advances[0].To
		snaps = append(snaps, load(t, tb, offline.Version{}))
		var all []string
		if i > 0 {
			all = rows[i-1]
		}
		rows = append(rows, append(slices.Clone(all), Lines(b)...))
	}
	require.NoError(t, tb.Tag(ctx, "training_1", snaps[1].Snapshot))
	require.NoError(t, tb.Tag(ctx, "training_1", snaps[1].Snapshot))
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Tag(ctx, "training_1", snaps[2].Snapshot)))
	require.Equal(t, feature.NotFound, feature.KindOf(tb.Tag(ctx, "x", 12345)))
	tb = table(t, open(), v)
	for i, s := range snaps {
		st := load(t, tb, offline.Version{Snapshot: s.Snapshot})
		require.Equal(t, s.Positions, st.Positions)
		require.Equal(t, s.CommittedAt, st.CommittedAt)
		SameRows(t, rows[i], Read(t, tb, st))
	}
	st := load(t, tb, offline.Version{Tag: "training_1"})
	require.Equal(t, snaps[1].Snapshot, st.Snapshot)
	SameRows(t, rows[1], Read(t, tb, st))
	// Tagging changes neither rows nor positions, and commits go on.
	b := g.Batch(0, 50, 1, false)
	require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, "c5", from, At(0, 51, "")), b))
	for _, v := range []offline.Version{{Snapshot: 42}, {Tag: "nope"}} {
		_, err := tb.Load(ctx, v)
		require.Equal(t, feature.NotFound, feature.KindOf(err))
	}
}

func reopen(t *testing.T, open Open) {
	v := View("stats")
	var want []string
	from := feature.Position{}
	g := gen(v, 8)
	for i := range 3 {
		tb := table(t, open(), v)
		b := g.Batch(0, int64(10*i), 10, false)
		c := Move(v, fmt.Sprintf("c%d", i), from, At(0, int64(10*i+10), ""))
		require.NoError(t, Flush(ctx, NewWriter(t, tb), c, b))
		from, want = c.Advances[0].To, append(want, Lines(b)...)
	}
	tb := table(t, open(), v)
	SameRows(t, want, Read(t, tb, load(t, tb, offline.Version{})))
}

func evolution(t *testing.T, open Open) {
	v1 := View("stats")
	t1 := table(t, open(), v1)
	a := gen(v1, 9).Batch(0, 0, 30, false)
	require.NoError(t, Flush(ctx, NewWriter(t, t1), Move(v1, "c1", feature.Position{}, At(0, 30, "")), a))

	more := []feature.Field{{Name: "spend", Type: feature.Float64}, {Name: "tags", Type: feature.Array(feature.String)}, {Name: "plan", Type: feature.String}}
	v2 := View("stats", more...)
	v2.Features = append([]feature.Field{v2.Features[len(v2.Features)-1]}, v2.Features[:len(v2.Features)-1]...) // another order
	t2 := table(t, open(), v2)
	old := func(lines []string) []string {
		return Read(t, t2, load(t, t2, offline.Version{}))[:len(lines)]
	}
	for _, l := range old(Lines(a)) {
		require.Contains(t, l, "spend=null")
		require.Contains(t, l, "tags=null")
		require.Contains(t, l, "plan=null")
	}
	b := gen(v2, 10).Batch(0, 30, 30, false)
	require.NoError(t, Flush(ctx, NewWriter(t, t2), Move(v2, "c2", At(0, 30, "c1"), At(0, 60, "")), b))
	// A worker that has not heard of the new features yet goes on.
	c := gen(v1, 11).Batch(0, 60, 30, false)
	require.NoError(t, Flush(ctx, NewWriter(t, t1), Move(v1, "c3", At(0, 60, "c2"), At(0, 90, "")), c))
	got := Read(t, t2, load(t, t2, offline.Version{}))
	require.Len(t, got, 90)
	for _, l := range Lines(b) {
		require.Contains(t, got, l)
	}
	// Seen with the old view, the rows are the old columns of all.
	require.Len(t, Read(t, t1, load(t, t1, offline.Version{})), 90)
	for i, c := range t1.Columns() {
		j := slices.IndexFunc(t2.Columns(), func(d offline.Column) bool { return d.Name == c.Name })
		require.Equal(t, c, t2.Columns()[j], "column %d keeps its id", i)
	}
	ids := map[int]bool{}
	for _, c := range t2.AllColumns() {
		require.Equal(t, c.Type.IsArray(), c.Element != 0, "%s: elements have an id of their own", c.Name)
		for _, id := range []int{c.ID, c.Element} {
			require.True(t, id == 0 || !ids[id], "%s: id %d is given twice", c.Name, id)
			ids[id] = true
		}
	}
	table(t, open(), v2) // nothing left to add
}

func refusals(t *testing.T, open Open) {
	s := open()
	table(t, s, View("stats"))
	change := map[string]func(*feature.View){
		"type":          func(v *feature.View) { v.Features[1].Type = feature.String },
		"to an array":   func(v *feature.View) { v.Features[1].Type = feature.Array(feature.Int32) },
		"of an array":   func(v *feature.View) { v.Features[v.Feature("f_float32s")].Type = feature.Array(feature.Float64) },
		"from an array": func(v *feature.View) { v.Features[v.Feature("f_float32s")].Type = feature.Float32 },
		"keys":          func(v *feature.View) { v.Keys = v.Keys[:1] },
		"order of keys": func(v *feature.View) { v.Keys[0], v.Keys[1] = v.Keys[1], v.Keys[0] },
		"key type":      func(v *feature.View) { v.Keys[1].Type = feature.Int32 },
	}
	for name, fn := range change {
		v := View("stats")
		fn(v)
		_, err := s.Table(ctx, v)
		require.Equal(t, feature.Invalid, feature.KindOf(err), name)
		var fe *feature.Error
		require.True(t, errors.As(err, &fe) && fe.Hint != "", "%s: a hint", name)
	}
	v := View("stats")
	v.Features = v.Features[1:]
	require.Len(t, table(t, s, v).Columns(), len(v.Keys)+len(v.Features)+7, "a lost feature is left alone")
}

func drop(t *testing.T, open Open) {
	s, v := open(), View("stats")
	require.NoError(t, s.Drop(ctx, "shop", "nothing"))
	tb := table(t, s, v)
	require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, "c1", feature.Position{}, At(0, 5, "")), gen(v, 12).Batch(0, 0, 5, false)))
	require.NoError(t, s.Drop(ctx, "shop", "stats"))
	st := load(t, table(t, s, v), offline.Version{})
	require.Zero(t, st.Rows)
	require.Empty(t, st.Positions)
}

func manyDays(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 13)
	g.Days = 300
	b := g.Batch(0, 0, 3000, false)
	b.EventTime[0], b.KnownTime[0] = feature.MinTime, feature.MinTime
	b.EventTime[1], b.KnownTime[1] = feature.MaxTime, feature.MaxTime
	b.EventTime[2], b.KnownTime[2] = -1, -1
	require.NoError(t, Flush(ctx, w, Move(v, "c1", feature.Position{}, At(0, 3000, "")), b))
	st := load(t, tb, offline.Version{})
	require.Greater(t, len(st.Files), 280)
	SameRows(t, Lines(b), Read(t, tb, st))
}

// rivals lets workers take partitions from each other at random, some of them
// with positions that are out of date, and wants every offset in the table once.
func rivals(t *testing.T, open Open, rounds int) {
	seed := testseed.For(t)
	const workers, parts = 4, 3
	v := View("stats")
	table(t, open(), v) // made by one, so that the start is not a race of evolutions
	stores := make([]offline.Store, workers)
	for n := range stores {
		stores[n] = open() // as processes of their own
	}
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for n := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			tb, err := stores[n].Table(ctx, v)
			if err != nil {
				errs <- err
				return
			}
			w := NewWriter(t, tb)
			g := &Gen{R: r, View: v}
			known := map[int32]feature.Position{}
			for i := range rounds {
				p := int32(r.IntN(parts))
				if _, ok := known[p]; !ok || r.IntN(2) == 0 {
					at, err := w.Positions(ctx)
					if err != nil {
						errs <- err
						return
					}
					known[p], _ = offline.Find(at, At(p, 0, ""))
				}
				from := known[p]
				size := 1 + r.IntN(20)
				c := Move(v, fmt.Sprintf("w%d-%d", n, i), from, At(p, from.Next+int64(size), ""))
				b := g.Batch(p, from.Next, size, false)
				if r.IntN(5) == 0 {
					b = g.Batch(p, from.Next, 0, false) // a commit without rows
					c.Advances[0].To.Next = from.Next
				}
				err := Flush(ctx, w, c, b)
				switch {
				case err == nil:
					known[p] = c.Advances[0].To
				case feature.KindOf(err) == feature.Conflict:
					w.Discard(c)
					delete(known, p)
				default:
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	tb := table(t, open(), v)
	st := load(t, tb, offline.Version{})
	got := Coordinates(Read(t, tb, st))
	var want []string
	for _, p := range st.Positions {
		for o := range p.Next {
			want = append(want, fmt.Sprintf("%d/%d", p.Partition, o))
		}
	}
	require.NotEmpty(t, want)
	SameRows(t, want, got)
}

// Coordinates cuts "partition/offset" out of printed rows.
func Coordinates(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = field(l, offline.ColPartition) + "/" + field(l, offline.ColOffset)
	}
	return out
}
