package offline

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

// winners are the rows of one row group that some spine row takes, ascending;
// row rows[k] goes to place to[k] of the output.
type winners struct {
	ref  unitRef
	rows []int32
	to   []uint32
}

// fetch fills the view's output columns from the winning rows: a task for each
// file, which reads every wanted column once, forward.
func (j *joiner) fetch(ctx context.Context, m *match, rows int, out []feature.Vector) error {
	for i, ci := range m.v.outputs {
		out[ci].Reset(m.v.columns[i].Type, rows)
	}
	groups := m.winners()
	m.x, m.at, m.open, m.units = nil, nil, nil, nil
	slices.SortFunc(groups, func(a, b winners) int {
		return cmp.Or(cmp.Compare(a.ref.file, b.ref.file), cmp.Compare(a.ref.group, b.ref.group))
	})
	total := 0
	for _, w := range groups {
		total += len(w.rows)
	}
	j.progress.fetching(m.v, total)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(j.workers)
	for len(groups) > 0 {
		n := 1
		for n < len(groups) && groups[n].ref.file == groups[0].ref.file {
			n++
		}
		task := groups[:n]
		groups = groups[n:]
		g.Go(func() error {
			back, err := j.compute(ctx)
			if err != nil {
				return err
			}
			defer back()
			return j.fetchFile(ctx, m.v, task, out)
		})
	}
	return g.Wait()
}

// winners sorts the candidates that hold by where they stand.
func (m *match) winners() []winners {
	counts := make([]int, len(m.units))
	for p := range m.at {
		b := &m.at[p]
		if b.unit >= 0 && m.v.ttl > 0 && m.x[p] < m.spine.time[p]-m.v.ttl {
			b.unit = -1 // expired
		}
		if b.unit >= 0 {
			counts[b.unit]++
		}
	}
	m.x = nil
	groups := make([]winners, len(m.units))
	for i, n := range counts {
		groups[i] = winners{ref: m.units[i], rows: make([]int32, 0, n), to: make([]uint32, 0, n)}
	}
	for p := range m.at {
		if b := &m.at[p]; b.unit >= 0 {
			g := &groups[b.unit]
			g.rows, g.to = append(g.rows, b.row), append(g.to, m.spine.row[p])
		}
	}
	groups = slices.DeleteFunc(groups, func(w winners) bool { return len(w.rows) == 0 })
	for i := range groups {
		groups[i].sort()
	}
	return groups
}

// sort puts the rows in file order, in which they mostly are: the spine was
// walked in key order, and within a key later times take later rows.
func (w *winners) sort() {
	if slices.IsSorted(w.rows) {
		return
	}
	type pair struct {
		row int32
		to  uint32
	}
	pairs := make([]pair, len(w.rows))
	for i := range pairs {
		pairs[i] = pair{w.rows[i], w.to[i]}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.to, b.to)) })
	for i, p := range pairs {
		w.rows[i], w.to[i] = p.row, p.to
	}
}

func (j *joiner) fetchFile(ctx context.Context, v *viewJoin, task []winners, out []feature.Vector) (err error) {
	defer guard(v.state.Files[task[0].ref.file].Path, "", &err)
	d, err := openData(ctx, v.table, v.state.Files[task[0].ref.file].Path)
	if err != nil {
		return err
	}
	defer d.close()
	d.texts = j.texts
	for _, w := range task {
		live, err := v.living(ctx, d, w)
		if err != nil {
			return err
		}
		for i, c := range v.columns {
			if err := d.fetchColumn(ctx, live.ref.group, c, live, &out[v.outputs[i]]); err != nil {
				return err
			}
		}
		j.progress.fetched(len(w.rows))
	}
	return nil
}

// fetchColumn reads the wanted rows of a column into their places; a column newer than the file stays null.
func (d *dataFile) fetchColumn(ctx context.Context, group int, c Column, w winners, dst *feature.Vector) error {
	chunk, err := d.chunk(group, c)
	if err != nil || chunk == nil || len(w.rows) == 0 {
		return err
	}
	return d.pickRows(ctx, chunk, c.Name, w.rows, w.to, dst)
}

// pickRows is pick over all pages of a column chunk.
func (d *dataFile) pickRows(ctx context.Context, chunk *columnChunk, name string, rows []int32, to []uint32, dst *feature.Vector) error {
	left := rows
	err := d.pages(ctx, chunk, name, rows, func(p *page) error {
		n, err := pick(dst, p, left, to)
		if err == nil {
			err = d.texts.took(dst, n, p.copied)
		}
		left, to = left[n:], to[n:]
		return err
	})
	if err == nil && len(left) > 0 {
		err = dataError(d.path, name, fmt.Errorf("row %d lies behind the end of the column", left[0]))
	}
	return err
}

// living drops winners that are tombstones: their key was deleted then.
func (v *viewJoin) living(ctx context.Context, d *dataFile, w winners) (winners, error) {
	c := v.systemColumn(ColTombstone, feature.Bool)
	chunk, err := d.chunk(w.ref.group, c)
	if err != nil {
		return w, err
	}
	if _, most, ok := chunk.Bounds(); ok && !most.IsNull() && !most.Boolean() {
		return w, nil // the footer says there are none
	}
	var dead feature.Vector
	dead.Reset(feature.Bool, len(w.rows))
	places := make([]uint32, len(w.rows))
	for i := range places {
		places[i] = uint32(i)
	}
	if err := d.pickRows(ctx, chunk, c.Name, w.rows, places, &dead); err != nil {
		return w, err
	}
	live := winners{ref: w.ref}
	for i, r := range w.rows {
		if !dead.Bools[i] {
			live.rows, live.to = append(live.rows, r), append(live.to, w.to[i])
		}
	}
	return live, nil
}
