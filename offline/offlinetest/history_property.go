package offlinetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Ager is a table whose files can be made to look older than they are, by so much.
type Ager interface{ Age(by time.Duration) }

// History does steps random things to a table that is kept twice: once by the
// store, and once as plain lists of rows. After each step both must say the same
// of the newest state, of old versions and of tags. WEIR_TEST_SEED=N repeats one run,
// WEIR_TABLE_SEEDS makes so many.
func History(t *testing.T, steps int, fresh func(t *testing.T) Open) {
	runs := 1
	if s := os.Getenv("WEIR_TABLE_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		runs = n
	}
	for seed := range testseed.Each(t, runs) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			open := fresh(t)
			w := &chronicle{T: t, r: rand.New(rand.NewPCG(seed, 3)), open: open, tags: map[string]int64{}, view: View("stats"), did: map[string]int{}, read: map[string][]string{}}
			w.view.Version = 1
			w.handles = []offline.Table{table(t, open(), w.view)}
			w.states = map[int64]*chapter{0: {}}
			for w.step = range steps {
				w.one()
				w.check()
			}
			t.Logf("%v", w.did)
		})
	}
}

// chronicle is the plain account of one table.
type chronicle struct {
	*testing.T
	r       *rand.Rand
	open    Open
	view    *feature.View
	handles []offline.Table
	states  map[int64]*chapter // by snapshot; those that were forgotten too
	current int64
	at      []feature.Position // now
	tags    map[string]int64
	landed  []commitment // commits that landed, with their files
	step    int
	names   int
	did     map[string]int
	read    map[string][]string // rows by view and file, which never change
}

// chapter is one snapshot.
type chapter struct {
	parent  int64
	rows    []map[string]string // by what the columns are kept under
	at      []feature.Position
	made    int64
	order   int
	gone    bool
	blurred bool // something else was the newest within the same millisecond
}

type commitment struct {
	c        *feature.Commit
	files    []offline.File
	snapshot int64
}

func (w *chronicle) table() offline.Table { return w.handles[w.r.IntN(len(w.handles))] }

func (w *chronicle) name(what string) string {
	w.names++
	return fmt.Sprintf("%s-%d", what, w.names)
}

func (w *chronicle) one() {
	what := []struct {
		odds int
		name string
		do   func()
	}{
		{40, "append", w.append}, {10, "move", w.move}, {8, "import", w.imported}, {12, "rewrite", w.rewrite}, {7, "rollback", w.rollback},
		{6, "expire", w.expire}, {4, "sweep", w.sweep}, {5, "tag", w.tag}, {3, "untag", w.untag}, {4, "reopen", w.reopen},
		{4, "evolve", w.evolve}, {8, "zombie", w.zombie}, {4, "late", w.late},
	}
	all := 0
	for _, x := range what {
		all += x.odds
	}
	n := w.r.IntN(all)
	for _, x := range what {
		if n -= x.odds; n < 0 {
			w.did[x.name]++
			x.do()
			return
		}
	}
}

// capture is a table whose commits are kept, not made.
type capture struct {
	offline.Table
	files []offline.File
}

func (c *capture) Append(_ context.Context, _ *feature.Commit, files []offline.File) error {
	c.files = files
	return nil
}

// stage writes the rows of a commit into files.
func (w *chronicle) stage(tb offline.Table, c *feature.Commit, b *feature.Batch) []offline.File {
	k := &capture{Table: tb}
	require.NoError(w, Flush(ctx, NewWriter(w, k), c, b))
	return k.files
}

func (w *chronicle) next(parts []int32) (feature.Position, feature.Position) {
	p := At(parts[w.r.IntN(len(parts))], 0, "")
	if p.Partition < 0 {
		id := byte(w.r.IntN(4))
		p.Topic, p.TopicID, p.Started = fmt.Sprintf("file:%d.csv", id), [16]byte{9, id}, Base
	}
	from, _ := offline.Find(w.at, p)
	p.Next = from.Next
	return from, p
}

func (w *chronicle) commit(parts ...int32) (*feature.Commit, *feature.Batch) {
	from, to := w.next(parts)
	n := 1 + w.r.IntN(8)
	g := &Gen{R: w.r, View: w.view, Days: 2}
	b := g.Batch(to.Partition, to.Next, n, w.r.IntN(2) == 0)
	b.Origin.Topic, b.Origin.TopicID = to.Topic, to.TopicID
	to.Next = b.Origin.Next
	return Move(w.view, w.name("c"), from, to), b
}

func (w *chronicle) append()   { w.land(w.commit(0, 1, 2)) }
func (w *chronicle) imported() { w.land(w.commit(-1, -2)) }

func (w *chronicle) land(c *feature.Commit, b *feature.Batch) {
	tb := w.table()
	files := w.stage(tb, c, b)
	require.NoError(w, tb.Append(ctx, c, files))
	w.note(c, b, files)
}

