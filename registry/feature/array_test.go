package feature_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

func elements(t feature.Type) feature.Vector {
	var v feature.Vector
	v.Reset(t, 3)
	for i := range v.Valid {
		v.Valid[i] = true
	}
	switch t {
	case feature.Bool:
		copy(v.Bools, []bool{true, false, true})
	case feature.Int32:
		copy(v.Int32s, []int32{math.MinInt32, 0, 7})
	case feature.Int64, feature.Timestamp:
		copy(v.Int64s, []int64{math.MinInt64, -1, math.MaxInt64})
	case feature.Float32:
		copy(v.Float32, []float32{-0.5, 0, float32(math.Inf(1))})
	case feature.Float64:
		copy(v.Float64, []float64{math.Copysign(0, -1), 1e300, -1})
	default:
		copy(v.Bytes, [][]byte{[]byte("a"), {}, bytes.Repeat([]byte("long"), 100)})
	}
	return v
}

func scalars() []feature.Type {
	var all []feature.Type
	for t := feature.Bool; t <= feature.Timestamp; t++ {
		all = append(all, t)
	}
	return all
}

func TestArraysPacked(t *testing.T) {
	for _, elem := range scalars() {
		typ := feature.Array(elem)
		if got, err := feature.ParseType(typ.String()); err != nil || got != typ || !typ.IsArray() || typ.KeyType() || typ.Numeric() || !typ.Known() {
			t.Errorf("%s: read back as %v, %v", typ, got, err)
		}
		want := elements(elem)
		var packed []byte
		for i := range want.Valid {
			packed = feature.AppendElement(packed, &want, i)
		}
		if n, err := feature.Elements(typ, packed); n != 3 || err != nil {
			t.Errorf("%s: %d elements, %v", typ, n, err)
		}
		var got feature.Vector
		if err := got.Unpack(typ, packed); err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		var again []byte
		for i := range got.Valid {
			again = feature.AppendElement(again, &got, i)
		}
		if !bytes.Equal(packed, again) || got.Type != elem {
			t.Errorf("%s: %x became %x", typ, packed, again)
		}

		b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
		b.Append(packed)
		b.AppendNull()
		b.Append(nil)
		lists, err := feature.ToLists(typ, b.NewBinaryArray())
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if !arrow.TypeEqual(lists.DataType(), typ.Exchange()) || lists.IsValid(1) || lists.IsNull(2) {
			t.Errorf("%s: lists are %s", typ, lists)
		}
		for _, l := range []arrow.Array{lists, array.NewSlice(lists, 1, 3)} {
			back, err := feature.FromLists(typ, l.(array.ListLike))
			if err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			n := back.Len()
			if n == 3 && !bytes.Equal(back.Value(0), packed) || back.IsValid(n-2) || back.IsNull(n-1) || len(back.Value(n-1)) != 0 {
				t.Errorf("%s: back from lists: %s", typ, back)
			}
		}
	}
	if names := feature.TypeNames(); !slices.Contains(names, "array<timestamp>") || len(names) != 16 {
		t.Errorf("type names %v", names)
	}
	for _, bad := range []string{"array<>", "array<array<bool>>", "array<invalid>", "array<bool", "array", "bool>"} {
		if typ, err := feature.ParseType(bad); err == nil {
			t.Errorf("%q is read as %s", bad, typ)
		}
	}
}

func TestArraysRefused(t *testing.T) {
	var v feature.Vector
	for _, c := range []struct {
		elem   feature.Type
		packed string
	}{{feature.Int32, "abc"}, {feature.Float64, "1234567"}, {feature.String, "\x05abc"}, {feature.Bytes, "\xff"}, {feature.String, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}} {
		if err := v.Unpack(feature.Array(c.elem), []byte(c.packed)); !errors.Is(err, feature.ErrPacked) {
			t.Errorf("%q as array of %s: %v", c.packed, c.elem, err)
		}
	}
	b := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64)
	b.Append(true)
	b.ValueBuilder().(*array.Int64Builder).Append(1)
	b.Append(true)
	b.ValueBuilder().(*array.Int64Builder).Append(1)
	b.ValueBuilder().AppendNull()
	lists := b.NewListArray()
	var null *feature.NullElementError
	if _, err := feature.FromLists(feature.Array(feature.Int64), lists); !errors.As(err, &null) || null.Row != 1 || null.Element != 1 {
		t.Errorf("a null element: %v", err)
	}
	if _, err := feature.FromLists(feature.Array(feature.Int32), lists); err == nil {
		t.Error("lists of int64 are taken for array<int32>")
	}
}
