package serving

import (
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// datatype is a type of the elements of tensors, as the Open Inference Protocol has them.
type datatype uint8

const (
	dtBool datatype = iota + 1
	uint8s
	uint16s
	uint32s
	uint64s
	int8s
	int16s
	int32s
	int64s
	fp16
	fp32
	fp64
	dtBytes
)

var (
	datatypeNames = [...]string{"", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"}
	// datatypeWidths are bytes of an element in a raw tensor; BYTES stand behind their length in four.
	datatypeWidths = [...]int{dtBool: 1, uint8s: 1, uint16s: 2, uint32s: 4, uint64s: 8, int8s: 1, int16s: 2, int32s: 4, int64s: 8, fp16: 2, fp32: 4, fp64: 8, dtBytes: 0}
)

func (d datatype) String() string { return datatypeNames[d] }

// datatypeOf is 0 for a name that is none.
func datatypeOf(name string) datatype {
	return datatype(max(slices.Index(datatypeNames[1:], name), -1) + 1)
}

// datatypeFor is how the elements of a feature are given: timestamps as microseconds since 1970.
func datatypeFor(t feature.Type) datatype {
	if t.IsArray() {
		t = t.Elem()
	}
	switch t {
	case feature.Bool:
		return dtBool
	case feature.Int32:
		return int32s
	case feature.Int64, feature.Timestamp:
		return int64s
	case feature.Float32:
		return fp32
	case feature.Float64:
		return fp64
	}
	return dtBytes
}

// numeric reports whether one tensor of numbers can hold the feature.
func numeric(t feature.Type) bool { return !t.Variable() }

// realAt is a value of a numeric column as a number.
func realAt(v *feature.Vector, i int) float64 {
	switch v.Type {
	case feature.Bool:
		if v.Bools[i] {
			return 1
		}
		return 0
	case feature.Int32:
		return float64(v.Int32s[i])
	case feature.Int64, feature.Timestamp:
		return float64(v.Int64s[i])
	case feature.Float32:
		return float64(v.Float32[i])
	}
	return v.Float64[i]
}
