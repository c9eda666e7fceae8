package offline

import (
	"bytes"
	"context"
	"sort"
)

// match finds the winning row of one view for each row of a sorted spine.
type match struct {
	v      *viewJoin
	spine  *sortedSpine
	units  []unitRef // row groups that hold a candidate, by candidate.unit
	best   []candidate
	open   []uint32 // spine rows that another file may still change, ascending
	tmp    []int32  // see group
	counts viewCounts
}

type viewCounts struct {
	rows   int64
	opened []bool // by file
}

// unitRef names a row group.
type unitRef struct{ file, group int }

// candidate is a table row that a spine row may take: its place in the order and
// where it stands. unit is -1 for none.
type candidate struct {
	x, known, offset int64 // x is the effective time, under the event clock the event time
	partition        int32
	unit, row        int32
}

func newMatch(v *viewJoin, s *sortedSpine) *match {
	m := &match{v: v, spine: s, best: make([]candidate, s.len()), open: make([]uint32, s.len())}
	m.counts.opened = make([]bool, len(v.state.Files))
	for i := range m.best {
		m.best[i].unit = -1
		m.open[i] = uint32(i)
	}
	return m
}

// before is the order of the rows of one key.
func (c *candidate) before(x, known int64, partition int32, offset int64) bool {
	switch {
	case c.x != x:
		return c.x < x
	case c.known != known:
		return c.known < known
	case c.partition != partition:
		return c.partition < partition
	}
	return c.offset < offset
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
		active := m.window(m.v.newest(files[0]), earliest)
		if err := j.matchFiles(ctx, m, files[:n], active); err != nil {
			return err
		}
		files = files[n:]
	}
	for _, f := range files {
		j.progress.matched(m.v.state.Files[f].Rows)
	}
	return nil
}

// window drops the spine rows that no file from here on can change: their
// candidate is newer than all that is left, or all that is left has expired for
// them. It returns those that can see anything from earliest on.
func (m *match) window(newest, earliest int64) []uint32 {
	kept := m.open[:0]
	late := 0
	for _, p := range m.open {
		if b := &m.best[p]; b.unit >= 0 && b.x > newest || m.v.ttl > 0 && m.spine.time[p]-m.v.ttl > newest {
			continue
		}
		if m.spine.time[p] >= earliest {
			late++
		}
		kept = append(kept, p)
	}
	m.open = kept
	if late == len(kept) {
		return kept
	}
	active := make([]uint32, 0, late)
	for _, p := range kept {
		if m.spine.time[p] >= earliest {
			active = append(active, p)
		}
	}
	return active
}

