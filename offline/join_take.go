package offline

import (
	"context"
	"sort"
)

// takeFew is up to how many pairs of a table row and a spine row of one key are tried one by one.
const takeFew = 64

// take offers a row group's hits to the spine rows of their keys.
func (j *joiner) take(ctx context.Context, m *match, u *unit, a *active) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.rows += int64(u.rows)
	n := len(u.hits)
	if n == 0 {
		return nil
	}
	unit := int32(len(m.units))
	m.units = append(m.units, u.ref)
	for k := 0; k < n; {
		key := u.keyOf[k]
		e := k + 1
		for e < n && u.keyOf[e] == key {
			e++
		}
		lo, hi := int(a.start[key]), int(a.start[key+1])
		switch {
		case e-k == 1 && hi-lo == 1:
			if u.gate[k] <= a.time[lo] {
				m.offer(a.pos[lo], u, k, unit)
			}
		case (e-k)*(hi-lo) <= takeFew:
			for s := lo; s < hi; s++ {
				win := -1
				for i := k; i < e; i++ {
					if u.gate[i] <= a.time[s] && (win < 0 || u.x[i] >= u.x[win]) {
						win = i
					}
				}
				if win >= 0 {
					m.offer(a.pos[s], u, win, unit)
				}
			}
		default:
			m.takeMany(u, k, e, a, lo, hi, unit)
		}
		k = e
		if len(m.ties) > m.tieLimit() {
			if err := j.settle(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeMany offers the hits [from, to) of one key to the rows [lo, hi) of that key,
// which are in the order of their times. A hit is offered to the first that may
// see it and handed on from there, since every later one may see it too.
func (m *match) takeMany(u *unit, from, to int, a *active, lo, hi int, unit int32) {
	times := a.time[lo:hi]
	m.sweep = sized(m.sweep, len(times))
	for k := range m.sweep {
		m.sweep[k] = -1
	}
	for i := from; i < to; i++ {
		gate := u.gate[i]
		k := sort.Search(len(times), func(k int) bool { return times[k] >= gate })
		if k < len(times) && (m.sweep[k] < 0 || u.x[i] >= u.x[m.sweep[k]]) {
			m.sweep[k] = int32(i)
		}
	}
	win := int32(-1)
	for k, c := range m.sweep {
		// Of equal times the later hit wins, wherever it became visible.
		if c >= 0 && (win < 0 || u.x[c] > u.x[win] || u.x[c] == u.x[win] && c > win) {
			win = c
		}
		if win >= 0 {
			m.offer(a.pos[lo+k], u, int(win), unit)
		}
	}
}

// offer makes hit k of u the candidate of spine row p if it comes after the present one.
func (m *match) offer(p uint32, u *unit, k int, unit int32) {
	x := u.x[k]
	b := &m.at[p]
	switch {
	case x > m.x[p] || b.unit < 0:
		m.x[p], *b = x, standing{unit, u.hits[k]}
	case x == m.x[p]:
		if r := m.units[b.unit]; r.file == u.ref.file && r.run == u.ref.run {
			*b = standing{unit, u.hits[k]} // row groups come in their order
			return
		}
		m.ties = append(m.ties, tie{spine: p, x: x, at: standing{unit, u.hits[k]}})
	}
}
