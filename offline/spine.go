package offline

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// RowReader gives batches of one schema; io.EOF after the last. Each batch
// belongs to the caller. tabular.Reader is one.
type RowReader interface {
	Schema() *arrow.Schema
	Read() (arrow.RecordBatch, error)
}

// DefaultTimeColumn holds the row time of a spine that does not say otherwise.
const DefaultTimeColumn = "event_timestamp"

// Spine is the rows a training set is asked for: the join keys of the service's
// views, the time each row stands for, and any columns to be carried along.
//
// A join key has the view's type or one that holds it exactly (an integer of
// another width whose value fits; a float that is whole; an integer for its decimal
// text). A row whose key is
// null gets null features of the views with that key; one whose time is null gets
// null features throughout. No row is ever dropped.
type Spine struct {
	Rows RowReader
	// Time names the column of row times; DefaultTimeColumn when empty. It is a
	// timestamp or date (naive: UTC), RFC 3339 text, or an integer in Unit.
	Time  string
	Unit  string // of an integer time column: s, ms, us or ns since 1970 UTC
	Count int64  // rows of the spine where known, for progress; else 0
}

// KeyTypes are the join keys that a spine for the service must have, by name:
// declare them when a text file is opened as a spine.
func KeyTypes(s *feature.Service) map[string]feature.Type {
	types := map[string]feature.Type{}
	for _, v := range s.Views {
		for _, k := range v.Keys {
			types[k.Name] = k.Type
		}
	}
	return types
}

// spineShape is where a spine has what the join needs.
type spineShape struct {
	schema *arrow.Schema
	time   int
	unit   arrow.TimeUnit
	whole  bool       // the time column holds integers in unit
	keys   []spineKey // the distinct join keys of all views
	sets   [][]int    // the distinct key sets of the views, as indexes into keys
	setOf  []int      // by view of the service: its index in sets
}

type spineKey struct {
	field  feature.Field
	column int
}

const opJoin = "offline.join"

// shape checks a spine against the service and reports every fault at once.
func (s *Spine) shape(svc *feature.Service) (*spineShape, error) {
	sh := &spineShape{schema: s.Rows.Schema(), setOf: make([]int, len(svc.Views))}
	var faults []error
	for vi, v := range svc.Views {
		var set []int
		for _, k := range v.Keys {
			i := slices.IndexFunc(sh.keys, func(x spineKey) bool { return x.field.Name == k.Name })
			if i < 0 {
				c, err := sh.find(k, v)
				if err != nil {
					faults = append(faults, err)
				}
				i = len(sh.keys)
				sh.keys = append(sh.keys, spineKey{k, c})
			} else if sh.keys[i].field.Type != k.Type {
				faults = append(faults, feature.Errorf(feature.Invalid, opJoin, "service "+svc.Meta.Name,
					"join key %s is %s in one view and %s in view %s", k.Name, sh.keys[i].field.Type, k.Type, v.Meta.Name))
			}
			set = append(set, i)
		}
		at := slices.IndexFunc(sh.sets, func(x []int) bool { return slices.Equal(x, set) })
		if at < 0 {
			at = len(sh.sets)
			sh.sets = append(sh.sets, set)
		}
		sh.setOf[vi] = at
	}
	if err := s.findTime(sh); err != nil {
		faults = append(faults, err)
	}
	for i, f := range sh.schema.Fields() {
		if slices.ContainsFunc(sh.schema.Fields()[:i], func(o arrow.Field) bool { return o.Name == f.Name }) {
			faults = append(faults, spineError(f.Name, "the spine has two columns of this name").WithHint("rename one of them"))
		}
		if slices.ContainsFunc(svc.Columns, func(c feature.ServiceColumn) bool { return c.Name == f.Name }) {
			faults = append(faults, spineError(f.Name, "service %s has a feature of this name", svc.Meta.Name).
				WithHint("rename the spine's column or leave it out"))
		}
	}
	if len(faults) == 1 {
		return nil, faults[0]
	}
	if len(faults) > 1 {
		return nil, errors.Join(faults...)
	}
	return sh, nil
}

