package compat

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// kinds is a set of kinds of JSON values. Whole numbers are two of them, for in draft 4
// an integer is one by how it is written, and afterwards by what it is.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBool
	kindWritten // a whole number written as one: 1
	kindWhole   // a whole number written otherwise: 1.0
	kindFraction
	kindString
	kindArray
	kindObject

	kindInteger = kindWritten | kindWhole
	kindNumber  = kindInteger | kindFraction
	kindAll     = kindNull | kindBool | kindNumber | kindString | kindArray | kindObject
)

// String names the kinds as schemas do.
func (k kinds) String() string {
	var out []string
	for _, x := range []struct {
		k    kinds
		name string
	}{{kindNull, "null"}, {kindBool, "boolean"}, {kindString, "string"}, {kindArray, "array"}, {kindObject, "object"}} {
		if k&x.k != 0 {
			out = append(out, x.name)
		}
	}
	switch {
	case k&kindNumber == kindWhole:
		out = append(out, "integer written like 1.0")
	case k&kindFraction != 0:
		out = append(out, "number")
	case k&kindInteger != 0:
		out = append(out, "integer")
	}
	return strings.Join(out, " or ")
}

// each has the kinds of a set one by one, whole numbers as one.
func (k kinds) each() (out []kinds) {
	for _, x := range []kinds{kindNull, kindBool, kindInteger, kindFraction, kindString, kindArray, kindObject} {
		if k&x != 0 {
			out = append(out, k&x)
		}
	}
	return out
}

// number is a JSON number, exactly.
type number struct {
	rat  *big.Rat
	text string
}

// readValue reads a JSON text into nil, bool, number, string, []any and map[string]any,
// within the bounds that events have: no number is larger than its text.
func readValue(raw []byte) (any, error) {
	var d jsonscan.Doc
	if err := jsonscan.NewScanner(nil, jsonscan.Limits{}).Scan(&d, raw); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return exact(v), nil
}

func exact(v any) any {
	switch x := v.(type) {
	case json.Number:
		r, ok := new(big.Rat).SetString(x.String())
		if !ok {
			r = new(big.Rat) // the scanner has seen that it is a number
		}
		return number{r, x.String()}
	case []any:
		for i := range x {
			x[i] = exact(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = exact(x[k])
		}
	}
	return v
}

// kindsOf are the kinds that a value equal to v can have.
func kindsOf(v any) kinds {
	switch x := v.(type) {
	case bool:
		return kindBool
	case number:
		if x.rat.IsInt() {
			return kindInteger
		}
		return kindFraction
	case string:
		return kindString
	case []any:
		return kindArray
	case map[string]any:
		return kindObject
	}
	return kindNull
}

// canon is equal for values that JSON Schema calls equal.
func canon(v any) string { return string(appendCanon(nil, v)) }

func appendCanon(b []byte, v any) []byte {
	switch x := v.(type) {
	case bool:
		return strconv.AppendBool(b, x)
	case number:
		return append(b, x.rat.RatString()...)
	case string:
		return strconv.AppendQuote(b, x)
	case []any:
		b = append(b, '[')
		for _, e := range x {
			b = append(appendCanon(b, e), ',')
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for _, k := range slices.Sorted(maps.Keys(x)) {
			b = append(strconv.AppendQuote(b, k), ':')
			b = append(appendCanon(b, x[k]), ',')
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// show is a value for a sentence.
func show(v any) string {
	if n, ok := v.(number); ok {
		return n.text
	}
	return feature.Shorten(appendCanon(nil, v))
}

// countOf reads a count, such as that of minLength; the largest int where it is beyond.
func countOf(v any) (int, bool) {
	n, ok := v.(number)
	if !ok || !n.rat.IsInt() || n.rat.Sign() < 0 {
		return 0, false
	}
	if !n.rat.Num().IsInt64() {
		return math.MaxInt, true
	}
	return int(n.rat.Num().Int64()), true
}
