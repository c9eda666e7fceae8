package tabular

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// RowOptions say how rows become events.
type RowOptions struct {
	Format Format // from the file's name when empty
	// Types gives the types of the event's fields by dotted path (the CSV's column
	// names): values of numeric, bool and timestamp fields that are written as a
	// number or a boolean go out unquoted, all others as strings. Fields that are not
	// named are strings. SchemaTypes makes a start of an event schema.
	Types map[string]feature.Type
	// Nulls are texts that mean null in CSV; an empty value always does.
	Nulls     []string
	Separator byte // as in ReadOptions
	// Times gives the format (feature.TimeFormats) in which the timestamps of
	// Parquet and Arrow files are written for a path; rfc3339 when it is not named.
	Times map[string]string
}

// Row is one row of a file as an event.
type Row struct {
	// Number counts the file's rows from 0. It is the same whenever the same bytes
	// are read: malformed rows count, blank lines and the header do not.
	Number int64
	Line   int64 // line in the file, from 1; 0 in Parquet and Arrow files
	// Payload is a JSON object; for JSON lines the line as it is, valid or not. It
	// is valid until the next call of Next.
	Payload []byte
	// Err tells that the row is malformed. Payload then is the row's raw bytes
	// (the first kilobyte of a row that is too long).
	Err error
}

// Rows reads a file row by row. A malformed row is a row with an Err; only a
// file that cannot be read at all ends it early.
type Rows struct {
	ctx    context.Context
	src    *source
	number int64
	impl   rowSource
}

type rowSource interface {
	next(ctx context.Context, r *Row) error // io.EOF at the end
	close()
}

// OpenRows opens a file for reading row by row.
func OpenRows(ctx context.Context, path string, o RowOptions) (*Rows, error) {
	format := o.Format
	if format == "" {
		var err error
		if format, err = FormatOf(path); err != nil {
			return nil, err
		}
	}
	src, err := openSource(path)
	if err != nil {
		return nil, err
	}
	r := &Rows{ctx: ctx, src: src}
	switch format {
	case CSV:
		r.impl, err = newCSVRows(src, o)
	case JSONLines:
		r.impl = &jsonRows{path: path, sc: newLineScanner(src.r)}
	case Parquet, Arrow:
		r.impl, err = newTypedRows(ctx, src, format, o)
	default:
		_, err = ParseFormat(string(format))
	}
	if err != nil {
		src.close()
		return nil, err
	}
	return r, nil
}

// Next returns the next row, io.EOF after the last.
func (r *Rows) Next() (Row, error) {
	if r.number%256 == 0 {
		if err := alive(r.ctx); err != nil {
			return Row{}, err
		}
	}
	row := Row{Number: r.number}
	if err := r.impl.next(r.ctx, &row); err != nil {
		return Row{}, err
	}
	r.number++
	return row, nil
}

// Progress is how many of the file's bytes have been read.
func (r *Rows) Progress() (done, total int64) { return min(r.src.read, r.src.size), r.src.size }

// Close closes the file.
func (r *Rows) Close() error {
	r.impl.close()
	return r.src.close()
}

