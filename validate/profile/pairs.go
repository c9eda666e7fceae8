package profile

import "github.com/weir-ml/weir/registry/feature"

// What columns say about each other.

const (
	fewValues   = 8  // of a column whose combinations with others are counted
	pairColumns = 24 // such columns, at most
)

// pairs counts which values of two columns come together. The code of a value is
// its place in the order in which the column's values came, so it stays the same.
type pairs struct {
	begun  bool
	counts map[[2]int]*combinations
}

type combinations [fewValues][fewValues]int64

func newPairs() *pairs { return &pairs{counts: map[[2]int]*combinations{}} }

// paired reports whether a column still takes part.
func paired(c *column) bool { return c.few() && len(c.values.list) <= fewValues }

// begin chooses the columns, at the first rows: one that joined later would be
// missing the combinations before.
func (p *pairs) begin(cols []*column) {
	p.begun = true
	var in []int
	for i, c := range cols {
		if len(in) < pairColumns && c.values != nil && (c.present == 0 || paired(c)) {
			in = append(in, i)
		}
	}
	for k, a := range in {
		for _, b := range in[k+1:] {
			p.counts[[2]int{a, b}] = new(combinations)
		}
	}
}

func (p *pairs) add(cols []*column, rows int) {
	if rows == 0 {
		return
	}
	if !p.begun {
		p.begin(cols)
	}
	for key, m := range p.counts {
		a, b := cols[key[0]], cols[key[1]]
		if a.values.many || b.values.many || len(a.values.list) > fewValues || len(b.values.list) > fewValues {
			delete(p.counts, key)
			continue
		}
		y := b.codes
		for i, x := range a.codes {
			if x != noCode && y[i] != noCode {
				m[x&(fewValues-1)][y[i]&(fewValues-1)]++
			}
		}
	}
}

// order knows of which two columns one is never below the other.
type order struct {
	alive []ordered
}

type ordered struct {
	a, b     int
	together int64 // rows in which both are there
	equal    int64
}

const orderColumns = 12

func newOrder(cols []*column) *order {
	var in []int
	for i, c := range cols {
		if (c.typ.Numeric() || c.typ == feature.Timestamp) && c.values != nil && len(in) < orderColumns {
			in = append(in, i)
		}
	}
	o := &order{}
	for _, a := range in {
		for _, b := range in {
			if a != b && cols[a].typ == cols[b].typ {
				o.alive = append(o.alive, ordered{a: a, b: b})
			}
		}
	}
	return o
}

func (o *order) add(cols []*column, rows int) {
	keep := o.alive[:0]
	for _, p := range o.alive {
		x, y := cols[p.a].floats, cols[p.b].floats
		if len(x) != rows || len(y) != rows {
			continue
		}
		holds := true
		for i := range x {
			if x[i] < y[i] {
				holds = false
				break
			}
			if x[i] == y[i] {
				p.equal++
			}
			if x[i] >= y[i] {
				p.together++
			} else {
				holds = false // one of them is null: what a pair of those counts as differs
				break
			}
		}
		if holds {
			keep = append(keep, p)
		}
	}
	o.alive = keep
}
