package offline

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// valuesAtOnce is how many values a column writer gets in one call.
const valuesAtOnce = 1024

// source hands out the columns of many batches in sorted order.
//
// Sorted by key, neighbours come from anywhere: the time goes into cache misses,
// not into work. So the loops that fetch hold nothing but the fetch (the
// processor then waits for many at once), and what a row has in batch-wide
// slices, its times and coordinates, is fetched for all columns together.
type source struct {
	view    *feature.View
	cols    []Column
	batches []*feature.Batch
	values  []parquet.Value
	touched byte // see touch

	rows, fileRows int                // of all batches, of the file
	starts         []int              // by batch: how many rows are in those before it
	numbers        map[int]*textCodes // by column; nil: not numbered

	// Of the row group at hand, in order; see gatherSystem.
	event, known, offset []int64
	batch                []uint32
	dead                 []bool
}

// newSource hands out rows of the batches, fileRows in all.
func newSource(view *feature.View, cols []Column, batches []*feature.Batch, fileRows int) *source {
	s := &source{view: view, cols: cols, batches: batches, values: make([]parquet.Value, valuesAtOnce), fileRows: fileRows,
		starts: make([]int, len(batches)), numbers: map[int]*textCodes{}}
	for i, b := range batches {
		s.starts[i] = s.rows
		s.rows += b.Len()
	}
	return s
}

// gatherSystem fetches times and coordinates of the rows.
func (s *source) gatherSystem(rows []rowRef) {
	n := len(rows)
	if cap(s.event) < n {
		s.event, s.known, s.offset = make([]int64, n), make([]int64, n), make([]int64, n)
		s.batch, s.dead = make([]uint32, n), make([]bool, n)
	}
	s.event, s.known, s.offset, s.batch, s.dead = s.event[:n], s.known[:n], s.offset[:n], s.batch[:n], s.dead[:n]
	for i, r := range rows {
		b := s.batches[r.batch]
		s.event[i], s.known[i], s.offset[i] = b.EventTime[r.row], b.KnownTime[r.row], b.Offsets[r.row]
		s.batch[i], s.dead[i] = r.batch, b.Tombstone != nil && b.Tombstone[r.row]
	}
}

// column writes one column of the rows, which gatherSystem has been given before.
func (s *source) column(w *parquet.ColumnWriter, ci int, rows []rowRef) error {
	c := s.cols[ci]
	if ci >= len(s.view.Keys)+len(s.view.Features) {
		return s.system(w, ci, len(rows))
	}
	arrays := make([]arrow.Array, len(s.batches))
	for i, b := range s.batches {
		arrays[i] = b.Rows.Column(ci)
	}
	switch c.Type {
	case feature.Bool:
		return put(s, w, ci, rows, arrays, func(refs []rowRef, got []bool) {
			for i, r := range refs {
				got[i] = arrays[r.batch].(*array.Boolean).Value(int(r.row))
			}
		}, booleanValues)
	case feature.Int32:
		return putNumbers(s, w, ci, rows, arrays, func(a arrow.Array) []int32 { return a.(*array.Int32).Int32Values() }, int32Values)
	case feature.Int64:
		return putNumbers(s, w, ci, rows, arrays, func(a arrow.Array) []int64 { return a.(*array.Int64).Int64Values() }, int64Values)
	case feature.Timestamp:
		return putNumbers(s, w, ci, rows, arrays, func(a arrow.Array) []arrow.Timestamp { return a.(*array.Timestamp).TimestampValues() }, int64Values)
	case feature.Float32:
		return putNumbers(s, w, ci, rows, arrays, func(a arrow.Array) []float32 { return a.(*array.Float32).Float32Values() }, floatValues)
	case feature.Float64:
		return putNumbers(s, w, ci, rows, arrays, func(a arrow.Array) []float64 { return a.(*array.Float64).Float64Values() }, doubleValues)
	case feature.String, feature.Bytes:
		texts := make([]texts, len(arrays))
		for i, a := range arrays {
			texts[i] = textsOf(a)
		}
		if c := s.numbered(ci, arrays, texts); c != nil {
			return c.write(w, rows, s.values)
		}
		return put(s, w, ci, rows, arrays, func(refs []rowRef, got [][]byte) {
			for i, r := range refs {
				got[i] = texts[r.batch].at(int(r.row))
			}
			s.touch(got)
		}, bytesValues)
	}
	panic(fmt.Sprintf("column %s of type %s cannot be written", c.Name, c.Type))
}

