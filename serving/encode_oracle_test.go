package serving

import (
	"unsafe"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// message makes the answer of a block out of the generated types: what the bytes of
// a reply have to say.
func message(b *feature.Block, statuses, times bool) *weirv1.LookupResponse {
	r := &weirv1.LookupResponse{Rows: uint32(b.Rows), Columns: make([]*weirv1.FeatureColumn, len(b.Columns)), Views: make([]*weirv1.ViewResult, len(b.Views))}
	for i := range b.Views {
		v := &b.Views[i]
		out := &weirv1.ViewResult{View: v.View.Meta.Name}
		failed := false
		for _, s := range v.Status {
			failed = failed || s == feature.StoreError
		}
		r.Partial = r.Partial || failed
		if statuses || failed { // never leave a failure looking like an absence
			out.Statuses = make([]weirv1.Status, len(v.Status))
			for j, s := range v.Status {
				out.Statuses[j] = weirv1.Status(s)
			}
		}
		if times {
			out.EventTimes = append([]int64(nil), v.EventTime...)
		}
		r.Views[i] = out
	}
	for i := range b.Columns {
		c := &b.Columns[i]
		r.Columns[i] = &weirv1.FeatureColumn{Name: c.Name, Type: weirv1.Type(c.Type), View: uint32(c.View), Values: values(&c.Vector), Validity: validity(c.Valid)}
	}
	return r
}

// validity packs a bit a row; nil when every row is valid.
func validity(valid []bool) []byte {
	all := true
	for _, v := range valid {
		all = all && v
	}
	if all {
		return nil
	}
	out := make([]byte, (len(valid)+7)/8)
	for i, v := range valid {
		if v {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return out
}

func values(v *feature.Vector) *weirv1.Values {
	switch v.Type {
	case feature.Bool:
		return &weirv1.Values{Kind: &weirv1.Values_Bools{Bools: &weirv1.Bools{Values: append([]bool(nil), v.Bools...)}}}
	case feature.Int32:
		return &weirv1.Values{Kind: &weirv1.Values_Int32S{Int32S: &weirv1.Int32S{Values: append([]int32(nil), v.Int32s...)}}}
	case feature.Int64:
		return &weirv1.Values{Kind: &weirv1.Values_Int64S{Int64S: &weirv1.Int64S{Values: append([]int64(nil), v.Int64s...)}}}
	case feature.Float32:
		return &weirv1.Values{Kind: &weirv1.Values_Floats{Floats: &weirv1.Floats{Values: append([]float32(nil), v.Float32...)}}}
	case feature.Float64:
		return &weirv1.Values{Kind: &weirv1.Values_Doubles{Doubles: &weirv1.Doubles{Values: append([]float64(nil), v.Float64...)}}}
	case feature.Timestamp:
		return &weirv1.Values{Kind: &weirv1.Values_Timestamps{Timestamps: &weirv1.Timestamps{Micros: append([]int64(nil), v.Int64s...)}}}
	case feature.String:
		out := make([]string, len(v.Bytes))
		for i, b := range v.Bytes {
			out[i] = unsafe.String(unsafe.SliceData(b), len(b))
		}
		return &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: out}}}
	case feature.Bytes:
		return &weirv1.Values{Kind: &weirv1.Values_Bytes{Bytes: &weirv1.BytesList{Values: append([][]byte(nil), v.Bytes...)}}}
	}
	if v.Type.IsArray() {
		a, all := &weirv1.Arrays{}, feature.Vector{Type: v.Type.Elem()}
		for i, packed := range v.Bytes {
			var e feature.Vector
			if !v.Valid[i] {
				packed = nil
			}
			if err := e.Unpack(v.Type, packed); err != nil {
				panic(err)
			}
			a.Lengths = append(a.Lengths, uint32(len(e.Valid)))
			all.Bools, all.Int32s, all.Int64s = append(all.Bools, e.Bools...), append(all.Int32s, e.Int32s...), append(all.Int64s, e.Int64s...)
			all.Float32, all.Float64, all.Bytes = append(all.Float32, e.Float32...), append(all.Float64, e.Float64...), append(all.Bytes, e.Bytes...)
		}
		a.Elements = values(&all)
		return &weirv1.Values{Kind: &weirv1.Values_Arrays{Arrays: a}}
	}
	return nil
}
