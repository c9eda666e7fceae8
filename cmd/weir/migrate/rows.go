package migrate

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// Rows are the rows of one view that were found, on disk.
type Rows struct {
	*Lines
	spool *Spool
	line  []byte
	rec   []byte
}

// NewRows begins; the rows are kept in a folder below dir.
func NewRows(v *feature.View, dir string) (*Rows, error) {
	l, err := NewLines(v)
	if err != nil {
		return nil, err
	}
	s, err := NewSpool(dir)
	if err != nil {
		return nil, err
	}
	return &Rows{Lines: l, spool: s}, nil
}

// Close removes what was kept.
func (r *Rows) Close() error { return r.spool.Close() }

// known is what is kept beside a line: that by which the table is asked for the same row.
type known struct {
	Time   int64             `json:"t"`
	Keys   []json.RawMessage `json:"k"`
	Absent string            `json:"a"` // a letter for each feature: x where it is absent
}

// Add keeps a row. The same row may be added any number of times.
func (r *Rows) Add(row Row) error {
	k := known{Time: row.Time}
	var key []byte
	for _, v := range row.Keys {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		k.Keys = append(k.Keys, b)
		key = append(append(key, b...), ',')
	}
	absent := make([]byte, len(row.Absent))
	for i, a := range row.Absent {
		if absent[i] = '-'; a {
			absent[i] = 'x'
		}
	}
	k.Absent = string(absent)
	beside, err := json.Marshal(k)
	if err != nil {
		return err
	}
	r.line = r.Append(r.line[:0], &row)
	r.rec = binary.AppendUvarint(r.rec[:0], uint64(len(r.line)))
	return r.spool.Add(key, append(append(r.rec, r.line...), beside...))
}

// record is a row as it is kept.
type record struct {
	line   []byte
	beside []byte
}

func (r *Rows) records() iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for raw, err := range r.spool.All() {
			var rec record
			if err == nil {
				n, size := binary.Uvarint(raw)
				rec = record{raw[size : size+int(n)], raw[size+int(n):]}
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// WriteAll writes the file of all rows.
func (r *Rows) WriteAll(path string) (rows int64, err error) {
	return write(path, func(put func([]byte) error) error {
		for rec, err := range r.records() {
			if err == nil {
				err = put(rec.line)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func write(path string, each func(put func(line []byte) error) error) (lines int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, full(path, err)
	}
	w := bufio.NewWriterSize(f, 256<<10)
	err = each(func(line []byte) error {
		lines++
		_, _ = w.Write(line)
		return full(path, w.WriteByte('\n'))
	})
	if err == nil {
		err = full(path, w.Flush())
	}
	if cerr := f.Close(); err == nil {
		err = full(path, cerr)
	}
	return lines, err
}

// TimeColumn is the spine's column with the rows' times.
const TimeColumn = "_migrate_time"

// absentColumn comes back with the spine's rows.
const absentColumn = "_migrate_absent"

// Schema is that of the spine: the keys and the time of each row.
func (r *Rows) Schema() *arrow.Schema {
	var fields []arrow.Field
	for _, k := range r.view.Keys {
		fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow()})
	}
	fields = append(fields, arrow.Field{Name: TimeColumn, Type: feature.Timestamp.Arrow()}, arrow.Field{Name: absentColumn, Type: arrow.BinaryTypes.String})
	return arrow.NewSchema(fields, nil)
}

// spineRows is how many rows of the spine go at once.
const spineRows = 8192

// Spine hands the spine to send in batches.
func (r *Rows) Spine(send func(arrow.RecordBatch) error) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, r.Schema())
	defer b.Release()
	n := 0
	flush := func() error {
		rec := b.NewRecordBatch()
		defer rec.Release()
		n = 0
		return send(rec)
	}
	for rec, err := range r.records() {
		if err != nil {
			return err
		}
		var k known
		if err := json.Unmarshal(rec.beside, &k); err != nil {
			return err
		}
		for i, f := range r.view.Keys {
			if err := appendKey(b.Field(i), f.Type, k.Keys[i]); err != nil {
				return err
			}
		}
		b.Field(len(r.view.Keys)).(*array.TimestampBuilder).Append(arrow.Timestamp(k.Time))
		b.Field(len(r.view.Keys) + 1).(*array.StringBuilder).Append(k.Absent)
		if n++; n == spineRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if n > 0 {
		return flush()
	}
	return nil
}

func appendKey(b array.Builder, t feature.Type, raw json.RawMessage) error {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(string(raw) == "true")
		return nil
	case *array.StringBuilder:
		var s string
		err := json.Unmarshal(raw, &s)
		b.Append(s)
		return err
	case *array.BinaryBuilder:
		s, err := base64.StdEncoding.DecodeString(string(bytes.Trim(raw, `"`)))
		b.Append(s)
		return err
	}
	var n int64
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	switch b := b.(type) {
	case *array.Int32Builder:
		b.Append(int32(n))
	case *array.Int64Builder:
		b.Append(n)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n))
	default:
		return fmt.Errorf("a key of type %s", t)
	}
	return nil
}