// putNumbers writes a column of numbers, fetched straight from the arrays' memory.
func putNumbers[T any](s *source, w *parquet.ColumnWriter, ci int, rows []rowRef, arrays []arrow.Array,
	slice func(arrow.Array) []T, values func([]parquet.Value, []T, int, int)) error {
	data := make([][]T, len(arrays))
	for i, a := range arrays {
		data[i] = slice(a)
	}
	return put(s, w, ci, rows, arrays, func(refs []rowRef, got []T) {
		for i, r := range refs {
			got[i] = data[r.batch][r.row]
		}
	}, values)
}

// put writes a column in steps: fetch, turn into values, mark nulls. values also
// gets the definition level and the column: a second pass over the values, to
// set their levels, costs as much as the first.
func put[T any](s *source, w *parquet.ColumnWriter, ci int, rows []rowRef, arrays []arrow.Array,
	fetch func([]rowRef, []T), values func(dst []parquet.Value, src []T, level, ci int)) error {
	nulls := make([]bool, len(arrays))
	some := false
	for i, a := range arrays {
		nulls[i] = a.NullN() > 0
		some = some || nulls[i]
	}
	level := 0
	if !s.cols[ci].Required {
		level = 1
	}
	null := parquet.NullValue().Level(0, 0, ci)
	got := make([]T, valuesAtOnce)
	for lo := 0; lo < len(rows); lo += valuesAtOnce {
		part := rows[lo:min(lo+valuesAtOnce, len(rows))]
		vals := s.values[:len(part)]
		fetch(part, got[:len(part)])
		values(vals, got[:len(part)], level, ci)
		if some {
			for i, r := range part {
				if nulls[r.batch] && arrays[r.batch].IsNull(int(r.row)) {
					vals[i] = null
				}
			}
		}
		if _, err := w.WriteRowValues(vals); err != nil {
			return err
		}
	}
	return nil
}

// touch reads a byte of each text, so that all of them are on their way from
// memory at once; the dictionary's hashing would wait for one after the other.
func (s *source) touch(texts [][]byte) {
	var all byte
	for _, t := range texts {
		if len(t) > 0 {
			all ^= t[0]
		}
	}
	s.touched = all // or the compiler would leave the loop out
}

// system writes a system column out of what gatherSystem has fetched.
func (s *source) system(w *parquet.ColumnWriter, ci int, n int) error {
	c := s.cols[ci]
	for lo := 0; lo < n; lo += valuesAtOnce {
		hi := min(lo+valuesAtOnce, n)
		vals := s.values[:hi-lo]
		switch c.Name {
		case ColEffective:
			for i := range vals {
				vals[i] = parquet.Int64Value(min(s.event[lo+i], s.known[lo+i]))
			}
		case ColEvent:
			int64Values(vals, s.event[lo:hi], 0, ci)
		case ColKnown:
			int64Values(vals, s.known[lo:hi], 0, ci)
		case ColOffset:
			int64Values(vals, s.offset[lo:hi], 0, ci)
		case ColTombstone:
			booleanValues(vals, s.dead[lo:hi], 0, ci)
		case ColPartition:
			for i, b := range s.batch[lo:hi] {
				vals[i] = parquet.Int32Value(s.batches[b].Origin.Partition)
			}
		case ColTopicID:
			for i, b := range s.batch[lo:hi] {
				vals[i] = parquet.FixedLenByteArrayValue(s.batches[b].Origin.TopicID[:])
			}
		default:
			panic("no system column " + c.Name)
		}
		if _, err := w.WriteRowValues(vals); err != nil {
			return err
		}
	}
	return nil
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

func booleanValues(dst []parquet.Value, src []bool, level, ci int) {
	for i, x := range src {
		dst[i] = parquet.BooleanValue(x).Level(0, level, ci)
	}
}

func int32Values(dst []parquet.Value, src []int32, level, ci int) {
	for i, x := range src {
		dst[i] = parquet.Int32Value(x).Level(0, level, ci)
	}
}

func int64Values[T ~int64](dst []parquet.Value, src []T, level, ci int) {
	for i, x := range src {
		dst[i] = parquet.Int64Value(int64(x)).Level(0, level, ci)
	}
}

func floatValues(dst []parquet.Value, src []float32, level, ci int) {
	for i, x := range src {
		dst[i] = parquet.FloatValue(x).Level(0, level, ci)
	}
}

func doubleValues(dst []parquet.Value, src []float64, level, ci int) {
	for i, x := range src {
		dst[i] = parquet.DoubleValue(x).Level(0, level, ci)
	}
}

func bytesValues(dst []parquet.Value, src [][]byte, level, ci int) {
	for i, x := range src {
		dst[i] = parquet.ByteArrayValue(x).Level(0, level, ci)
	}
}