func (w *chronicle) note(c *feature.Commit, b *feature.Batch, files []offline.File) {
	w.at = offline.Advanced(w.at, c)
	w.turn(append(slices.Clone(w.states[w.current].rows), cellsOf(b)...))
	w.landed = append(w.landed, commitment{c, files, w.current})
}

// turn notes that the store has a new snapshot.
func (w *chronicle) turn(rows []map[string]string) {
	st := load(w, w.table(), offline.Version{})
	require.NotContains(w, w.states, st.Snapshot, "a snapshot of its own")
	if was := w.states[w.current]; was.made/1000 >= st.CommittedAt/1000 {
		was.blurred = true
	}
	w.states[st.Snapshot] = &chapter{parent: w.current, rows: rows, at: slices.Clone(w.at), made: st.CommittedAt, order: len(w.states)}
	w.current = st.Snapshot
}

// cellsOf are the rows of a batch by what their columns are kept under.
func cellsOf(b *feature.Batch) (out []map[string]string) {
	for _, l := range Lines(b) {
		row, cols := map[string]string{}, offline.ViewColumns(b.View)
		for i, c := range cols {
			l = strings.TrimPrefix(l, c.Name+"=")
			value := l
			if i+1 < len(cols) {
				value, l, _ = strings.Cut(l, " "+cols[i+1].Name+"=")
			}
			row[c.Stored] = value
		}
		out = append(out, row)
	}
	return out
}

// move commits positions without rows.
func (w *chronicle) move() {
	from, to := w.next([]int32{0, 1, 2})
	to.Next += int64(w.r.IntN(3))
	c := Move(w.view, w.name("m"), from, to)
	require.NoError(w, w.table().Append(ctx, c, nil))
	w.at = offline.Advanced(w.at, c)
}

func (w *chronicle) rewrite() {
	tb := w.table()
	files := SameDay(w.r, load(w, tb, offline.Version{}).Files)
	if len(files) == 0 {
		return
	}
	r := &offline.Rewrite{ID: w.name("rw"), Gone: files, New: Regroup(w, tb, files, 1+w.r.IntN(3))}
	require.NoError(w, tb.Replace(ctx, r))
	w.turn(w.states[w.current].rows)
	require.NoError(w, w.table().Replace(ctx, r), "again")
	again := *r
	again.ID = w.name("rw")
	require.Equal(w, feature.Conflict, feature.KindOf(w.table().Replace(ctx, &again)), "what is gone is gone")
}

// told are all snapshots, the oldest first: the stores' numbers for them say nothing of that, and differ each time.
func (w *chronicle) told() []int64 {
	return slices.SortedFunc(maps.Keys(w.states), func(a, b int64) int { return cmp.Compare(w.states[a].order, w.states[b].order) })
}

func (w *chronicle) alive() (out []int64) {
	for _, id := range w.told() {
		if id != 0 && !w.states[id].gone {
			out = append(out, id)
		}
	}
	return out
}

func (w *chronicle) rollback() {
	to := int64(0)
	if live := w.alive(); len(live) > 0 && w.r.IntN(6) > 0 {
		// Mostly to one of the newest few, as people do.
		to = live[len(live)-1-w.r.IntN(min(len(live), 8))]
	}
	r := &offline.Rollback{ID: w.name("rb"), To: to, Revision: []int64{0, 11}[w.r.IntN(2)]}
	said, refused := w.table().PositionsAt(ctx, to)
	err := w.table().Rollback(ctx, r)
	require.Equal(w, feature.KindOf(refused), feature.KindOf(err), "%v, and said before: %v", err, refused)
	if err != nil {
		w.did["rollback refused"]++
		require.Equal(w, feature.Invalid, feature.KindOf(err), "%v", err)
		require.True(w, slices.ContainsFunc(slices.Collect(maps.Values(w.states)), func(c *chapter) bool { return c.gone }), "nothing has expired: %v", err)
		return
	}
	was := w.at
	w.at = nil
	for _, p := range w.states[to].at {
		if p.Partition >= 0 {
			p.Commit = r.ID
			if r.Revision != 0 {
				p.Revision = r.Revision
			}
		} else if q, ok := offline.Find(was, p); !ok || q.Next != p.Next {
			p.Commit = r.ID
			if r.Revision != 0 {
				p.Revision = r.Revision
			} else if now, err := w.table().Positions(ctx); err == nil {
				// That of the commit which put it there, or of a rollback since, where a snapshot kept it.
				if q, ok := offline.Find(now, p); ok && slices.Contains([]int64{7, 11}, q.Revision) {
					p.Revision = q.Revision
				}
			}
		} else {
			p = q
		}
		w.at = append(w.at, p)
	}
	w.states[w.current].blurred = true
	require.Empty(w, offline.MovedBetween(said, w.at), "what was said before")
	st := load(w, w.table(), offline.Version{})
	if to == 0 && st.Snapshot != 0 && st.Snapshot != w.current {
		w.states[st.Snapshot] = &chapter{made: st.CommittedAt, order: len(w.states)}
		w.current = st.Snapshot
	} else {
		w.current = to
	}
	if w.current != 0 {
		w.states[w.current].blurred = true // it begins again
	}
	require.NoError(w, w.table().Rollback(ctx, r), "again")
	all, err := w.table().Rollbacks(ctx)
	require.NoError(w, err)
	require.Equal(w, r.ID, all[len(all)-1].ID)
	require.LessOrEqual(w, len(all), 20)
	for _, m := range all[len(all)-1].Moved {
		p := feature.Position{TopicID: m.TopicID, Partition: m.Partition}
		for _, x := range []struct {
			at   []feature.Position
			next int64
		}{{was, m.Was}, {w.at, m.Is}} {
			if q, ok := offline.Find(x.at, p); ok {
				require.Equal(w, q.Next, x.next)
			} else {
				require.Equal(w, int64(-1), x.next)
			}
		}
	}
}

