package offlinetest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Upkeep runs the clauses of offline.Upkeep; History does them all at random.
func Upkeep(t *testing.T, fresh func(t *testing.T) Open) {
	for _, c := range []struct {
		name string
		fn   func(*testing.T, Open)
	}{
		{"a history tells what happened", historyTells},
		{"tags do not look like other versions", tagNames},
		{"the state at a time", atTimes},
		{"a rewrite that names what is gone changes nothing", replaceStale},
		{"commits go on while files are replaced, forgotten and swept", busyTable},
		{"a rollback takes positions back", rollsBack},
		{"a rollback takes imports back", rollsImportsBack},
		{"a rollback to nothing and forward again", rollsToNothing},
		{"a first commit whose files are gone does not come back after a rollback", firstCommitLate},
		{"a snapshot is kept for as long as it was the newest lately", keptLately},
		{"a sweep fences those who were away", sweepFences},
	} {
		t.Run(c.name, func(t *testing.T) { c.fn(t, fresh(t)) })
	}
}

// filled is a table with n commits of ten rows to partition 0.
func filled(t *testing.T, open Open, n int) (tb offline.Table, rows [][]string, at feature.Position, snaps []int64) {
	v := View("stats")
	tb = table(t, open(), v)
	w, g := NewWriter(t, tb), gen(v, 21)
	var all []string
	for i := range n {
		b := g.Batch(0, int64(10*i), 10, false)
		c := Move(v, fmt.Sprintf("c%d", i), at, At(0, int64(10*i+10), ""))
		require.NoError(t, Flush(ctx, w, c, b))
		at, all = c.Advances[0].To, append(slices.Clone(all), Lines(b)...)
		rows, snaps = append(rows, all), append(snaps, load(t, tb, offline.Version{}).Snapshot)
	}
	return tb, rows, at, snaps
}

func historyTells(t *testing.T, open Open) {
	tb, _, _, snaps := filled(t, open, 3)
	require.NoError(t, tb.Tag(ctx, "b", snaps[1]))
	require.NoError(t, tb.Tag(ctx, "a", snaps[1]))
	st := load(t, tb, offline.Version{})
	day := offline.DayOf(st.Files[0].MinEffective)
	var gone []offline.File
	for _, f := range st.Files {
		if offline.DayOf(f.MinEffective) == day {
			gone = append(gone, f)
		}
	}
	r := &offline.Rewrite{ID: "rw", Gone: gone, New: Regroup(t, tb, gone, 1)}
	require.NoError(t, tb.Replace(ctx, r))
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "rb", To: snaps[1]}))
	require.Equal(t, feature.NotFound, feature.KindOf(tb.Rollback(ctx, &offline.Rollback{ID: "x", To: 12345})))
	got, err := table(t, open(), tb.View()).History(ctx)
	require.NoError(t, err)
	require.Len(t, got, 4)
	var moved int64
	for _, f := range gone {
		moved += f.Rows
	}
	require.Equal(t, []string{"rw", "c2", "c1", "c0"}, []string{got[0].Commit, got[1].Commit, got[2].Commit, got[3].Commit})
	require.Equal(t, []string{"replace", "append", "append", "append"}, []string{got[0].Operation, got[1].Operation, got[2].Operation, got[3].Operation})
	for i, s := range got {
		require.Equal(t, i == 2, s.Current, s.Commit)
		require.Equal(t, i >= 2, s.Reached, s.Commit)
		if i < 3 {
			require.Equal(t, got[i+1].ID, s.Parent)
			require.GreaterOrEqual(t, s.CommittedAt, got[i+1].CommittedAt)
		}
		require.Positive(t, s.Bytes)
		require.Equal(t, load(t, tb, offline.Version{Snapshot: s.ID}).Rows, s.Rows)
		require.Len(t, load(t, tb, offline.Version{Snapshot: s.ID}).Files, int(s.Files))
	}
	require.Equal(t, []string{"a", "b"}, got[2].Tags)
	require.Equal(t, []int64{30, moved, moved, 1, int64(len(gone))}, []int64{got[0].Rows, got[0].AddedRows, got[0].RemovedRows, got[0].AddedFiles, got[0].RemovedFiles})
	require.Equal(t, []int64{30, 10, 0}, []int64{got[1].Rows, got[1].AddedRows, got[1].RemovedRows})
	require.Zero(t, got[3].Parent)
	require.NoError(t, tb.Untag(ctx, "b"))
	require.NoError(t, tb.Untag(ctx, "b"))
	got, err = tb.History(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got[2].Tags)
}

