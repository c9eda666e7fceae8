package drift

import "slices"

// cells lines the categories of two sketches up, each with the rows that it has in the one
// and in the other. They are exact: where one of the sketches has too many categories to
// count each, the cells are the groups that both count (see categories).
func cells(ref, cur *Sketch) (a, b []float64) {
	x, y := &ref.cat, &cur.cat
	if x.wide != nil || y.wide != nil {
		if x.other+y.other > 0 {
			// One was stored by an older version, with rows in no group: nothing is told apart.
			return []float64{float64(ref.Count)}, []float64{float64(cur.Count)}
		}
		g, h := x.groups(), y.groups()
		for i := range g {
			if g[i]+h[i] > 0 {
				a, b = append(a, float64(g[i])), append(b, float64(h[i]))
			}
		}
		return a, b
	}
	// With rows that older versions have not counted, only what both have counted gets a cell; the rest is one cell.
	exact := x.exact() && y.exact()
	var names []string
	for _, c := range x.sorted() {
		if exact || y.of(c.Value) > 0 {
			names = append(names, c.Value)
		}
	}
	if exact {
		for _, c := range y.sorted() {
			if x.of(c.Value) == 0 {
				names = append(names, c.Value)
			}
		}
	}
	slices.Sort(names)
	restA, restB := ref.Count, cur.Count
	for _, v := range names {
		i, k := x.of(v), y.of(v)
		restA, restB = restA-i, restB-k
		a, b = append(a, float64(i)), append(b, float64(k))
	}
	if restA > 0 || restB > 0 {
		a, b = append(a, float64(restA)), append(b, float64(restB))
	}
	return a, b
}

// groups are the counts by group, whether or not there are too many values to count each.
func (c *categories) groups() [buckets]int64 {
	if c.wide != nil {
		return c.wide.groups
	}
	var w wide
	c.eachHash(w.add)
	return w.groups
}