func (w *chronicle) expire() {
	o := offline.ExpireOptions{Keep: w.r.IntN(6), DryRun: w.r.IntN(4) == 0}
	everything := w.r.IntN(2) == 0
	if live := w.alive(); everything || len(live) == 0 {
		o.Before = time.Now().Add(time.Hour).UnixMicro()
	} else {
		o.Before = w.states[live[w.r.IntN(len(live))]].made
	}
	keep := map[int64]bool{}
	for id, n := w.current, 0; id != 0 && n <= o.Keep; id, n = w.states[id].parent, n+1 {
		keep[id] = true
	}
	for _, id := range w.tags {
		keep[id] = true
	}
	done, err := w.table().Expire(ctx, o)
	require.NoError(w, err)
	left := map[int64]bool{}
	list, err := w.table().History(ctx)
	require.NoError(w, err)
	for _, s := range list {
		left[s.ID] = true
	}
	had := w.alive()
	require.Equal(w, len(had), done.Snapshots+done.Kept)
	if o.DryRun {
		require.Len(w, left, len(had))
		return
	}
	require.Len(w, left, done.Kept)
	for _, id := range had {
		s := w.states[id]
		switch {
		case keep[id]:
			require.True(w, left[id], "snapshot %d must be kept", id)
		case everything:
			require.False(w, left[id], "snapshot %d must go", id)
		case s.made >= o.Before:
			require.True(w, left[id], "snapshot %d stopped after that time", id)
		}
		s.gone = !left[id]
	}
}

func (w *chronicle) sweep() {
	tb := w.table()
	ager, ok := tb.(Ager)
	require.True(w, ok, "a test of sweeps needs Age")
	ager.Age(3 * time.Hour)
	o := offline.SweepOptions{Before: time.Now().UnixMicro(), DryRun: w.r.IntN(4) == 0}
	if w.r.IntN(2) == 0 {
		o.Before = Base // nothing is that old
	}
	c, b := w.commit(0, 1, 2)
	files := w.stage(tb, c, b)
	if o.Before != Base {
		o.Before = time.Now().UnixMicro()
	}
	done, err := tb.Sweep(ctx, o)
	require.NoError(w, err)
	err = w.table().Append(ctx, c, files)
	if o.DryRun || o.Before == Base {
		require.NoError(w, err)
		w.note(c, b, files)
		return
	}
	require.Equal(w, feature.Conflict, feature.KindOf(err), "begun before the sweep")
	w.did["swept"] += done.Files
	done, err = tb.Sweep(ctx, o)
	require.NoError(w, err)
	require.Zero(w, done.Files, "nothing left")
}

func (w *chronicle) tag() {
	live := w.alive()
	if len(live) == 0 || len(w.tags) >= 3 {
		return
	}
	id, name := live[w.r.IntN(len(live))], w.name("tag")
	require.NoError(w, w.table().Tag(ctx, name, id))
	w.tags[name] = id
}

func (w *chronicle) untag() {
	names := slices.Sorted(maps.Keys(w.tags))
	if len(names) == 0 {
		return
	}
	name := names[w.r.IntN(len(names))]
	require.NoError(w, w.table().Untag(ctx, name))
	require.NoError(w, w.table().Untag(ctx, name), "again")
	delete(w.tags, name)
}

func (w *chronicle) reopen() {
	h := table(w, w.open(), w.view)
	if len(w.handles) < 3 {
		w.handles = append(w.handles, h)
	} else {
		w.handles[w.r.IntN(3)] = h
	}
}