func tagNames(t *testing.T, open Open) {
	tb, _, _, snaps := filled(t, open, 1)
	for _, name := range []string{"", "main", "newest", "123", "2024-03-10", "2024-03-10T12:00:00Z", "2024-03-10T12:00:00.5+01:00"} {
		require.Equal(t, feature.Invalid, feature.KindOf(tb.Tag(ctx, name, snaps[0])), name)
	}
	for _, name := range []string{"v1", "2024-march", "weir-snapshot-7", "12a"} {
		require.NoError(t, tb.Tag(ctx, name, snaps[0]), name)
	}
}

func atTimes(t *testing.T, open Open) {
	tb, rows, _, _ := filled(t, open, 4)
	list, err := tb.History(ctx)
	require.NoError(t, err)
	slices.Reverse(list)
	st := load(t, tb, offline.Version{At: list[0].CommittedAt - 1})
	require.Equal(t, &offline.State{}, st, "before the first commit")
	for i, s := range list {
		last := i // of those that were made at the same time
		for last+1 < len(list) && list[last+1].CommittedAt == s.CommittedAt {
			last++
		}
		st := load(t, tb, offline.Version{At: s.CommittedAt})
		require.Equal(t, list[last].ID, st.Snapshot)
		SameRows(t, rows[last], Read(t, tb, st))
	}
	_, err = tb.Expire(ctx, offline.ExpireOptions{Before: time.Now().Add(time.Hour).UnixMicro()})
	require.NoError(t, err)
	_, err = tb.Load(ctx, offline.Version{At: list[0].CommittedAt - 1})
	require.Equal(t, feature.NotFound, feature.KindOf(err), "nobody knows any more that it was empty")
	var fe *feature.Error
	require.True(t, errors.As(err, &fe) && fe.Hint != "")
	require.Equal(t, list[3].ID, load(t, tb, offline.Version{At: time.Now().UnixMicro()}).Snapshot)
}

func replaceStale(t *testing.T, open Open) {
	tb, rows, at, _ := filled(t, open, 3)
	st := load(t, tb, offline.Version{})
	f := st.Files[:1]
	made := Regroup(t, tb, f, 1)
	require.NoError(t, tb.Replace(ctx, &offline.Rewrite{ID: "none"}))
	require.Equal(t, feature.Internal, feature.KindOf(tb.Replace(ctx, &offline.Rewrite{ID: "loses", Gone: f})), "rows would be lost")
	old := slices.Clone(made)
	other := table(t, open(), tb.View())
	require.NoError(t, other.Replace(ctx, &offline.Rewrite{ID: "r1", Gone: f, New: made}))
	require.NoError(t, tb.Replace(ctx, &offline.Rewrite{ID: "r1", Gone: f, New: old}), "the very same")
	err := tb.Replace(ctx, &offline.Rewrite{ID: "r2", Gone: f, New: Regroup(t, tb, f, 1)})
	require.Equal(t, feature.Conflict, feature.KindOf(err))
	SameRows(t, rows[2], Read(t, tb, load(t, tb, offline.Version{})))
	got, err := tb.Positions(ctx)
	require.NoError(t, err)
	require.Equal(t, []feature.Position{at}, got)
	// On a table without a snapshot there is nothing to replace.
	empty := table(t, open(), View("empty"))
	require.Equal(t, feature.Conflict, feature.KindOf(empty.Replace(ctx, &offline.Rewrite{ID: "r3", Gone: f, New: made})))
}

