package decode

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// viewColumns is one view's batch under construction.
type viewColumns struct {
	view   *feature.View
	schema *arrow.Schema
	keys   int // the first columns are the join keys
	cols   []column

	rows    int // finished rows
	room    int // rows the slices have room for; 0 until the first row
	expect  int // rows that the batch will probably have
	last    int // rows of the batch before
	offsets []int64
	event   []int64
	known   []int64
	tomb    []bool // nil until the first tombstone
	begun   bool   // a row was begun and not finished

	rejected []Rejected
}

const (
	leastRoom = 64      // rows
	leastText = 1 << 20 // bytes of a column that may be expected whatever the batch before had
)

// reset forgets the batch; memory for the next is taken with its first row, so
// that a decoder which nobody uses holds none.
func (v *viewColumns) reset() {
	v.last, v.expect = v.rows, v.rows
	v.rows, v.room, v.begun = 0, 0, false
	v.offsets, v.event, v.known, v.tomb = nil, nil, nil, nil
	for i := range v.cols {
		c := &v.cols[i]
		c.size, c.data = len(c.data), nil
		c.valid, c.bits, c.i32, c.i64, c.f32, c.f64, c.off = nil, nil, nil, nil, nil, nil, nil
	}
}

// open takes memory for the expected rows, whose texts are as long as the last ones;
// but little more than those took in all, for a few long ones tell nothing of many rows.
func (v *viewColumns) open() {
	for i := range v.cols {
		if c := &v.cols[i]; c.size > 0 && v.last > 0 {
			room := float64(c.size) / float64(v.last) * float64(v.expect) * 17 / 16
			c.data = make([]byte, 0, int(min(room, float64(max(c.size*17/16, leastText)))))
		}
	}
	v.grow(max(v.expect, leastRoom))
}

func (v *viewColumns) grow(n int) {
	n = (n + 7) &^ 7
	for i := range v.cols {
		v.cols[i].resize(n, v.rows)
	}
	v.offsets, v.event, v.known = grown(v.offsets, n, v.rows), grown(v.event, n, v.rows), grown(v.known, n, v.rows)
	if v.tomb != nil {
		v.tomb = grown(v.tomb, n, v.rows)
	}
	v.room = n
}

// start makes room for a row and clears away what a row given up has left.
func (v *viewColumns) start() {
	switch {
	case v.room == 0:
		v.open()
	case v.rows == v.room:
		v.grow(2 * v.room)
	}
	if v.begun {
		for i := range v.cols {
			if c := &v.cols[i]; c.off != nil {
				c.data = c.data[:c.off[v.rows]]
			}
		}
	}
	v.begun = true
}

// put writes the values of a row; false at the first that does not fit. The row
// counts only after finish.
func (v *viewColumns) put(d *jsonscan.Doc, hits []uint32) bool {
	v.start()
	for i := range v.cols {
		c := &v.cols[i]
		if !c.put(d, hits[c.leaf], v.rows) {
			return false
		}
	}
	return true
}

func (v *viewColumns) finish(offset, event, known int64, tombstone bool) {
	r := v.rows
	v.offsets[r], v.event[r], v.known[r] = offset, event, known
	if tombstone && v.tomb == nil {
		v.tomb = make([]bool, v.room)
	}
	if v.tomb != nil {
		v.tomb[r] = tombstone
	}
	v.rows++
	v.begun = false
}

func (v *viewColumns) bytes() int64 {
	n := int64(v.rows) * int64(24+8*len(v.cols))
	for i := range v.cols {
		n += int64(len(v.cols[i].data))
	}
	return n
}

// cut hands the finished rows out and starts anew.
func (v *viewColumns) cut(origin feature.Origin) *feature.Batch {
	n := v.rows
	if v.room == 0 {
		v.grow(leastRoom)
	}
	arrs := make([]arrow.Array, len(v.cols))
	for i := range v.cols {
		c := &v.cols[i]
		if c.off != nil {
			c.data = c.data[:c.off[n]]
		}
		arrs[i] = c.array(n)
	}
	b := &feature.Batch{
		View: v.view, Origin: origin, Rows: array.NewRecordBatch(v.schema, arrs, int64(n)),
		Offsets: v.offsets[:n:n], EventTime: v.event[:n:n], KnownTime: v.known[:n:n],
	}
	if v.tomb != nil {
		b.Tombstone = v.tomb[:n:n]
	}
	for _, a := range arrs {
		a.Release()
	}
	v.reset()
	return b
}
