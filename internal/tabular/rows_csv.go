package tabular

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

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
	names   []string
	sc      *csvScanner
	steps   []step
	numbers []bool // by column: a number may go out unquoted
	bools   []bool
	lists   []bool // a JSON array may
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
	c.names = names
	for _, n := range names {
		t := o.Types[n]
		c.numbers = append(c.numbers, t.Numeric() || t == feature.Timestamp)
		c.bools = append(c.bools, t == feature.Bool)
		c.lists = append(c.lists, t.IsArray())
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
	c.out = c.event(c.out[:0], c.sc.fields)
	r.Payload = c.out
	return nil
}

// event makes an object of a record.
func (c *csvRows) event(dst []byte, fields [][]byte) []byte {
	for _, s := range c.steps {
		dst = append(dst, s.text...)
		if s.column >= 0 {
			dst = c.value(dst, fields[s.column], s.column)
		}
	}
	return dst
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
	if c.lists[column] && json.Valid(f) && f[skipSpace(f, 0)] == '[' {
		return append(dst, f...)
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
	if !bytes.ContainsAny(f, "0123456789") {
		return nil
	}
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
		s = s[:i] + s[i+1:]
	}
	if n := []byte(sign + s); jsonNumber(n) {
		return n
	}
	return nil
}

func (c *csvRows) close() {}