// SchemaTypes gives the types that a JSON Schema declares for an event's fields,
// by dotted path: number, integer, boolean; the rest is left out. Only
// properties are followed, which is enough to tell a number from a text.
func SchemaTypes(schema []byte) map[string]feature.Type {
	types := map[string]feature.Type{}
	var walk func(prefix string, raw []byte, depth int)
	walk = func(prefix string, raw []byte, depth int) {
		var s struct {
			Type       any                        `json:"type"`
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if depth > 32 || json.Unmarshal(raw, &s) != nil {
			return
		}
		names := []any{s.Type}
		if list, ok := s.Type.([]any); ok {
			names = list
		}
		switch {
		case slices.Contains(names, "string"):
		case slices.Contains(names, "number"):
			types[prefix] = feature.Float64
		case slices.Contains(names, "integer"):
			types[prefix] = feature.Int64
		case slices.Contains(names, "boolean"):
			types[prefix] = feature.Bool
		}
		for name, p := range s.Properties {
			path := name
			if prefix != "" {
				path = prefix + "." + name
			}
			walk(path, p, depth+1)
		}
	}
	walk("", schema, 0)
	delete(types, "")
	return types
}

// An object's shape is a tree of columns: the dotted path a.b is member b of
// object a. It is flattened into steps once, so that a row is one walk.
type step struct {
	text   []byte // what stands before the value: `{"a":{"b":`
	column int    // -1 for a step that only ends objects
}

func plan(path string, names []string) ([]step, error) {
	type node struct {
		name   string
		column int
		kids   []*node
	}
	root := &node{column: -1}
	for i, n := range names {
		at := root
		parts := strings.Split(n, ".")
		if slices.Contains(parts, "") {
			parts = []string{n}
		}
		for k, p := range parts {
			j := slices.IndexFunc(at.kids, func(x *node) bool { return x.name == p })
			if j < 0 {
				at.kids = append(at.kids, &node{name: p, column: -1})
				j = len(at.kids) - 1
			}
			at = at.kids[j]
			if last := k == len(parts)-1; at.column >= 0 || last && len(at.kids) > 0 {
				return nil, feature.Errorf(feature.Invalid, "tabular.read", path, "column %q would be both a value and an object", strings.Join(parts[:k+1], ".")).
					WithHint("a dot in a column's name means a nested field: rename one of them")
			}
		}
		at.column = i
	}
	var steps []step
	var text []byte
	var walk func(n *node)
	walk = func(n *node) {
		text = append(text, '{')
		for i, k := range n.kids {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(appendJSONString(text, []byte(k.name)), ':')
			if k.column < 0 {
				walk(k)
				continue
			}
			steps = append(steps, step{text, k.column})
			text = nil
		}
		text = append(text, '}')
	}
	walk(root)
	return append(steps, step{text, -1}), nil
}

// csvRows makes an event of each CSV record.
type csvRows struct {
	path    string
	sc      *csvScanner
	steps   []step
	numbers []bool // by column: a number may go out unquoted
	bools   []bool
	nulls   nullTexts
	out     []byte
}

func newCSVRows(src *source, o RowOptions) (*csvRows, error) {
	c := &csvRows{path: src.path, nulls: newNullTexts(o.Nulls), sc: newCSVScanner(src.r, separator(src.path, o.Separator))}
	names, err := csvHeader(src.path, c.sc)
	if err != nil {
		return nil, err
	}
	if c.steps, err = plan(src.path, names); err != nil {
		return nil, err
	}
	for _, n := range names {
		t := o.Types[n]
		c.numbers = append(c.numbers, t.Numeric() || t == feature.Timestamp)
		c.bools = append(c.bools, t == feature.Bool)
	}
	return c, nil
}

func (c *csvRows) next(_ context.Context, r *Row) error {
	if !c.sc.scan() {
		if c.sc.err != nil {
			return fileError(c.path, c.sc.err)
		}
		return io.EOF
	}
	r.Line = c.sc.line
	if c.sc.bad != nil {
		r.Payload, r.Err = c.sc.raw, rowError(c.path, c.sc.line, c.sc.bad)
		return nil
	}
	if len(c.sc.fields) != len(c.numbers) {
		r.Payload, r.Err = c.sc.raw, rowError(c.path, c.sc.line, widthError(len(c.sc.fields), len(c.numbers)))
		return nil
	}
	c.out = c.out[:0]
	for _, s := range c.steps {
		c.out = append(c.out, s.text...)
		if s.column >= 0 {
			c.out = c.value(c.out, c.sc.fields[s.column], s.column)
		}
	}
	r.Payload = c.out
	return nil
}

func (c *csvRows) value(dst, f []byte, column int) []byte {
	if c.nulls.has(f) {
		return append(dst, "null"...)
	}
	if c.numbers[column] {
		if jsonNumber(f) {
			return append(dst, f...)
		}
		if n := plainNumber(f); n != nil {
			return append(dst, n...)
		}
	}
	if c.bools[column] {
		switch string(f) {
		case "true", "True", "TRUE":
			return append(dst, "true"...)
		case "false", "False", "FALSE":
			return append(dst, "false"...)
		}
	}
	return appendJSONString(dst, f)
}

// plainNumber turns the ways of writing a number that JSON does not know (+5,
// .5, 5., 007, spaces around) into the one it does; nil when f is not one.
func plainNumber(f []byte) []byte {
	s := strings.Trim(string(f), " \t")
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = "-"
		}
		s = s[1:]
	}
	for len(s) > 1 && s[0] == '0' && s[1]-'0' <= 9 {
		s = s[1:]
	}
	if s != "" && s[0] == '.' {
		s = "0" + s
	}
	if i := strings.IndexByte(s, '.'); i > 0 && (i+1 == len(s) || s[i+1] == 'e' || s[i+1] == 'E') {
		if s == "0." && len(f) == 1 {
			return nil
		}
		s = s[:i] + s[i+1:]
	}
	if n := []byte(sign + s); jsonNumber(n) {
		return n
	}
	return nil
}

