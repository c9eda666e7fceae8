package offline

import (
	"context"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"
)

// match finds the winning row of one view for each row of a sorted spine. What it
// keeps for a spine row is the time of the best candidate so far and where that
// stands; what else orders rows of one key is looked up only where two files
// have rows of the same key and time (see tie).
type match struct {
	v      *viewJoin
	spine  *sortedSpine
	open   []uint32 // spine rows that another file may still change, ascending
	counts viewCounts

	mu    sync.Mutex // of all below, while files are matched
	x     []int64    // by spine row: time of its candidate, noTime for none
	at    []standing // by spine row: where its candidate stands
	units []unitRef  // row groups that hold a candidate
	ties  []tie
	sweep []int32 // see takeMany
}

// noTime is before all times; a row may have it, so standing tells whether there is a candidate.
const noTime = math.MinInt64

type viewCounts struct {
	rows   int64
	opened []bool // by file
}

// unitRef names a row group. Rows of one file stand in the table's order
// throughout a run, so of two with the same key and time the later one wins.
type unitRef struct{ file, group, run int }

// standing is a row of a row group: unit is an index of match.units, -1 for none.
type standing struct{ unit, row int32 }

func newMatch(v *viewJoin, s *sortedSpine) *match {
	n := s.len()
	m := &match{v: v, spine: s, x: make([]int64, n), at: make([]standing, n), open: make([]uint32, n)}
	m.counts.opened = make([]bool, len(v.state.Files))
	for i := range n {
		m.x[i], m.at[i].unit, m.open[i] = noTime, -1, uint32(i)
	}
	return m
}

// match goes through the files, newest first, in windows: stretches with about
// as many rows as the spine. At the start of each, spine rows that are settled
// leave for good, and those too early for all of the window sit it out.
func (j *joiner) match(ctx context.Context, m *match) error {
	files := m.v.order
	for len(files) > 0 && len(m.open) > 0 {
		n, rows, earliest := 0, int64(0), int64(UnknownMax)
		for n < len(files) && (n == 0 || rows < int64(m.spine.len())/2) {
			rows += m.v.state.Files[files[n]].Rows
			earliest = min(earliest, m.v.earliest(files[n]))
			n++
		}
		if err := j.matchFiles(ctx, m, files[:n], m.window(m.v.newest(files[0]), earliest)); err != nil {
			return err
		}
		files = files[n:]
	}
	for _, f := range files {
		j.progress.matched(m.v.state.Files[f].Rows)
	}
	return j.settle(ctx, m)
}

// active is the part of the spine that a window's files are matched with: the
// distinct keys, and the rows of each in the order of their times.
type active struct {
	keys        keyList
	start       []uint32 // by key: where its rows begin; one more for the end
	pos         []uint32 // by row: in the sorted spine
	time        []int64
	first, last int64 // of time
}

// window drops the spine rows that no file from here on can change: their
// candidate is newer than all that is left, or all that is left has expired for
// them. It returns those that can see anything from earliest on.
func (m *match) window(newest, earliest int64) *active {
	expired := int64(math.MaxInt64) // spine times after it see nothing that is left
	if m.v.ttl > 0 && newest <= math.MaxInt64-m.v.ttl {
		expired = newest + m.v.ttl
	}
	kept, late := m.open[:0], 0
	for _, p := range m.open {
		t := m.spine.time[p]
		if m.x[p] > newest || t > expired {
			continue
		}
		if t >= earliest {
			late++
		}
		kept = append(kept, p)
	}
	m.open = kept
	a := &active{pos: make([]uint32, 0, late), time: make([]int64, 0, late), first: math.MaxInt64, last: math.MinInt64}
	a.keys.reset(m.spine.keys.long)
	for _, p := range kept {
		t := m.spine.time[p]
		if t < earliest {
			continue
		}
		a.first, a.last = min(a.first, t), max(a.last, t)
		if n := len(a.pos); n == 0 || !m.spine.keys.same(int(p), int(a.pos[n-1])) {
			a.start = append(a.start, uint32(n))
			a.keys.addFrom(&m.spine.keys, int(p))
		}
		a.pos, a.time = append(a.pos, p), append(a.time, t)
	}
	a.start = append(a.start, uint32(len(a.pos)))
	return a
}

// matchFiles matches some files with the active spine rows, several at once and in any order.
func (j *joiner) matchFiles(ctx context.Context, m *match, files []int, a *active) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(j.workers)
	for _, f := range files {
		if len(a.pos) == 0 || m.v.earliest(f) > a.last || m.v.ttl > 0 && m.v.newest(f) < a.first-m.v.ttl {
			j.progress.matched(m.v.state.Files[f].Rows)
			continue
		}
		m.counts.opened[f] = true
		g.Go(func() error { return j.matchFile(gctx, m, f, a) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// matchFile matches the row groups of a file, in order.
func (j *joiner) matchFile(ctx context.Context, m *match, file int, a *active) (err error) {
	back, err := j.compute(ctx)
	if err != nil {
		return err
	}
	defer back()
	path := m.v.state.Files[file].Path
	defer guard(path, "", &err)
	d, err := openData(ctx, m.v.table, path)
	if err != nil {
		return err
	}
	defer d.close()
	u := unitPool.Get().(*unit)
	defer unitPool.Put(u)
	u.begin(file, m.v.state.Files[file].Sorted)
	for group, g := range d.pf.RowGroups() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := u.read(ctx, m.v, d, group, a); err != nil {
			return err
		}
		if err := j.take(ctx, m, u, a); err != nil {
			return err
		}
		j.progress.matched(g.NumRows())
	}
	return nil
}