// WriteNew writes the file of those rows that the table does not have. answers are
// the rows of the spine in its order, with what the table has for each. Rows that
// are all null are written, too: the answer does not tell whether they are there.
func (r *Rows) WriteNew(path string, answers func() (arrow.RecordBatch, error)) (rows, null int64, err error) {
	next, stop := iter.Pull2(r.records())
	defer stop()
	rows, err = write(path, func(put func([]byte) error) error {
		var same []byte
		for {
			rec, err := answers()
			if err == io.EOF {
				if _, _, more := next(); more {
					return fmt.Errorf("the server answered for fewer rows than it was asked about")
				}
				return nil
			}
			if err != nil {
				return err
			}
			for i := range int(rec.NumRows()) {
				have, err, ok := next()
				if !ok {
					return fmt.Errorf("the server answered for more rows than it was asked about")
				}
				if err != nil {
					return err
				}
				row, err := r.row(rec, i)
				if err != nil {
					return err
				}
				if same, _ = r.root.append(same[:0], &row); bytes.Equal(same, have.line) {
					if !row.null() {
						continue
					}
					null++
				}
				if err := put(have.line); err != nil {
					return err
				}
			}
		}
	})
	return rows, null, err
}

// row is the table's row; what the other store does not know counts as null.
func (r *Rows) row(rec arrow.RecordBatch, i int) (row Row, err error) {
	keys := len(r.view.Keys)
	if int(rec.NumCols()) != keys+2+len(r.view.Features) {
		return row, fmt.Errorf("the server answered with %d columns, not %d", rec.NumCols(), keys+2+len(r.view.Features))
	}
	times, ok := rec.Column(keys).(*array.Timestamp)
	absent, ok2 := rec.Column(keys + 1).(*array.String)
	if !ok || !ok2 || len(absent.Value(i)) != len(r.view.Features) {
		return row, fmt.Errorf("the server answered with other columns than the spine's")
	}
	row.Time = int64(times.Value(i))
	for c := range keys {
		row.Keys = append(row.Keys, cell(rec.Column(c), i))
	}
	for c := range r.view.Features {
		var v any
		if absent.Value(i)[c] != 'x' {
			v = cell(rec.Column(keys+2+c), i)
		}
		row.Values = append(row.Values, v)
	}
	return row, nil
}

func (r *Row) null() bool {
	return !slices.ContainsFunc(r.Values, func(v any) bool { return v != nil })
}

// cell is a value of a column as Row has it.
func cell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return a.Value(i)
	case *array.Int64:
		return a.Value(i)
	case *array.Float32:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return a.Value(i)
	case *array.Timestamp:
		return int64(a.Value(i))
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		out := make([]any, 0, to-from)
		for k := from; k < to; k++ {
			out = append(out, cell(a.ListValues(), int(k)))
		}
		return out
	}
	return nil
}
