package offline

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// batchColumn is a column of many batches as their memory.
type batchColumn struct {
	wide   [][]uint64 // numbers of 64 bits, by batch
	narrow [][]uint32 // and of 32
	bools  []arrowBits
	texts  []texts
	valid  []arrowBits // nil when no batch has nulls; a batch without has no bits
}

// arrowBits are bits from a place on.
type arrowBits struct {
	bits []byte
	at   int
}

func (b *arrowBits) bit(i uint32) byte { i += uint32(b.at); return b.bits[i>>3] >> (i & 7) & 1 }

func columnOf(batches []*feature.Batch, ci int) batchColumn {
	var c batchColumn
	for i, b := range batches {
		a := b.Rows.Column(ci)
		if a.NullN() > 0 {
			if c.valid == nil {
				c.valid = make([]arrowBits, len(batches))
			}
			c.valid[i] = arrowBits{a.NullBitmapBytes(), a.Data().Offset()}
		}
		switch a := a.(type) {
		case *array.Boolean:
			bits := make([]byte, (a.Data().Offset()+a.Len()+7)/8) // of nothing but nulls there may be none
			if buf := a.Data().Buffers()[1]; buf != nil {
				bits = buf.Bytes()
			}
			c.bools = append(c.bools, arrowBits{bits, a.Data().Offset()})
		case *array.Int32:
			c.narrow = append(c.narrow, view[uint32](a.Int32Values()))
		case *array.Float32:
			c.narrow = append(c.narrow, view[uint32](a.Float32Values()))
		case *array.Int64:
			c.wide = append(c.wide, view[uint64](a.Int64Values()))
		case *array.Timestamp:
			c.wide = append(c.wide, view[uint64](a.TimestampValues()))
		case *array.Float64:
			c.wide = append(c.wide, view[uint64](a.Float64Values()))
		case *array.String, *array.Binary:
			c.texts = append(c.texts, textsOf(a))
		default:
			panic(fmt.Sprintf("offline: a column of %s cannot be written", a.DataType()))
		}
	}
	return c
}

// source hands out the columns of many batches in sorted order, a row group at a time.
//
// Sorted by key, neighbours come from anywhere: the time goes into cache misses,
// not into work. So the loops that fetch hold nothing but the fetch (the
// processor then waits for many at once), and what a row has in batch-wide
// slices, its times and coordinates, is fetched for all columns together.
type source struct {
	cols     []Column
	features int // the columns before are keys and features, the others system columns
	set      *rowSet
	rows     int                // of the file
	numbers  map[int]*textCodes // by column; nil: not numbered
	touched  byte               // see touch

	// Of the row group at hand, in order; see gatherSystem.
	event, known, offset, effective []int64
	partition                       []int32
	topic                           []uint32
	topics                          [][]byte // by batch
	dead                            []bool

	data   columnData // the column at hand; the rest is memory for it
	text   []byte
	ends   []uint32
	codes  []uint32
	wide   []uint64
	narrow []uint32
	bools  []bool
	valid  []byte
}

// reset begins with a file of so many rows.
func (s *source) reset(set *rowSet, rows int) {
	s.set, s.rows, s.numbers = set, rows, nil
	s.topics = s.topics[:0]
	for _, b := range set.batches {
		s.topics = append(s.topics, b.Origin.TopicID[:])
	}
}

// gatherSystem fetches times and coordinates of the rows.
func (s *source) gatherSystem(rows []rowRef) {
	n := len(rows)
	s.event, s.known, s.offset, s.effective = sized(s.event, n), sized(s.known, n), sized(s.offset, n), sized(s.effective, n)
	s.partition, s.topic, s.dead = sized(s.partition, n), sized(s.topic, n), sized(s.dead, n)
	for i, r := range rows {
		b := s.set.batches[r.batch]
		s.event[i], s.known[i], s.offset[i] = b.EventTime[r.row], b.KnownTime[r.row], b.Offsets[r.row]
		s.partition[i], s.topic[i] = b.Origin.Partition, r.batch
		s.dead[i] = b.Tombstone != nil && b.Tombstone[r.row]
	}
	for i, at := range s.event {
		s.effective[i] = min(at, s.known[i])
	}
}