func spineError(column, format string, args ...any) *feature.Error {
	return feature.Errorf(feature.Invalid, opJoin, fmt.Sprintf("spine column %q", column), format, args...)
}

func (sh *spineShape) columns() string {
	names := make([]string, sh.schema.NumFields())
	for i, f := range sh.schema.Fields() {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

func (sh *spineShape) find(k feature.Field, v *feature.View) (int, error) {
	at := sh.schema.FieldIndices(k.Name)
	if len(at) == 0 {
		return 0, spineError(k.Name, "is missing: view %s joins by it (%s)", v.Meta.Name, k.Type).
			WithHint("the spine has the columns %s", sh.columns())
	}
	if t := sh.schema.Field(at[0]).Type; !keyFits(t, k.Type) {
		return 0, spineError(k.Name, "is %s, but view %s joins by %s", t, v.Meta.Name, k.Type).
			WithHint("cast the column to %s", k.Type)
	}
	return at[0], nil
}

// keyFits tells whether a column may hold keys of a type. An integer stands for
// its decimal text, since a CSV file does not tell 10023 from "10023"; a text is
// never taken for a number: "007" and 7 would silently become the same key.
func keyFits(have arrow.DataType, want feature.Type) bool {
	if d, ok := have.(*arrow.DictionaryType); ok {
		have = d.ValueType
	}
	if arrow.IsInteger(have.ID()) && want == feature.String {
		return true
	}
	if arrow.IsInteger(have.ID()) || arrow.IsFloating(have.ID()) {
		return want == feature.Int32 || want == feature.Int64
	}
	switch have.ID() {
	case arrow.NULL:
		return true
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return want == feature.String
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		return want == feature.Bytes
	case arrow.BOOL:
		return want == feature.Bool
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64:
		return want == feature.Timestamp
	}
	return false
}

func (s *Spine) findTime(sh *spineShape) error {
	name := s.Time
	if name == "" {
		name = DefaultTimeColumn
	}
	at := sh.schema.FieldIndices(name)
	if len(at) == 0 {
		return spineError(name, "the column of row times is missing").
			WithHint("name it (--time-column, time_column); the spine has the columns %s", sh.columns())
	}
	sh.time = at[0]
	switch t := sh.schema.Field(at[0]).Type; t.ID() {
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64, arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.NULL:
	default:
		if !arrow.IsInteger(t.ID()) {
			return spineError(name, "is %s, not a time", t).WithHint("use a timestamp, RFC 3339 text, or an integer with its unit")
		}
		units := map[string]arrow.TimeUnit{"s": arrow.Second, "ms": arrow.Millisecond, "us": arrow.Microsecond, "ns": arrow.Nanosecond}
		var ok bool
		if sh.unit, ok = units[s.Unit]; !ok {
			return spineError(name, "is %s: a number needs a unit", t).WithHint("say whether it counts s, ms, us or ns since 1970 (--time-unit, time_unit)")
		}
		sh.whole = true
	}
	return nil
}

// times are the row times of a batch in microseconds UTC; first is the number of
// its first row, for errors.
func (sh *spineShape) times(rec arrow.RecordBatch, first int64) (*array.Timestamp, error) {
	c := rec.Column(sh.time)
	name := sh.schema.Field(sh.time).Name
	if sh.whole {
		ints, err := tabular.Convert(c, feature.Int64)
		if err != nil {
			return nil, sh.badValue(name, first, err)
		}
		defer ints.Release()
		t := array.NewData(&arrow.TimestampType{Unit: sh.unit, TimeZone: "UTC"}, ints.Len(), ints.Data().Buffers(), nil, ints.NullN(), ints.Data().Offset())
		defer t.Release()
		c = array.NewTimestampData(t)
		defer c.Release()
	}
	out, err := tabular.Convert(c, feature.Timestamp)
	if err != nil {
		return nil, sh.badValue(name, first, err)
	}
	ts := out.(*array.Timestamp)
	for i := range ts.Len() {
		if v := int64(ts.Value(i)); ts.IsValid(i) && (v < feature.MinTime || v > feature.MaxTime) {
			ts.Release()
			return nil, spineError(name, "row %d: the time %d µs lies outside of the years 1 to 9999", first+int64(i)+1, v).
				WithHint("check the column's unit")
		}
	}
	return ts, nil
}

func (sh *spineShape) badValue(column string, first int64, err error) error {
	var ce *tabular.ConvertError
	if errors.As(err, &ce) {
		return spineError(column, "row %d: %w", first+int64(ce.Row)+1, err)
	}
	return spineError(column, "%w", err)
}

// spineChunk is as many rows of a spine as are joined at once.
type spineChunk struct {
	first int64 // number of its first row in the spine
	rows  int
	recs  []arrow.RecordBatch
}

func (c *spineChunk) release() {
	for _, r := range c.recs {
		r.Release()
	}
	c.recs = nil
}

const (
	maxOutRows   = 32 << 10
	maxChunkRows = 1 << 28 // row numbers within a chunk fit 32 bits
)

// outPieces cuts a batch into those that the joined rows go out in: of at most
// maxOutRows rows and, on average, maxOutBytes bytes.
func outPieces(rec arrow.RecordBatch, f func(arrow.RecordBatch) error) error {
	rows := rec.NumRows()
	n := int64(maxOutRows)
	if rows > 0 {
		n = min(n, max(1, maxOutBytes*rows/max(1, recordBytes(rec))))
	}
	for at := int64(0); at < rows; at += n {
		p := rec.NewSlice(at, min(rows, at+n))
		err := f(p)
		p.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// add takes a batch to the chunk's end.
func (c *spineChunk) add(rec arrow.RecordBatch) {
	rec.Retain()
	c.recs = append(c.recs, rec)
	c.rows += int(rec.NumRows())
}

// split cuts a chunk in so many, of about as many rows each.
func (c *spineChunk) split(n int) []*spineChunk {
	each := max(1, (c.rows+n-1)/n)
	var out []*spineChunk
	part := &spineChunk{first: c.first}
	for _, rec := range c.recs {
		for at, rows := 0, int(rec.NumRows()); at < rows; {
			k := min(rows-at, each-part.rows)
			s := rec.NewSlice(int64(at), int64(at+k))
			part.add(s)
			s.Release()
			at += k
			if part.rows == each {
				out = append(out, part)
				part = &spineChunk{first: part.first + int64(part.rows)}
			}
		}
	}
	if part.rows > 0 {
		out = append(out, part)
	}
	return out
}

// spineReader puts a spine's batches together to chunks that fit a budget.
type spineReader struct {
	rows   RowReader
	budget func(rec arrow.RecordBatch) int64 // what a batch's rows take of size
	size   int64
	next   int64 // number of the next chunk's first row
	rest   arrow.RecordBatch
}

// read returns the next chunk, io.EOF after the last.
func (r *spineReader) read() (*spineChunk, error) {
	c := &spineChunk{first: r.next}
	for used := int64(0); c.rows < maxChunkRows; {
		if r.rest == nil {
			rec, err := r.rows.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				c.release()
				return nil, err
			}
			r.rest = rec
		}
		n := r.budget(r.rest)
		if c.rows > 0 && used+n > r.size {
			break
		}
		used += n
		c.add(r.rest)
		r.close()
	}
	if c.rows == 0 {
		return nil, io.EOF
	}
	r.next += int64(c.rows)
	return c, nil
}

func (r *spineReader) close() {
	if r.rest != nil {
		r.rest.Release()
		r.rest = nil
	}
}

// sameTypes ignores metadata and nullability, which vary between batches of one stream.
func sameTypes(a, b *arrow.Schema) bool {
	return slices.EqualFunc(a.Fields(), b.Fields(), func(x, y arrow.Field) bool {
		return x.Name == y.Name && arrow.TypeEqual(x.Type, y.Type)
	})
}
