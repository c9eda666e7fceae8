package jsonschema

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"

	"github.com/weir-ml/weir/internal/jsonscan"
)

// valueSet is the values of an enum or const, sorted by kind for the comparison.
type valueSet struct {
	keyword string
	kinds   uint8 // kinds of which there is at least one value
	texts   [][]byte
	lookup  map[string]struct{} // instead of texts where there are many
	numbers []*bound
	parts   []constant // arrays and objects
	text    string     // for people: `one of "a", "b"`
}

// constant is a value of the schema.
type constant struct {
	kind  jsonscan.Kind
	text  string
	num   *bound
	items []constant
	props map[string]constant
}

const manyTexts = 12

func (b *builder) valueSet(keyword string, values []any) *valueSet {
	s := &valueSet{keyword: keyword}
	for _, v := range values {
		c := b.constant(v)
		s.kinds |= 1 << c.kind
		switch c.kind {
		case jsonscan.String:
			s.texts = append(s.texts, []byte(c.text))
		case jsonscan.Number:
			s.numbers = append(s.numbers, c.num)
		case jsonscan.Array, jsonscan.Object:
			s.parts = append(s.parts, c)
		}
	}
	if len(s.texts) > manyTexts {
		s.lookup = map[string]struct{}{}
		for _, t := range s.texts {
			s.lookup[string(t)] = struct{}{}
		}
	}
	s.text = listed(values)
	return s
}

// listed names the accepted values for people; a long list is cut.
func listed(values []any) string {
	var list []string
	size := 0
	for i, v := range values {
		if size > 200 {
			list = append(list, "...")
			break
		}
		list = append(list, jsonText(v))
		size += len(list[i])
	}
	text := strings.Join(list, ", ")
	switch {
	case len(values) == 0:
		return "no value: the list of accepted ones is empty"
	case len(values) > 1:
		return "one of " + text
	}
	return text
}

func (b *builder) constant(v any) constant {
	switch v := v.(type) {
	case nil:
		return constant{kind: jsonscan.Null}
	case bool:
		if v {
			return constant{kind: jsonscan.True}
		}
		return constant{kind: jsonscan.False}
	case string:
		return constant{kind: jsonscan.String, text: v}
	case json.Number:
		r, ok := new(big.Rat).SetString(v.String())
		if !ok {
			b.refused = true
			return constant{}
		}
		return constant{kind: jsonscan.Number, num: b.bound(r)}
	case []any:
		c := constant{kind: jsonscan.Array}
		for _, x := range v {
			c.items = append(c.items, b.constant(x))
		}
		return c
	case map[string]any:
		c := constant{kind: jsonscan.Object, props: map[string]constant{}}
		for k, x := range v {
			c.props[k] = b.constant(x)
		}
		return c
	}
	b.refused = true
	return constant{}
}

// member reports whether value i is in the set.
func (c *Checker) member(s *valueSet, i uint32) bool {
	v := &c.doc.Nodes[i]
	if s.kinds>>v.Kind&1 == 0 {
		return false
	}
	switch v.Kind {
	case jsonscan.String:
		var t []byte
		t, c.buf = c.doc.Text(i, c.buf)
		if s.lookup != nil {
			_, ok := s.lookup[string(t)]
			return ok
		}
		for _, x := range s.texts {
			if bytes.Equal(x, t) {
				return true
			}
		}
		return false
	case jsonscan.Number:
		for _, b := range s.numbers {
			if c.compare(i, b) == 0 {
				return true
			}
		}
		return false
	case jsonscan.Array, jsonscan.Object:
		for k := range s.parts {
			if c.same(i, &s.parts[k]) {
				return true
			}
		}
		return false
	}
	return true
}

// same reports whether value i equals x; members may stand in any order, and 1 equals 1.0.
func (c *Checker) same(i uint32, x *constant) bool {
	v := &c.doc.Nodes[i]
	c.steps--
	if v.Kind != x.kind || c.steps <= 0 {
		return false
	}
	switch v.Kind {
	case jsonscan.String:
		var t []byte
		t, c.buf = c.doc.Text(i, c.buf)
		return string(t) == x.text
	case jsonscan.Number:
		return c.compare(i, x.num) == 0
	case jsonscan.Array:
		if int(v.Len) != len(x.items) {
			return false
		}
		m := i + 1
		for k := range x.items {
			if !c.same(m, &x.items[k]) {
				return false
			}
			m = c.doc.Nodes[m].Next
		}
	case jsonscan.Object:
		if int(v.Len) != len(x.props) {
			return false
		}
		for m := i + 1; m < v.Next; m = c.doc.Nodes[m].Next {
			var t []byte
			t, c.buf = c.doc.KeyText(m, c.buf)
			p, ok := x.props[string(t)]
			if !ok || !c.same(m, &p) {
				return false
			}
		}
	}
	return true
}
