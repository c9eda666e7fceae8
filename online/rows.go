package online

import (
	"time"
	"unsafe"

	"github.com/weir-ml/weir/registry/feature"
)

// rowMaker turns batches of a view into rows of the store.
type rowMaker struct {
	view   *feature.View
	schema *Schema
	keys   keyFormat
	config Config
	clock  func() time.Time
}

func newRowMaker(v *feature.View, c Config, clock func() time.Time) rowMaker {
	if c == (Config{}) {
		c = DefaultConfig()
	}
	if clock == nil {
		clock = time.Now
	}
	return rowMaker{view: v, schema: SchemaOf(v), keys: newKeyFormat(v), config: c, clock: clock}
}

// scratch is the memory of one put. Keys and values of a batch stand in one
// array each; what refers to them is dropped before they are used again.
type scratch struct {
	cells  CellWriter
	keys   []byte
	values []byte
	index  map[string]int32 // key -> its place in rows and newest
	newest []int32          // row of the batch
	rows   []Row
	ends   []int
}

func newScratch() *scratch { return &scratch{index: map[string]int32{}} }

func (s *scratch) forget() {
	clear(s.index)
	clear(s.rows)
	s.newest, s.rows = s.newest[:0], s.rows[:0]
	s.cells.Finish()
	const keep = 8 << 20
	if cap(s.values) > keep || cap(s.keys) > keep {
		s.values, s.keys = nil, nil
	}
}

// rows reduces a batch to the newest row of each key and encodes those into s.
func (w *rowMaker) rows(s *scratch, b *feature.Batch) error {
	s.forget()
	if err := s.cells.Reset(w.schema, b.Rows, len(w.view.Keys)); err != nil {
		return &feature.Error{Kind: feature.Internal, Op: "online.write", What: "view " + viewID(w.view), Err: err}
	}
	keyCols := b.Rows.Columns()[:len(w.view.Keys)]
	s.keys = s.keys[:0]
	for i := range b.Len() {
		at := len(s.keys)
		s.keys = w.keys.appendRow(s.keys, keyCols, i)
		// When the array grows, earlier keys go on standing in the old one, which nobody writes again.
		key := unsafe.String(&s.keys[at], len(s.keys)-at)
		n, seen := s.index[key]
		if !seen {
			s.index[key] = int32(len(s.rows))
			s.newest = append(s.newest, int32(i))
			s.rows = append(s.rows, Row{Key: key})
			continue
		}
		s.keys = s.keys[:at] // so key must not be stored anywhere from here on
		if b.Stamp(i).Compare(b.Stamp(int(s.newest[n]))) >= 0 {
			s.newest[n] = int32(i)
		}
	}
	now := w.clock().UnixMicro()
	s.values, s.ends = s.values[:0], s.ends[:0]
	for n, row := range s.newest {
		i := int(row)
		st := b.Stamp(i)
		s.values = s.cells.Append(s.values, i, st, b.Deleted(i))
		s.ends = append(s.ends, len(s.values))
		s.rows[n].Expire = w.config.expiry(st, w.view.TTL, now)
	}
	from := 0
	for n, end := range s.ends {
		s.rows[n].Value = s.values[from:end:end]
		from = end
	}
	return nil
}