func (c *csvRows) close() {}

// jsonRows hands out the lines as they are; judging them is the decoder's part.
type jsonRows struct {
	path string
	sc   *lineScanner
}

func (j *jsonRows) next(_ context.Context, r *Row) error {
	if !j.sc.next() {
		if j.sc.err != nil {
			return fileError(j.path, j.sc.err)
		}
		return io.EOF
	}
	r.Line, r.Payload = j.sc.line, j.sc.raw
	if j.sc.bad != nil {
		r.Err = rowError(j.path, j.sc.line, j.sc.bad)
	}
	return nil
}

func (j *jsonRows) close() {}

// typedRows makes an event of each row of a file that knows its types.
type typedRows struct {
	path   string
	t      *typedReader
	steps  []step
	norm   *normalizer
	stamps []func(dst []byte, micros int64) []byte
	rec    arrow.RecordBatch
	cells  []cell
	at     int
	out    []byte
}

func newTypedRows(ctx context.Context, src *source, format Format, o RowOptions) (*typedRows, error) {
	schema, _, t, err := openTyped(ctx, src, format, 4096)
	if err != nil {
		return nil, err
	}
	r := &typedRows{path: src.path, t: t, norm: newNormalizer(schema, nil)}
	names := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		names[i] = f.Name
		stamp, err := timeWriter(o.Times[f.Name])
		if err != nil {
			t.stop()
			return nil, err
		}
		r.stamps = append(r.stamps, stamp)
		switch f.Type.(type) {
		case *arrow.StructType, arrow.ListLikeType: // go out as nested JSON, not as text
			r.norm.types[i] = feature.InvalidType
		}
	}
	if r.steps, err = plan(src.path, names); err != nil {
		t.stop()
		return nil, err
	}
	return r, nil
}

func (r *typedRows) next(ctx context.Context, row *Row) error {
	for r.rec == nil || r.at == int(r.rec.NumRows()) {
		rec, err := r.t.next()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return fileError(r.path, err)
		}
		r.rec, r.at, r.cells = rec, 0, r.cells[:0]
		for i, t := range r.norm.types {
			c := rec.Column(i)
			if t != feature.InvalidType {
				if c, err = Convert(c, t); err != nil {
					return feature.Errorf(feature.Invalid, "tabular.read", fmt.Sprintf("%s: column %q", r.path, rec.ColumnName(i)), "%w", err)
				}
			}
			r.cells = append(r.cells, jsonCell(c, r.stamps[i]))
		}
	}
	r.out = r.out[:0]
	for _, s := range r.steps {
		r.out = append(r.out, s.text...)
		if s.column >= 0 {
			r.out = r.cells[s.column](r.out, r.at)
		}
	}
	r.at++
	row.Payload = r.out
	return nil
}

func (r *typedRows) close() { r.t.stop() }

// timeWriter writes times as a source expects them.
func timeWriter(format string) (func(dst []byte, micros int64) []byte, error) {
	number := func(div int64) func([]byte, int64) []byte {
		return func(dst []byte, v int64) []byte { return fmt.Appendf(dst, "%d", floorDiv(v, div)) }
	}
	switch format {
	case "", "rfc3339":
		return quotedTime, nil
	case "naive":
		return func(dst []byte, v int64) []byte {
			return append(feature.Time(v).AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.999999"), '"')
		}, nil
	case "unix_s":
		return number(1_000_000), nil
	case "unix_ms":
		return number(1000), nil
	case "unix_us":
		return number(1), nil
	case "unix_ns":
		return func(dst []byte, v int64) []byte { return fmt.Appendf(dst, "%d000", v) }, nil
	}
	return nil, feature.Errorf(feature.Invalid, "tabular.read", format, "unknown time format %q", format).
		WithHint("use one of %v", feature.TimeFormats)
}

func floorDiv(v, div int64) int64 {
	q := v / div
	if v%div < 0 {
		q--
	}
	return q
}
