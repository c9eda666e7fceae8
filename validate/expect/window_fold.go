package expect

import (
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// folder is the memory of a fold, used again by the next one.
type folder struct {
	batch     *batch
	fail      validate.Bitmap
	words     []uint64
	picked    []int32
	key       []byte
	block     []float64
	ints      []int64
	partition int32
	offsets   []int64 // of the batch's rows; nil: they are numbered from base on
	base      int64
}

// place is the offset of a row of the batch at hand.
func (f *folder) place(i int) int64 {
	if f.offsets != nil {
		return f.offsets[i]
	}
	return f.base + int64(i)
}

// Fold counts rows [from, to) of a record that has the columns of the view, none of them a tombstone.
// held says that the suite holds them back: then only the rules
// about single rows count them, for they are not in the table. Rows have no place in a
// partition here; see FoldBatch.
func (s *WindowSuite) Fold(t *WindowTally, rows arrow.RecordBatch, from, to int, held bool) {
	s.fold(t, rows, from, to, nil, 0, nil, held)
}

// FoldBatch is Fold for rows [from, to) of a batch of the view, or with held of its Held. Tombstones are left out;
// increasing and decreasing values are compared within each partition, in the
// order of the offsets.
func (s *WindowSuite) FoldBatch(t *WindowTally, b *feature.Batch, from, to int, held bool) {
	if held {
		s.fold(t, b.Held.Rows, from, to, nil, b.Origin.Partition, b.Held.Offsets, true)
		return
	}
	s.fold(t, b.Rows, from, to, b.Tombstone, b.Origin.Partition, b.Offsets, false)
}

func (s *WindowSuite) fold(t *WindowTally, rows arrow.RecordBatch, from, to int, tombstones []bool, partition int32, offsets []int64, held bool) {
	f, _ := s.pool.Get().(*folder)
	if f == nil {
		f = &folder{batch: &batch{cols: make([]column, len(s.suite.suite.columns))}}
	}
	defer func() {
		f.batch.release()
		f.offsets = nil
		s.pool.Put(f)
	}()
	f.partition = partition
	if t.suite != s {
		s.adopt(t)
	}
	for ; from < to; from += runRows {
		end := min(from+runRows, to)
		var skip []bool
		if tombstones != nil {
			skip = tombstones[from:end]
		}
		f.offsets, f.base = nil, t.rows
		if offsets != nil {
			f.offsets = offsets[from:end]
		}
		s.foldRows(t, f, rows, from, end, skip, held)
	}
}

// adopt makes a tally that was read, or counted by another suite, one that this suite folds into.
func (s *WindowSuite) adopt(t *WindowTally) {
	for i := range s.specs {
		empty := s.specs[i].begin()
		switch k := t.find(s.specs[i].key); {
		case k < 0:
			t.parts = append(t.parts, part{key: s.specs[i].key, state: empty})
		case t.parts[k].state.kind() != empty.kind() || !fits(t.parts[k].state, empty): // not what its key says
			t.parts[k] = part{key: s.specs[i].key, state: empty}
		}
	}
	t.suite = s
}

func (s *WindowSuite) foldRows(t *WindowTally, f *folder, rows arrow.RecordBatch, from, to int, skip []bool, held bool) {
	b := f.batch
	b.reset(to-from, skip)
	for i, c := range s.suite.suite.columns {
		b.loadFrom(i, c.typ, rows.Column(c.index), from)
	}
	f.fail = resize(f.fail, b.rows)
	t.rows += int64(b.liveCount)
	if held {
		t.held += int64(b.liveCount)
	}
	for i := range s.specs {
		spec := &s.specs[i]
		k := i
		if k >= len(t.parts) || t.parts[k].key != spec.key {
			k = t.find(spec.key)
		}
		t.parts[k].rows += int64(b.liveCount)
		if held && !spec.judged {
			continue
		}
		spec.fold(t.parts[k].state, f, b.under(spec.under, s.suite.suite.conds))
	}
}

// pick lists the rows that judged selects.
func (f *folder) pick(b *batch, judged func(b *batch, w int) uint64) []int32 {
	f.picked = f.picked[:0]
	for w := range validate.Words(b.rows) {
		rows := judged(b, w)
		if rows == ^uint64(0) {
			for i := range int32(64) {
				f.picked = append(f.picked, int32(w*64)+i)
			}
			continue
		}
		for ; rows != 0; rows &= rows - 1 {
			f.picked = append(f.picked, int32(w*64+bits.TrailingZeros64(rows)))
		}
	}
	return f.picked
}