// column fetches one column of the rows, which gatherSystem has been given before.
func (s *source) column(ci int, rows []rowRef) *columnData {
	s.data = columnData{}
	if ci >= s.features {
		s.system(ci)
		return &s.data
	}
	c := &s.set.columns[ci]
	if s.cols[ci].Type.Variable() {
		s.gatherTexts(ci, c, rows)
		return &s.data
	}
	switch n := len(rows); s.cols[ci].Type {
	case feature.Bool:
		s.bools = sized(s.bools, n)
		for i, r := range rows {
			s.bools[i] = c.bools[r.batch].bit(r.row) == 1
		}
		s.data.bools = s.bools
	case feature.Int32, feature.Float32:
		s.narrow = fetch(s.narrow, c.narrow, rows)
		s.data.int32s, s.data.floats = view[int32](s.narrow), view[float32](s.narrow)
	default:
		s.wide = fetch(s.wide, c.wide, rows)
		s.data.int64s, s.data.doubles = view[int64](s.wide), view[float64](s.wide)
	}
	s.gatherValid(c, rows)
	return &s.data
}

func fetch[T any](dst []T, from [][]T, rows []rowRef) []T {
	dst = sized(dst, len(rows))
	for i, r := range rows {
		dst[i] = from[r.batch][r.row]
	}
	return dst
}

func (s *source) gatherValid(c *batchColumn, rows []rowRef) {
	if c.valid == nil {
		return
	}
	s.valid = sized(s.valid, len(rows))
	for i, r := range rows {
		if b := &c.valid[r.batch]; b.bits == nil {
			s.valid[i] = 1
		} else {
			s.valid[i] = b.bit(r.row)
		}
	}
	s.data.valid = s.valid
}

func (s *source) gatherTexts(ci int, c *batchColumn, rows []rowRef) {
	if k := s.numbered(ci, c); k != nil {
		k.gather(s, rows)
		return
	}
	s.gatherValid(c, rows)
	s.text, s.ends = s.text[:0], sized(s.ends, len(rows))
	var got [1024][]byte
	for lo := 0; lo < len(rows); lo += len(got) {
		part := rows[lo:min(lo+len(got), len(rows))]
		for i, r := range part {
			got[i] = c.texts[r.batch].at(int(r.row))
		}
		s.touch(got[:len(part)])
		for i, t := range got[:len(part)] {
			s.text = append(s.text, t...)
			s.ends[lo+i] = uint32(len(s.text))
		}
	}
	s.data.text, s.data.ends = s.text, s.ends
}

// touch reads a byte of each text, so that all of them are on their way from
// memory at once; copying would wait for one after the other.
func (s *source) touch(texts [][]byte) {
	var all byte
	for _, t := range texts {
		if len(t) > 0 {
			all ^= t[0]
		}
	}
	s.touched = all // or the compiler would leave the loop out
}

// system is a system column out of what gatherSystem has fetched.
func (s *source) system(ci int) {
	switch name := s.cols[ci].Name; name {
	case ColEffective:
		s.data.int64s = s.effective
	case ColEvent:
		s.data.int64s = s.event
	case ColKnown:
		s.data.int64s = s.known
	case ColOffset:
		s.data.int64s = s.offset
	case ColTombstone:
		s.data.bools = s.dead
	case ColPartition:
		s.data.int32s = s.partition
	case ColTopicID:
		s.data.codes, s.data.dict = s.topic, s.topics
	default:
		panic("no system column " + name)
	}
}

// texts is a string or binary array as its memory.
type texts struct {
	offsets []int32
	data    []byte
	base    int32 // of data: where a slice of an array begins
}

func textsOf(a arrow.Array) texts {
	var t texts
	switch a := a.(type) {
	case *array.String:
		t = texts{offsets: a.ValueOffsets(), data: a.ValueBytes()}
	case *array.Binary:
		t = texts{offsets: a.ValueOffsets(), data: a.ValueBytes()}
	}
	if len(t.offsets) > 0 {
		t.base = t.offsets[0]
	}
	return t
}

// at is text number i; it aliases the array's memory.
func (t *texts) at(i int) []byte { return t.data[t.offsets[i]-t.base : t.offsets[i+1]-t.base] }
