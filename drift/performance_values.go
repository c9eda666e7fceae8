package drift

import (
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// value is a prediction or a label; values of one feature are equal when these are.
type value struct {
	num  float64
	text string
}

// presence of a value: rows that were deleted are nothing.
type presence uint8

const (
	nothing presence = iota
	aNull            // or what cannot be a value
	aValue
)

// reader gives what reads a column's values. Texts are the batch's: who keeps one clones it.
func reader(col arrow.Array) func(i int) (value, presence) {
	number := func(at func(int) float64) func(i int) (value, presence) {
		return func(i int) (value, presence) {
			if col.IsNull(i) {
				return value{}, aNull
			}
			x := at(i)
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return value{}, aNull
			}
			return value{num: x}, aValue
		}
	}
	switch c := col.(type) {
	case *array.Float64:
		return number(c.Value)
	case *array.Float32:
		return number(func(i int) float64 { return float64(c.Value(i)) })
	case *array.Int64:
		return number(func(i int) float64 { return float64(c.Value(i)) })
	case *array.Int32:
		return number(func(i int) float64 { return float64(c.Value(i)) })
	case *array.Boolean:
		return number(func(i int) float64 {
			if c.Value(i) {
				return 1
			}
			return 0
		})
	case *array.String:
		return func(i int) (value, presence) {
			if c.IsNull(i) {
				return value{}, aNull
			}
			return value{text: c.Value(i)}, aValue
		}
	}
	return func(int) (value, presence) { return value{}, aNull }
}

// parseValue is a label that the monitor names, as its type reads it; feature.Performance.Fits has looked at it.
func parseValue(t feature.Type, text string) value {
	switch {
	case t == feature.Bool:
		if b, _ := strconv.ParseBool(text); b {
			return value{num: 1}
		}
		return value{}
	case t == feature.Float32:
		x, _ := strconv.ParseFloat(text, 32)
		return value{num: x}
	case t.Numeric():
		x, _ := strconv.ParseFloat(text, 64)
		return value{num: x}
	}
	return value{text: text}
}