// busyTable has workers commit while others replace, expire and sweep, all by
// handles of their own. Every row that was committed is there once.
func busyTable(t *testing.T, open Open) {
	seed := testseed.For(t)
	v := View("stats")
	first := table(t, open(), v)
	const workers, rounds = 2, 15
	stores := make([]offline.Store, workers+2)
	for i := range stores {
		stores[i] = open()
	}
	var wg sync.WaitGroup
	var busy atomic.Int32
	busy.Store(workers)
	for p := range workers {
		wg.Go(func() {
			defer busy.Add(-1)
			tb, err := stores[p].Table(ctx, v)
			if err != nil {
				t.Error(err)
				return
			}
			w := NewWriter(t, tb)
			g := &Gen{R: rand.New(rand.NewPCG(seed, uint64(p))), View: v, Days: 1}
			var at feature.Position
			for i := range rounds {
				c := Move(v, fmt.Sprintf("p%d-%d", p, i), at, At(int32(p), at.Next+5, ""))
				if err := Flush(ctx, w, c, g.Batch(int32(p), at.Next, 5, false)); err != nil {
					t.Error(err)
					return
				}
				at = c.Advances[0].To
			}
		})
	}
	var replaced, conflicts atomic.Int64
	for n := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(10+n)))
			tb, err := stores[workers+n].Table(ctx, v)
			if err != nil {
				t.Error(err)
				return
			}
			for i := 0; busy.Load() > 0; i++ {
				st, err := tb.Load(ctx, offline.Version{})
				if err != nil {
					t.Error(err)
					return
				}
				if files := SameDay(r, st.Files); len(files) > 0 {
					made, err := Copies(tb, files, fmt.Sprintf("copy/%d-%d", n, i))
					if feature.KindOf(err) == feature.NotFound && err != nil {
						continue // the rival was faster, and its expiry too
					}
					if err == nil {
						err = tb.Replace(ctx, &offline.Rewrite{ID: fmt.Sprintf("r%d-%d", n, i), Gone: files, New: made})
					}
					switch {
					case err == nil:
						replaced.Add(1)
					case feature.KindOf(err) == feature.Conflict:
						conflicts.Add(1)
					default:
						t.Error(err)
						return
					}
				}
				if _, err := tb.Expire(ctx, offline.ExpireOptions{Before: time.Now().UnixMicro(), Keep: r.IntN(3)}); err != nil {
					t.Error(err)
				}
				if _, err := tb.Sweep(ctx, offline.SweepOptions{Before: time.Now().Add(-time.Minute).UnixMicro()}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var want []string
	for p := range workers {
		for o := range rounds * 5 {
			want = append(want, fmt.Sprintf("%d/%d", p, o))
		}
	}
	SameRows(t, want, Coordinates(Read(t, first, load(t, first, offline.Version{}))))
	require.Positive(t, replaced.Load())
	t.Logf("%d rewrites, %d more came too late", replaced.Load(), conflicts.Load())
}

// Copies are the same files under other names.
func Copies(tb offline.Table, files []offline.File, name string) (out []offline.File, err error) {
	for i, f := range files {
		began := time.Now().UnixMicro()
		r, err := tb.Open(ctx, f.Path)
		if err != nil {
			return nil, err
		}
		w, err := tb.Create(ctx, fmt.Sprintf("%s-%d.parquet", name, i))
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if _, err := io.Copy(w, io.NewSectionReader(r, 0, r.Size())); err != nil {
			w.Abort()
			return nil, errors.Join(err, r.Close())
		}
		if f.Path, err = w.Commit(); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		f.CreatedAt = began
		out = append(out, f)
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func rollsBack(t *testing.T, open Open) {
	tb, rows, at, snaps := filled(t, open, 4)
	v := tb.View()
	require.NoError(t, tb.Append(ctx, Move(v, "empty", feature.Position{}, At(1, 3, "")), nil), "a partition that no snapshot knows")
	other := table(t, open(), v)
	r := &offline.Rollback{ID: "back", To: snaps[1], Revision: 12}
	require.NoError(t, other.Rollback(ctx, r))
	require.NoError(t, tb.Rollback(ctx, r), "again")
	want := At(0, 20, "back")
	want.Revision = 12
	for _, h := range []offline.Table{tb, other, table(t, open(), v)} {
		st := load(t, h, offline.Version{})
		require.Equal(t, snaps[1], st.Snapshot)
		require.Equal(t, []feature.Position{want}, st.Positions)
		SameRows(t, rows[1], Read(t, h, st))
		SameRows(t, rows[3], Read(t, h, load(t, h, offline.Version{Snapshot: snaps[3]})))
	}
	all, err := tb.Rollbacks(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, []offline.MovedBack{{Topic: "events", TopicID: TopicID, Partition: 0, Was: 40, Is: 20}, {Topic: "events", TopicID: TopicID, Partition: 1, Was: 3, Is: -1}}, all[0].Moved)
	require.Equal(t, []int64{snaps[3], snaps[1]}, []int64{all[0].From, all[0].To})
	// Those who stand further on, and those who committed and did not hear of it.
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Append(ctx, Move(v, "on", at, At(0, 45, "")), nil)))
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Append(ctx, Move(v, "c3", At(0, 30, "c2"), At(0, 40, "")), nil)))
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Append(ctx, Move(v, "c2", At(0, 20, "c1"), At(0, 30, "")), nil)), "also where it began")
	require.NoError(t, tb.Append(ctx, Move(v, "c0", feature.Position{}, At(0, 10, "")), nil), "but that one is still in")
	b := gen(v, 22).Batch(0, 20, 7, false)
	require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, "again", want, At(0, 27, "")), b))
	SameRows(t, append(slices.Clone(rows[1]), Lines(b)...), Read(t, tb, load(t, tb, offline.Version{})))
}

