package tabular

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// lineScanner gives the lines of a file that are not blank.
type lineScanner struct {
	csvScanner
}

func newLineScanner(src io.Reader) *lineScanner {
	return &lineScanner{csvScanner{src: src, buf: make([]byte, 256<<10)}}
}

// next moves to the next line (raw, line, bad); false at the end or when the source failed.
func (s *lineScanner) next() bool {
	s.bad = nil
	from := 0
	for s.err == nil {
		i := bytes.IndexByte(s.buf[s.r+from:s.w], '\n')
		if i < 0 && s.w-s.r > MaxRow {
			return s.tooLong()
		}
		if i < 0 {
			from = s.w - s.r
			if s.fill() {
				continue
			}
			if s.err != nil || s.r == s.w {
				return false
			}
			i = s.w - s.r
		} else {
			i += from
		}
		from = 0
		end := s.r + i
		s.raw = trimCR(s.buf[s.r:end])
		s.line = s.lines + 1
		s.consume(min(end+1, s.w))
		if len(bytes.TrimSpace(s.raw)) > 0 {
			return true
		}
	}
	return false
}

// jsonReader turns JSON lines into batches. Each line is checked as a whole by
// encoding/json first, so that cutting it into members needs no checks.
type jsonReader struct {
	path   string
	sc     *lineScanner
	schema *arrow.Schema
	cols   []*column
	index  map[string]int
	set    []int64 // row in which a column was last given
	rows   int
}

func (r *Reader) openJSON(o ReadOptions) error {
	j := &jsonReader{path: r.path, index: map[string]int{}, rows: o.BatchRows}
	var guesses []*guess
	j.sc = newLineScanner(r.src.r)
	for n := 0; (o.Sample <= 0 || n < o.Sample) && j.sc.next(); n++ {
		if n%1024 == 0 {
			if err := alive(r.ctx); err != nil {
				return err
			}
		}
		err := j.members(func(name string, v []byte) error {
			i, ok := j.index[name]
			if !ok {
				i = len(guesses)
				j.index[name] = i
				guesses = append(guesses, &guess{loose: o.NullElements})
				j.cols = append(j.cols, &column{name: name})
			}
			guesses[i].json(v)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if j.sc.err != nil {
		return fileError(r.path, j.sc.err)
	}
	if err := r.src.rewind(); err != nil {
		return err
	}
	j.sc = newLineScanner(r.src.r)
	for i, c := range j.cols {
		t, declared := o.Types[c.name]
		if !declared {
			t = guesses[i].typ()
		}
		j.cols[i] = newColumn(c.name, t)
		j.cols[i].loose = o.NullElements
	}
	j.set = make([]int64, len(j.cols))
	j.schema = columnSchema(j.cols)
	r.schema, r.impl = j.schema, j
	return nil
}

// json looks at one value as JSON writes it.
func (g *guess) json(v []byte) {
	switch v[0] {
	case 'n':
	case 't', 'f':
		g.any, g.bools = true, true
	case '"':
		g.any = true
		if s, ok := jsonText(v); !ok || len(s) <= 10 || g.texts || !g.time(s) {
			g.texts = true
		}
	case '[':
		g.list(v)
	case '{':
		g.any, g.texts = true, true
	default:
		g.number(v)
	}
}

// jsonText is a JSON string's text; without escapes it is the bytes between the quotes.
func jsonText(v []byte) ([]byte, bool) {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], true
	}
	var s string
	err := json.Unmarshal(v, &s)
	return []byte(s), err == nil
}

// members calls f for each member of the current line's object, in order, names
// that are there twice included.
func (j *jsonReader) members(f func(name string, v []byte) error) error {
	if j.sc.bad != nil {
		return rowError(j.path, j.sc.line, j.sc.bad)
	}
	b := bytes.TrimSpace(j.sc.raw)
	if b[0] != '{' || !json.Valid(b) {
		return j.syntax(b)
	}
	p := 1
	for {
		p = skipSpace(b, p)
		switch b[p] {
		case '}':
			return nil
		case ',':
			p++
			continue
		}
		end := skipValue(b, p)
		name, ok := jsonText(b[p:end])
		if !ok {
			return j.syntax(b)
		}
		p = skipSpace(b, end)
		p = skipSpace(b, p+1) // the colon
		end = skipValue(b, p)
		if err := f(string(name), b[p:end]); err != nil {
			return err
		}
		p = end
	}
}

func (j *jsonReader) syntax(b []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(b, &v)
	if err == nil {
		err = errors.New("the line is not an object")
	}
	return rowError(j.path, j.sc.line, fmt.Errorf("%w: %q", err, feature.Shorten(b))).
		WithHint("every line must be one JSON object")
}

func skipSpace(b []byte, p int) int {
	for b[p] == ' ' || b[p] == '\t' || b[p] == '\r' || b[p] == '\n' {
		p++
	}
	return p
}

// skipValue is the index after the value at p of valid JSON.
func skipValue(b []byte, p int) int {
	switch b[p] {
	case '"':
		for p++; b[p] != '"'; p++ {
			if b[p] == '\\' {
				p++
			}
		}
		return p + 1
	case '{', '[':
		depth := 0
		for {
			switch b[p] {
			case '"':
				p = skipValue(b, p)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return p + 1
				}
			}
			p++
		}
	}
	for p < len(b) && b[p] != ',' && b[p] != '}' && b[p] != ']' && b[p] > ' ' {
		p++
	}
	return p
}

func (j *jsonReader) read(context.Context) (arrow.RecordBatch, error) {
	n := 0
	clear(j.set)
	for n < j.rows && j.sc.next() {
		n++
		err := j.members(func(name string, v []byte) error {
			i, ok := j.index[name]
			if !ok {
				return rowError(j.path, j.sc.line, errors.New("the file changed while it was read"))
			}
			c := j.cols[i]
			if j.set[i] == int64(n) {
				return rowError(j.path, j.sc.line, fmt.Errorf("member %q is there twice", name))
			}
			j.set[i] = int64(n)
			if !c.json(v) {
				return valueError(j.path, j.sc.line, c, v)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for i, c := range j.cols {
			if j.set[i] != int64(n) {
				c.b.AppendNull()
			}
		}
	}
	if j.sc.err != nil {
		return nil, fileError(j.path, j.sc.err)
	}
	if n == 0 {
		return nil, io.EOF
	}
	return batch(j.schema, j.cols, n), nil
}

// json appends a value as JSON writes it; false when it does not fit the type.
func (c *column) json(v []byte) bool {
	switch v[0] {
	case 'n':
		c.b.AppendNull()
		return true
	case '"':
		s, ok := jsonText(v)
		if !ok || c.typ == feature.Bool || c.typ.Numeric() || c.typ.IsArray() {
			return false
		}
		if c.typ == feature.Bytes {
			d, err := base64.StdEncoding.DecodeString(string(s))
			if err == nil {
				c.b.(*array.BinaryBuilder).Append(d)
			}
			return err == nil
		}
		return c.text(s)
	case 't', 'f':
		return (c.typ == feature.Bool || c.typ == feature.String) && c.text(v)
	case '[':
		if c.typ.IsArray() {
			return c.jsonList(v)
		}
		return c.typ == feature.String && c.text(v)
	case '{':
		return c.typ == feature.String && c.text(v)
	}
	return (c.typ.Numeric() || c.typ == feature.String) && c.text(v)
}

func (j *jsonReader) close() error {
	for _, c := range j.cols {
		c.b.Release()
	}
	return nil
}