// evolve adds a feature, renames one, or widens one.
func (w *chronicle) evolve() {
	next := *w.view
	next.Version++
	next.Features = slices.Clone(w.view.Features)
	i := w.r.IntN(len(next.Features))
	f := &next.Features[i]
	switch w.r.IntN(3) {
	case 0:
		if len(next.Features) > 16 {
			return
		}
		next.Features = append(next.Features, feature.Field{Name: fmt.Sprintf("more_%d", next.Version), Type: []feature.Type{feature.Int32, feature.String, feature.Float64}[w.r.IntN(3)]})
	case 1:
		f.Column = f.Stored()
		f.Name = fmt.Sprintf("renamed_%d", next.Version)
	default:
		if f.Type != feature.Int32 {
			return
		}
		f.Type = feature.Int64
	}
	w.view, w.handles = &next, nil
	w.reopen()
}

// zombie sends a commit again that landed once.
func (w *chronicle) zombie() {
	if len(w.landed) == 0 {
		return
	}
	x := w.landed[w.r.IntN(len(w.landed))]
	err := w.table().Append(ctx, x.c, x.files)
	on, cut := false, false
	for id := w.current; id != 0 && !on; id = w.states[id].parent {
		on, cut = id == x.snapshot, cut || w.states[id].gone
	}
	switch {
	case w.states[x.snapshot].gone, cut: // nobody can tell any more
		if err != nil {
			require.Equal(w, feature.Conflict, feature.KindOf(err), "%v", err)
		}
	case on:
		require.NoError(w, err)
	default:
		require.Equal(w, feature.Conflict, feature.KindOf(err), "it was rolled back")
	}
}

// late commits from where the table stood a while ago.
func (w *chronicle) late() {
	live := w.alive()
	if len(live) == 0 {
		return
	}
	for _, p := range w.states[live[w.r.IntN(len(live))]].at {
		if now, ok := offline.Find(w.at, p); ok && now.Commit == p.Commit {
			continue
		}
		to := p
		to.Next += 5
		err := w.table().Append(ctx, Move(w.view, w.name("late"), p, to), nil)
		require.Equal(w, feature.Conflict, feature.KindOf(err), "%v", err)
	}
}

// same compares a state with what must be in it.
func (w *chronicle) same(tb offline.Table, v offline.Version, want *chapter) {
	st, err := tb.Load(ctx, v)
	require.NoError(w, err, "step %d: %s", w.step, v)
	var lines []string
	for _, row := range want.rows {
		var cells []string
		for _, c := range tb.Columns() {
			value, ok := row[c.Stored]
			if !ok {
				value = "null"
			}
			cells = append(cells, c.Name+"="+value)
		}
		lines = append(lines, strings.Join(cells, " "))
	}
	var got []string
	for _, f := range st.Files {
		key := fmt.Sprint(tb.View().Version, " ", f.Path)
		if _, ok := w.read[key]; !ok {
			w.read[key] = readFile(w, tb, f)
		}
		r, err := tb.Open(ctx, f.Path) // it is still there
		require.NoError(w, err, "step %d: %s", w.step, v)
		require.NoError(w, r.Close())
		got = append(got, w.read[key]...)
	}
	require.Equal(w, st.Rows, int64(len(got)))
	SameRows(w, lines, got)
}

func (w *chronicle) check() {
	tb := w.table()
	w.same(tb, offline.Version{}, w.states[w.current])
	at, err := tb.Positions(ctx)
	require.NoError(w, err)
	if len(at)+len(w.at) > 0 {
		require.Equal(w, w.at, at, "step %d: positions", w.step)
	}
	for _, name := range slices.Sorted(maps.Keys(w.tags)) {
		w.same(w.table(), offline.Version{Tag: name}, w.states[w.tags[name]])
	}
	live := w.alive()
	list, err := tb.History(ctx)
	require.NoError(w, err)
	require.Len(w, list, len(live))
	for _, s := range list {
		require.Equal(w, int64(len(w.states[s.ID].rows)), s.Rows)
		require.Equal(w, s.ID == w.current, s.Current)
	}
	for range min(2, len(live)) {
		id := live[w.r.IntN(len(live))]
		w.same(tb, offline.Version{Snapshot: id}, w.states[id])
	}
	for _, id := range w.told() {
		if id == 0 || w.r.IntN(len(w.states)) > 1 {
			continue
		}
		s := w.states[id]
		if s.gone {
			_, err := tb.Load(ctx, offline.Version{Snapshot: id})
			require.Equal(w, feature.NotFound, feature.KindOf(err))
		}
		if !s.blurred {
			v := offline.Version{At: s.made}
			if _, err := tb.Load(ctx, v); feature.KindOf(err) == feature.NotFound && err != nil {
				require.True(w, slices.ContainsFunc(slices.Collect(maps.Values(w.states)), func(c *chapter) bool { return c.gone }), "nothing has expired: %v", err)
			} else {
				w.same(tb, v, s)
			}
		}
	}
}