// imports is the position of a file's rows.
func imports(id byte, next int64, commit string) feature.Position {
	return feature.Position{Topic: fmt.Sprintf("file:%d.csv", id), TopicID: [16]byte{9, id}, Partition: feature.ImportPartition, Next: next, Revision: 7, Started: Base, Commit: commit}
}

func rollsImportsBack(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	g := gen(v, 23)
	put := func(id string, from, to feature.Position) int64 {
		b := g.Batch(to.Partition, from.Next, int(to.Next-from.Next), false)
		b.Origin.Topic, b.Origin.TopicID = to.Topic, to.TopicID
		require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, id, from, to), b))
		return load(t, tb, offline.Version{}).Snapshot
	}
	var none feature.Position
	put("a1", none, imports(1, 5, ""))                         // whole before
	put("b1", none, imports(2, 5, ""))                         // goes on after
	to := put("k1", none, At(0, 5, ""))                        // here
	put("b2", imports(2, 5, "b1"), imports(2, 9, ""))          //
	put("c1", none, imports(3, 4, ""))                         // begins after
	last := put("b3", imports(2, 9, "b2"), imports(2, 11, "")) //
	// What lies before is not needed for it.
	require.NoError(t, tb.Tag(ctx, "here", to))
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "rb", To: to}))
	got, err := tb.Positions(ctx)
	require.NoError(t, err)
	require.Equal(t, []feature.Position{At(0, 5, "rb"), imports(1, 5, "a1"), imports(2, 5, "rb")}, got)
	require.Len(t, Read(t, tb, load(t, tb, offline.Version{})), 15)
	// Forward again, to what was taken off.
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "rf", To: last}))
	got, err = tb.Positions(ctx)
	require.NoError(t, err)
	require.Equal(t, []feature.Position{At(0, 5, "rf"), imports(1, 5, "a1"), imports(2, 11, "rf"), imports(3, 4, "rf")}, got)
	require.Len(t, Read(t, tb, load(t, tb, offline.Version{})), 25)
	// What is needed has expired: not guessed.
	_, err = tb.Expire(ctx, offline.ExpireOptions{Before: time.Now().Add(time.Hour).UnixMicro()})
	require.NoError(t, err)
	err = tb.Rollback(ctx, &offline.Rollback{ID: "rx", To: to})
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	var fe *feature.Error
	require.True(t, errors.As(err, &fe) && fe.Hint != "")
	require.Len(t, Read(t, tb, load(t, tb, offline.Version{})), 25)
	require.Len(t, Read(t, tb, load(t, tb, offline.Version{Tag: "here"})), 15)
}

func rollsToNothing(t *testing.T, open Open) {
	tb, rows, _, snaps := filled(t, open, 2)
	v := tb.View()
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "zero", To: 0}))
	for _, h := range []offline.Table{tb, table(t, open(), v)} {
		st := load(t, h, offline.Version{})
		require.Empty(t, st.Files)
		require.Zero(t, st.Rows)
		require.Empty(t, st.Positions)
	}
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Append(ctx, Move(v, "c0", feature.Position{}, At(0, 10, "")), nil)), "a worker that did not hear of its first commit")
	b := gen(v, 24).Batch(0, 0, 6, false)
	require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, "new", feature.Position{}, At(0, 6, "")), b))
	SameRows(t, Lines(b), Read(t, tb, load(t, tb, offline.Version{})))
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "forward", To: snaps[1]}))
	SameRows(t, rows[1], Read(t, tb, load(t, tb, offline.Version{})))
	got, err := tb.Positions(ctx)
	require.NoError(t, err)
	require.Equal(t, []feature.Position{At(0, 20, "forward")}, got)
	// A table that never had a row.
	empty := table(t, open(), View("empty"))
	require.NoError(t, empty.Append(ctx, Move(empty.View(), "m", feature.Position{}, At(0, 3, "")), nil))
	require.NoError(t, empty.Rollback(ctx, &offline.Rollback{ID: "e", To: 0}))
	got, err = empty.Positions(ctx)
	require.NoError(t, err)
	require.Empty(t, got)
}