// matchFiles merges the files with the active spine rows: files are decoded
// ahead by other goroutines, and merged here in their order.
func (j *joiner) matchFiles(ctx context.Context, m *match, files []int, active []uint32) error {
	var first, last int64
	if len(active) > 0 {
		first, last = m.spine.time[active[0]], m.spine.time[active[0]]
		for _, p := range active {
			first, last = min(first, m.spine.time[p]), max(last, m.spine.time[p])
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var queue []<-chan decoded
	defer func() { // no goroutine reads a file after this returns
		cancel()
		for _, q := range queue {
			for range q {
			}
		}
	}()
	next := 0
	for {
		for next < len(files) && len(queue) < j.workers {
			f := files[next]
			next++
			if len(active) == 0 || m.v.earliest(f) > last || m.v.ttl > 0 && m.v.newest(f) < first-m.v.ttl {
				j.progress.matched(m.v.state.Files[f].Rows)
				continue
			}
			m.counts.opened[f] = true
			queue = append(queue, j.decodeFile(ctx, m.v, f))
		}
		if len(queue) == 0 {
			return nil
		}
		for d := range queue[0] {
			if d.err != nil {
				return d.err
			}
			back, err := j.compute(ctx)
			if err != nil {
				return err
			}
			m.merge(d.unit, active)
			m.counts.rows += int64(d.unit.rows)
			j.progress.matched(int64(d.unit.rows))
			d.unit.free()
			back()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		queue = queue[1:]
	}
}

// merge walks a row group and the active spine rows, both in key order.
func (m *match) merge(u *unit, active []uint32) {
	ref := int32(len(m.units))
	used := false
	keys, spine := &u.keys, &m.spine.keys
	n := len(keys.prefix)
	i, a := 0, 0
	for i < n && a < len(active) {
		p := int(active[a])
		switch d := compareKeys(keys, i, spine, p); {
		case d < 0:
			i = seek(i+1, n, func(k int) bool { return compareKeys(keys, k, spine, p) >= 0 })
		case d > 0:
			a = seek(a+1, len(active), func(k int) bool { return compareKeys(keys, i, spine, int(active[k])) <= 0 })
		default:
			to := i + 1
			for to < n && keys.same(to, i) {
				to++
			}
			e := a + 1
			for e < len(active) && spine.same(int(active[e]), p) {
				e++
			}
			used = m.group(u, i, to, active[a:e], ref) || used
			i, a = to, e
		}
	}
	if used {
		m.units = append(m.units, u.ref)
	}
}

// group offers the rows [from, to) of one key to the spine rows of that key,
// which are in the order of their times. A row is offered to the first that may
// see it and handed on from there, since every later one may see it too.
func (m *match) group(u *unit, from, to int, spine []uint32, ref int32) bool {
	if len(spine) == 1 {
		t := m.spine.time[spine[0]]
		win := int32(-1)
		for i := from; i < to; i++ {
			if u.gate[i] <= t && (win < 0 || u.less(int(win), i)) {
				win = int32(i)
			}
		}
		return win >= 0 && m.offer(spine[0], u, int(win), ref)
	}
	m.tmp = m.tmp[:0]
	for range spine {
		m.tmp = append(m.tmp, -1)
	}
	for i := from; i < to; i++ {
		k := sort.Search(len(spine), func(k int) bool { return m.spine.time[spine[k]] >= u.gate[i] })
		if k < len(spine) && (m.tmp[k] < 0 || u.less(int(m.tmp[k]), i)) {
			m.tmp[k] = int32(i)
		}
	}
	used, win := false, int32(-1)
	for k, p := range spine {
		if c := m.tmp[k]; c >= 0 && (win < 0 || u.less(int(win), int(c))) {
			win = c
		}
		if win >= 0 {
			used = m.offer(p, u, int(win), ref) || used
		}
	}
	return used
}

// offer makes row i of u the candidate of spine row p if it comes after the present one.
func (m *match) offer(p uint32, u *unit, i int, ref int32) bool {
	b := &m.best[p]
	if b.unit >= 0 && !b.before(u.x[i], u.known[i], u.partition[i], u.offset[i]) {
		return false
	}
	*b = candidate{x: u.x[i], known: u.known[i], offset: u.offset[i], partition: u.partition[i], unit: ref, row: u.rowOf(i)}
	return true
}

// compareKeys compares key i of a with key j of b.
func compareKeys(a *keyList, i int, b *keyList, j int) int {
	x, y := a.prefix[i], b.prefix[j]
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case !a.long:
		return 0
	}
	return bytes.Compare(a.at(i), b.at(j))
}

// same reports whether keys i and j are equal.
func (k *keyList) same(i, j int) bool {
	return k.prefix[i] == k.prefix[j] && (!k.long || bytes.Equal(k.at(i), k.at(j)))
}

// seek is the first index in [lo, n) for which f is true, n if none. It looks
// close by first, since most steps are short, then in strides that double.
func seek(lo, n int, f func(int) bool) int {
	step := 1
	for lo < n && !f(lo) {
		if lo+step >= n || f(lo+step) {
			hi := min(lo+step, n)
			lo++
			return lo + sort.Search(hi-lo, func(k int) bool { return f(lo + k) })
		}
		lo += step + 1
		step *= 2
	}
	return lo
}
