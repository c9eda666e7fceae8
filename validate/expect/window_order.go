package expect

import (
	"cmp"
	"slices"

	"github.com/weir-ml/weir/internal/wire"
)

// maxRuns is how many runs an order is known by. More are joined, those first that came first.
const maxRuns = 128

// orderState knows whether values increase or decrease, within each partition in the
// order of the offsets. A run is a stretch of offsets that was seen as one; runs are compared at
// their ends when they are joined.
type orderState struct {
	up, least  int // as orderRule has them
	live, rows int64
	unexpected int64 // in runs and between those that were joined
	late       int64 // runs that came after their neighbours were joined
	runs       []run // by partition and offset
}

type run struct {
	partition    int32
	first, last  int64 // offsets
	begin, until cell  // the first value and the last
}

func (x *orderState) kind() byte { return orderKind }

func keepOrder(col, up, least int) *keptAs {
	return &keptAs{
		begin: func(bool) state { return &orderState{up: up, least: least} },
		fold: func(st state, f *folder, b *batch) {
			x, c := st.(*orderState), &b.cols[col]
			x.live += int64(b.liveCount)
			x.rows += int64(c.count)
			if c.count == 0 {
				return
			}
			var r run
			for i := range c.present.Rows() {
				v, at := c.at(i), f.place(i)
				if r.until.kind != nullCell && at > r.last {
					if x.wrong(r.until, v) {
						x.unexpected++
					}
				} else {
					if r.until.kind != nullCell {
						x.insert(r)
					}
					r = run{partition: f.partition, first: at, begin: v}
				}
				r.last, r.until = at, v
			}
			x.insert(r)
		},
	}
}

// wrong tells whether v may not follow last.
func (x *orderState) wrong(last, v cell) bool {
	return v.compare(last)*x.up < x.least && !noDifference(v, last)
}

func compareRuns(a, b run) int {
	return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.first, b.first))
}

func (x *orderState) insert(r run) {
	i, _ := slices.BinarySearchFunc(x.runs, r, compareRuns)
	if i > 0 && x.runs[i-1].partition == r.partition && x.runs[i-1].last >= r.first {
		// What is joined cannot be taken apart: this stretch belongs within one that is there.
		x.late++
		return
	}
	x.runs = slices.Insert(x.runs, i, r)
	for len(x.runs) > maxRuns {
		x.join()
	}
}

// join makes one run of the first two neighbours of a partition, or where each partition
// has but one, forgets the first one's place.
func (x *orderState) join() {
	for i := 1; i < len(x.runs); i++ {
		a, b := &x.runs[i-1], &x.runs[i]
		if a.partition != b.partition {
			continue
		}
		if x.wrong(a.until, b.begin) {
			x.unexpected++
		}
		a.last, a.until = max(a.last, b.last), b.until
		x.runs = slices.Delete(x.runs, i, i+1)
		return
	}
	x.late++
	x.runs = x.runs[1:]
}

func (x *orderState) merge(o state) {
	p := o.(*orderState)
	if x.up != p.up || x.least != p.least {
		return // not what its key says
	}
	x.live += p.live
	x.rows += p.rows
	x.unexpected += p.unexpected
	x.late += p.late
	for _, r := range p.runs {
		x.insert(r)
	}
}

func (x *orderState) size() int64 { return 96 + int64(cap(x.runs))*120 }

func (x *orderState) append(b []byte) []byte {
	b = wire.Int(wire.Int(b, int64(x.up)), int64(x.least))
	for _, n := range []int64{x.live, x.rows, x.unexpected, x.late} {
		b = wire.Uint(b, uint64(n))
	}
	b = wire.Uint(b, uint64(len(x.runs)))
	for _, r := range x.runs {
		b = wire.Int(b, int64(r.partition))
		b = wire.Int(wire.Int(b, r.first), r.last)
		b = appendCell(appendCell(b, r.begin), r.until)
	}
	return b
}

func readOrder(r *wire.Reader) state {
	x := &orderState{up: int(r.Int()), least: int(r.Int()), live: count(r), rows: count(r), unexpected: count(r), late: count(r)}
	n := r.Length(5)
	if n > maxRuns || x.up != 1 && x.up != -1 || x.least != 0 && x.least != 1 || x.rows > x.live {
		r.Fail()
	}
	comparable := func(c cell) bool { return c.kind == timeCell || c.numeric() }
	for i := 0; i < n; i++ {
		v := run{partition: r.Int32(), first: r.Int(), last: r.Int(), begin: readCell(r), until: readCell(r)}
		if v.last < v.first || !comparable(v.begin) || !comparable(v.until) || i > 0 && compareRuns(x.runs[i-1], v) >= 0 {
			r.Fail()
			break
		}
		x.runs = append(x.runs, v)
	}
	return x
}

// joined is how many rows are unexpected when all runs are joined.
func (x *orderState) joined() int64 {
	n := x.unexpected
	for i := 1; i < len(x.runs); i++ {
		if a, b := x.runs[i-1], x.runs[i]; a.partition == b.partition && x.wrong(a.until, b.begin) {
			n++
		}
	}
	return n
}
