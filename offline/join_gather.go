package offline

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// place is where a value stands: row row of source src. A row below zero is null.
type place struct{ src, row int32 }

// gather puts together a column of a feature's type from places in others.
func gather(t feature.Type, from []arrow.Array, at []place) (arrow.Array, error) {
	var v feature.Vector
	v.Reset(t, len(at))
	switch t {
	case feature.Bool:
		gatherBy(&v, sourcesOf[*array.Boolean](from), at, v.Bools, (*array.Boolean).Value)
	case feature.Int32:
		gatherFixed(&v, from, at, v.Int32s, func(a arrow.Array) []int32 { return a.(*array.Int32).Int32Values() })
	case feature.Int64:
		gatherFixed(&v, from, at, v.Int64s, func(a arrow.Array) []int64 { return a.(*array.Int64).Int64Values() })
	case feature.Timestamp:
		gatherFixed(&v, from, at, v.Int64s, func(a arrow.Array) []int64 { return arrow.GetValues[int64](a.Data(), 1) })
	case feature.Float32:
		gatherFixed(&v, from, at, v.Float32, func(a arrow.Array) []float32 { return a.(*array.Float32).Float32Values() })
	case feature.Float64:
		gatherFixed(&v, from, at, v.Float64, func(a arrow.Array) []float64 { return a.(*array.Float64).Float64Values() })
	case feature.String:
		gatherBy(&v, sourcesOf[*array.String](from), at, v.Bytes, func(a *array.String, i int) []byte {
			s := a.Value(i)
			return unsafe.Slice(unsafe.StringData(s), len(s)) // not changed
		})
	default:
		gatherBy(&v, sourcesOf[*array.Binary](from), at, v.Bytes, (*array.Binary).Value)
	}
	return vectorArray(&v, 0, len(at))
}

func sourcesOf[A arrow.Array](from []arrow.Array) []A {
	out := make([]A, len(from))
	for i, a := range from {
		out[i] = a.(A)
	}
	return out
}

func gatherBy[A arrow.Array, T any](v *feature.Vector, from []A, at []place, out []T, value func(A, int) T) {
	for i, p := range at {
		if p.row < 0 {
			continue
		}
		if a := from[p.src]; a.IsValid(int(p.row)) {
			out[i], v.Valid[i] = value(a, int(p.row)), true
		}
	}
}

func gatherFixed[T any](v *feature.Vector, from []arrow.Array, at []place, out []T, values func(arrow.Array) []T) {
	vals := make([][]T, len(from))
	nulls := false
	for i, a := range from {
		vals[i] = values(a)
		nulls = nulls || a.NullN() > 0
	}
	for i, p := range at {
		if p.row < 0 || nulls && from[p.src].IsNull(int(p.row)) {
			continue
		}
		out[i], v.Valid[i] = vals[p.src][p.row], true
	}
}