// firstCommitLate: the first commit of a partition begins nowhere, and after a rollback
// behind it the table stands there again. One that landed long ago, and is tried once
// more by a worker that has not heard of it, names files that are no more.
func firstCommitLate(t *testing.T, open Open) {
	v := View("stats")
	tb := table(t, open(), v)
	k := &capture{Table: tb}
	b := gen(v, 26).Batch(0, 0, 10, false)
	c := Move(v, "c0", feature.Position{}, At(0, 10, ""))
	require.NoError(t, Flush(ctx, NewWriter(t, k), c, b))
	require.NoError(t, tb.Append(ctx, c, k.files))
	files := load(t, tb, offline.Version{}).Files
	made, err := Copies(tb, files, "copy")
	require.NoError(t, err)
	require.NoError(t, tb.Replace(ctx, &offline.Rewrite{ID: "rw", Gone: files, New: made}))
	done, err := tb.Expire(ctx, offline.ExpireOptions{Before: time.Now().Add(time.Hour).UnixMicro()})
	require.NoError(t, err)
	require.Equal(t, 1, done.Snapshots)
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "zero", To: 0}))
	for _, h := range []offline.Table{tb, table(t, open(), v)} {
		err := h.Append(ctx, c, k.files)
		require.Equal(t, feature.Conflict, feature.KindOf(err), "%v", err)
		require.Empty(t, Read(t, h, load(t, h, offline.Version{})))
	}
	require.NoError(t, Flush(ctx, NewWriter(t, tb), Move(v, "again", feature.Position{}, At(0, 10, "")), b))
	SameRows(t, Lines(b), Read(t, tb, load(t, tb, offline.Version{})))
}

// keptLately: what a reader pinned while it was the newest outlives its successor by the grace.
func keptLately(t *testing.T, open Open) {
	tb, rows, _, snaps := filled(t, open, 4)
	list, err := tb.History(ctx)
	require.NoError(t, err)
	// Nothing that was the newest at this time, or later, may go.
	before := list[1].CommittedAt
	_, err = tb.Expire(ctx, offline.ExpireOptions{Before: before})
	require.NoError(t, err)
	SameRows(t, rows[2], Read(t, tb, load(t, tb, offline.Version{Snapshot: snaps[2]})))
	SameRows(t, rows[1], Read(t, tb, load(t, tb, offline.Version{Snapshot: snaps[1]})))
	late := offline.ExpireOptions{Before: time.Now().Add(time.Hour).UnixMicro(), Keep: 1, DryRun: true}
	would, err := tb.Expire(ctx, late)
	require.NoError(t, err)
	late.DryRun = false
	did, err := tb.Expire(ctx, late)
	require.NoError(t, err)
	require.Equal(t, would, did)
	require.Equal(t, 2, did.Kept)
	for i, gone := range []bool{true, true, false, false} {
		_, err := tb.Load(ctx, offline.Version{Snapshot: snaps[i]})
		require.Equal(t, gone, err != nil, "snapshot %d: %v", i, err)
	}
	SameRows(t, rows[3], Read(t, tb, load(t, tb, offline.Version{})))
}

func sweepFences(t *testing.T, open Open) {
	tb, rows, at, _ := filled(t, open, 2)
	v := tb.View()
	away, g := NewWriter(t, tb), gen(v, 25)
	c := Move(v, "away", at, At(0, at.Next+5, ""))
	require.NoError(t, away.Write(ctx, g.Batch(0, at.Next, 5, false)))
	away.Cut(c)
	require.NoError(t, away.Stage(ctx, c))
	_, err := tb.Sweep(ctx, offline.SweepOptions{Before: time.Now().Add(time.Hour).UnixMicro()})
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	done, err := table(t, open(), v).Sweep(ctx, offline.SweepOptions{Before: time.Now().UnixMicro()})
	require.NoError(t, err)
	require.Zero(t, done.Files, "all too young, but fenced")
	require.Equal(t, feature.Conflict, feature.KindOf(away.Commit(ctx, c)))
	away.Discard(c)
	st := load(t, tb, offline.Version{})
	made := Regroup(t, tb, st.Files[:1], 1)
	made[0].CreatedAt = Base
	require.Equal(t, feature.Conflict, feature.KindOf(tb.Replace(ctx, &offline.Rewrite{ID: "r", Gone: st.Files[:1], New: made})))
	// The rows come again, and this time they land.
	b := g.Batch(0, at.Next, 5, false)
	require.NoError(t, Flush(ctx, away, Move(v, "again", at, At(0, at.Next+5, "")), b))
	SameRows(t, append(slices.Clone(rows[1]), Lines(b)...), Read(t, tb, load(t, tb, offline.Version{})))
}
