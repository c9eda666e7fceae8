package online

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

func fields(pairs ...any) []feature.Field {
	var f []feature.Field
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, feature.Field{Name: pairs[i].(string), Type: pairs[i+1].(feature.Type)})
	}
	return f
}

// read decodes a value of schema s as the view's features now.
func read(t testing.TB, s *Schema, now []feature.Field, value []byte) (Header, []feature.BlockColumn, error) {
	t.Helper()
	h, cells, err := ReadHeader(value)
	if err != nil || h.Tombstone {
		return h, nil, err
	}
	cols := make([]feature.BlockColumn, len(now))
	want := make([]want, len(now))
	for i := range now {
		cols[i].Reset(now[i].Type, 1)
		want[i].feature, want[i].column = i, i
	}
	return h, cols, project(s, &feature.View{Features: now}, want).decode(cells, cols, 0)
}

func goValue(v *feature.Vector) any {
	if !v.Valid[0] {
		return nil
	}
	switch v.Type {
	case feature.Bool:
		return v.Bools[0]
	case feature.Int32:
		return v.Int32s[0]
	case feature.Int64, feature.Timestamp:
		return v.Int64s[0]
	case feature.Float32:
		return v.Float32[0]
	case feature.Float64:
		return v.Float64[0]
	case feature.String:
		return string(v.Bytes[0])
	}
	return v.Bytes[0]
}

// packed is an array of Go values.
func packed(elems ...any) []byte {
	var out []byte
	for _, x := range elems {
		switch x := x.(type) {
		case bool:
			out = feature.AppendElementBool(out, x)
		case int32:
			out = binary.LittleEndian.AppendUint32(out, uint32(x))
		case int64:
			out = binary.LittleEndian.AppendUint64(out, uint64(x))
		case float32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		case float64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
		case string:
			out = feature.AppendElementText(out, x)
		case []byte:
			out = feature.AppendElementText(out, x)
		}
	}
	return out
}

// The bytes never change: stores are full of them.
func TestGoldenBytes(t *testing.T) {
	every := &Schema{ID: 0x01020304, Fields: fields("b", feature.Bool, "s", feature.String, "i", feature.Int32, "l", feature.Int64,
		"f", feature.Float32, "d", feature.Float64, "y", feature.Bytes, "t", feature.Timestamp, "n", feature.Float64)}
	for _, c := range []struct {
		name   string
		schema *Schema
		stamp  feature.Stamp
		vals   []any
		hex    string
	}{
		{"the example of cells.go",
			&Schema{ID: 0x0a0b0c0d, Fields: fields("tenure", feature.Int32, "churned", feature.Bool, "contract", feature.String)},
			feature.Stamp{Event: 1000, Known: 1300, Partition: 2, Offset: 70000},
			[]any{int32(12), nil, "two year"},
			"01 0a0b0c0d 80000000000003e8 02012c 0103 03011170 05 0c000000 00 0874776f2079656172"},
		{"every type",
			every, feature.Stamp{Event: 1_700_000_000_000_000, Known: 1_700_000_000_000_000, Partition: -1, Offset: 0},
			[]any{true, "é", int32(-2), int64(1 << 40), float32(1.5), -0.25, []byte{0, 255}, int64(-1), nil},
			"01 01020304 80060a24181e4000 00 00 00 ff00 01 feffffff 0000000000010000 0000c03f 000000000000d0bf ffffffffffffffff 0000000000000000 02c3a9 0200ff"},
		{"arrays of every type",
			&Schema{ID: 0x05060708, Fields: fields("n", feature.Int32, "b", feature.Array(feature.Bool), "i", feature.Array(feature.Int32), "l", feature.Array(feature.Int64), "f", feature.Array(feature.Float32),
				"d", feature.Array(feature.Float64), "s", feature.Array(feature.String), "y", feature.Array(feature.Bytes), "t", feature.Array(feature.Timestamp), "none", feature.Array(feature.Float64), "null", feature.Array(feature.Float64))},
			feature.Stamp{},
			[]any{int32(1), packed(true, false), packed(int32(-2)), packed(int64(1<<40), int64(-1)), packed(float32(1.5)), packed(-0.25), packed("é", ""), packed([]byte{0, 255}), packed(int64(-1)), []byte{}, nil},
			"01 05060708 8000000000000000 00 0101 00 ff03 01000000 020100 04feffffff 10 0000000000010000ffffffffffffffff 040000c03f 08000000000000d0bf 0402c3a900 030200ff 08ffffffffffffffff 00"},
		{"a clock ahead", &Schema{ID: 1}, feature.Stamp{Event: 500, Known: -3, Partition: 1<<31 - 1, Offset: math.MaxInt64}, nil,
			"21 00000001 7ffffffffffffffd 00 0480000000 087fffffffffffffff 0201f7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Value(c.schema, c.stamp, c.vals...)
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(c.hex, " ", ""), hex.EncodeToString(v))
			h, cols, err := read(t, c.schema, c.schema.Fields, v)
			require.NoError(t, err)
			require.Equal(t, Header{Schema: c.schema.ID, Stamp: c.stamp}, h)
			for i := range cols {
				require.Equal(t, c.vals[i], goValue(&cols[i].Vector))
			}
		})
	}
	dead := appendHeader(nil, 7, feature.Stamp{Event: 1, Known: 2, Offset: 3}, true)
	require.Equal(t, "110000000780000000000000010101010101"+"03", hex.EncodeToString(dead))
	h, cells, err := ReadHeader(dead)
	require.NoError(t, err)
	require.Empty(t, cells)
	require.Equal(t, Header{Schema: 7, Stamp: feature.Stamp{Event: 1, Known: 2, Offset: 3}, Tombstone: true}, h)
}

func TestSchemaIDNeverChanges(t *testing.T) {
	s := SchemaOf(&feature.View{Features: fields("tenure", feature.Int32, "contract", feature.String)})
	require.Equal(t, "tenure int32\ncontract string\n", s.Text())
	require.Equal(t, uint32(0xc692eb01), s.ID)
	back, err := ParseSchema(s.ID, s.Text())
	require.NoError(t, err)
	require.Equal(t, s, back)
	_, err = ParseSchema(s.ID+1, s.Text())
	require.Error(t, err)
}

func TestOrderIsStampOrder(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 0))
	edge := []int64{math.MinInt64, feature.MinTime, -256, -1, 0, 1, 255, 256, 65535, 65536, feature.MaxTime, math.MaxInt64}
	pick := func() int64 {
		if r.IntN(2) == 0 {
			return edge[r.IntN(len(edge))]
		}
		return int64(r.Uint64()) >> r.IntN(64)
	}
	stamp := func() feature.Stamp {
		return feature.Stamp{Event: pick(), Known: pick(), Partition: int32(max(-1, pick()%(1<<31))), Offset: max(0, pick())}
	}
	for range 200_000 {
		a, b := stamp(), stamp()
		if r.IntN(2) == 0 {
			b.Event, b.Known = a.Event, a.Known
		}
		va, vb := appendHeader(nil, 1, a, false), appendHeader(nil, 2, b, true)
		require.Equal(t, a.Compare(b), bytes.Compare(order(va), order(vb)), "%+v %+v", a, b)
		require.Equal(t, a.Compare(b) >= 0, Replaces(va, vb))
		h, _, err := ReadHeader(va)
		require.NoError(t, err)
		require.Equal(t, a, h.Stamp)
	}
}

// A value of an older schema, read as the view is now.
func TestOlderSchema(t *testing.T) {
	old := &Schema{ID: 5, Fields: fields("gone", feature.String, "i", feature.Int32, "f", feature.Float32, "s", feature.String, "c", feature.Int32, "d", feature.Int32, "x", feature.Int64)}
	v, err := Value(old, feature.Stamp{}, "bye", int32(-7), float32(0.5), "kept", int32(3), int32(4), int64(5))
	require.NoError(t, err)
	now := fields("new", feature.String, "s", feature.String, "i", feature.Int64, "f", feature.Float64, "c", feature.String, "d", feature.Float64, "x", feature.Int32, "new2", feature.Int32)
	_, cols, err := read(t, old, now, v)
	require.NoError(t, err)
	var got []any
	for i := range cols {
		got = append(got, goValue(&cols[i].Vector))
	}
	require.Equal(t, []any{nil, "kept", int64(-7), 0.5, nil, nil, int32(5), nil}, got)
}

// An array does not become one of another type: the feature is another one, and reads null.
func TestArraysDoNotWiden(t *testing.T) {
	old := &Schema{ID: 5, Fields: fields("a", feature.Array(feature.Int32), "b", feature.Int32, "c", feature.Array(feature.Float32), "same", feature.Array(feature.String), "y", feature.Bytes)}
	v, err := Value(old, feature.Stamp{}, packed(int32(1)), int32(2), packed(float32(3)), packed("kept"), []byte("raw"))
	require.NoError(t, err)
	_, cols, err := read(t, old, fields("a", feature.Array(feature.Int64), "b", feature.Array(feature.Int32), "c", feature.Float32, "same", feature.Array(feature.String), "y", feature.Array(feature.Bytes)), v)
	require.NoError(t, err)
	for i, want := range []any{nil, nil, nil, packed("kept"), nil} {
		require.Equal(t, want, goValue(&cols[i].Vector))
	}
}

// Bytes that are no array are an error, and nothing of the row is left behind.
func TestDamagedArray(t *testing.T) {
	for _, c := range []struct {
		elem feature.Type
		raw  []byte
	}{{feature.Int32, []byte{1, 2, 3}}, {feature.Float64, make([]byte, 9)}, {feature.Timestamp, make([]byte, 7)}, {feature.String, []byte{5, 'x'}}, {feature.Bytes, []byte{1, 'x', 0x80}}, {feature.String, bytes.Repeat([]byte{255}, 11)}} {
		s := &Schema{ID: 5, Fields: fields("n", feature.Int32, "ok", feature.Array(feature.Bool), "a", feature.Array(c.elem), "after", feature.String)}
		v, err := Value(s, feature.Stamp{}, int32(1), packed(true), c.raw, "x")
		require.NoError(t, err)
		h, cells, err := ReadHeader(v)
		require.NoError(t, err)
		require.Equal(t, s.ID, h.Schema)
		cols := make([]feature.BlockColumn, len(s.Fields))
		var all []want
		for i := range cols {
			cols[i].Reset(s.Fields[i].Type, 1)
			all = append(all, wantOf(i))
		}
		p := project(s, &feature.View{Features: s.Fields}, all)
		err = p.decode(cells, cols, 0)
		require.ErrorIs(t, err, feature.ErrPacked)
		require.ErrorContains(t, err, "feature a")
		p.clearRow(cols, 0)
		for i := range cols {
			require.Nil(t, goValue(&cols[i].Vector))
		}
		// Who does not want it does not look.
		cols[3].Reset(feature.String, 1)
		p = project(s, &feature.View{Features: s.Fields}, []want{wantOf(3)})
		require.NoError(t, p.decode(cells, cols, 0))
		require.Equal(t, "x", goValue(&cols[3].Vector))
	}
}

// A reader that has not heard of a wider type yet reads what fits, rounds fractions
// as its own definition would have, and never makes another number of one.
func TestNewerSchema(t *testing.T) {
	wide := &Schema{ID: 5, Fields: fields("i", feature.Int64, "f", feature.Float64)}
	narrow := fields("i", feature.Int32, "f", feature.Float32)
	for _, n := range []int64{0, 1, -1, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MinInt32 - 1, 1 << 32, math.MinInt64} {
		v, err := Value(wide, feature.Stamp{}, n, 0.1)
		require.NoError(t, err)
		_, cols, err := read(t, wide, narrow, v)
		if int64(int32(n)) != n {
			require.ErrorIs(t, err, errCells, "%d", n)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, int32(n), goValue(&cols[0].Vector))
		require.Equal(t, float32(0.1), goValue(&cols[1].Vector))
	}
}

// What a feature is called is not in the cells: renamed it reads as before, and a
// new feature of its old name is another one.
func TestRenamedSchema(t *testing.T) {
	view := func(f ...feature.Field) *feature.View { return &feature.View{Features: f} }
	before := view(feature.Field{Name: "amount", Type: feature.Float64})
	total := feature.Field{Name: "total", Type: feature.Float64, Column: "amount"}
	require.Equal(t, SchemaOf(before), SchemaOf(view(total)), "the values of both are one and the same")
	fresh := feature.Field{Name: "amount", Type: feature.Float64, Column: "amount@3"}
	require.NotEqual(t, SchemaOf(before).ID, SchemaOf(view(fresh)).ID)
	s, err := ParseSchema(SchemaOf(view(fresh)).ID, SchemaOf(view(fresh)).Text())
	require.NoError(t, err)
	require.Equal(t, SchemaOf(view(fresh)), s)
	v, err := Value(SchemaOf(before), feature.Stamp{}, 2.5)
	require.NoError(t, err)
	_, cols, err := read(t, SchemaOf(before), []feature.Field{fresh, total}, v)
	require.NoError(t, err)
	require.Nil(t, goValue(&cols[0].Vector))
	require.Equal(t, 2.5, goValue(&cols[1].Vector))
}

// Damage of any kind is an error or other values, never a panic or a read past the end.
func FuzzDecode(f *testing.F) {
	s := &Schema{ID: 9, Fields: fields("b", feature.Bool, "s", feature.String, "i", feature.Int32, "y", feature.Bytes, "d", feature.Float64,
		"ai", feature.Array(feature.Int32), "as", feature.Array(feature.String), "ab", feature.Array(feature.Bool), "at", feature.Array(feature.Timestamp))}
	v, err := Value(s, feature.Stamp{Event: 5, Known: 6, Partition: 1, Offset: 2}, true, "text", int32(4), []byte("raw"), 1.5, packed(int32(7), int32(-1)), packed("a", "", "long"), packed(true), nil)
	require.NoError(f, err)
	f.Add(v)
	f.Add(v[:len(v)-1])
	f.Add(appendHeader(nil, 1, feature.Stamp{}, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, cols, err := read(t, s, s.Fields, b)
		_ = order(b)
		_ = Replaces(b, v)
		if err != nil {
			return
		}
		var elems feature.Vector
		for i := range cols {
			if c := &cols[i].Vector; c.Type.IsArray() && c.Valid[0] {
				require.NoError(t, elems.Unpack(c.Type, c.Bytes[0]))
			}
		}
		// What can be read can be written, and then reads the same.
		head := appendHeader(nil, h.Schema, h.Stamp, h.Tombstone)
		require.True(t, bytes.HasPrefix(b, head), "%x %x", b, head)
		if h.Tombstone {
			require.Equal(t, b, head)
			return
		}
		vals := make([]any, len(cols))
		for i := range cols {
			vals[i] = goValue(&cols[i].Vector)
		}
		s := &Schema{ID: h.Schema, Fields: s.Fields}
		again, err := Value(s, h.Stamp, vals...)
		require.NoError(t, err)
		_, cols2, err := read(t, s, s.Fields, again)
		require.NoError(t, err)
		for i := range cols2 {
			requireSame(t, vals[i], goValue(&cols2[i].Vector))
		}
	})
}

func requireSame(t *testing.T, a, b any) {
	t.Helper()
	if x, ok := a.(float64); ok && math.IsNaN(x) {
		require.True(t, math.IsNaN(b.(float64)))
		return
	}
	require.Equal(t, a, b)
}

// Any values survive writing and reading.
func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(1), int64(2), int32(0), int64(3), "s", []byte("y"), 1.5, int64(4), uint16(4095))
	f.Add(int64(-1), int64(math.MaxInt64), int32(-1), int64(0), "", []byte{}, math.Inf(-1), int64(math.MinInt64), uint16(0))
	f.Fuzz(func(t *testing.T, event, known int64, part int32, off int64, str string, raw []byte, d float64, l int64, mask uint16) {
		if part < -1 || off < 0 {
			return
		}
		if raw == nil {
			raw = []byte{}
		}
		s := &Schema{ID: uint32(l), Fields: fields("d", feature.Float64, "s", feature.String, "b", feature.Bool, "l", feature.Int64, "y", feature.Bytes, "i", feature.Int32, "f", feature.Float32, "t", feature.Timestamp,
			"ad", feature.Array(feature.Float64), "as", feature.Array(feature.String), "ay", feature.Array(feature.Bytes), "ai", feature.Array(feature.Int32))}
		vals := []any{d, str, l&1 == 0, l, raw, int32(l), float32(l), l, packed(d, d), packed(str, str), packed(raw), packed(int32(l))}
		for i := range vals {
			if mask>>i&1 == 0 {
				vals[i] = nil
			}
		}
		st := feature.Stamp{Event: event, Known: known, Partition: part, Offset: off}
		v, err := Value(s, st, vals...)
		require.NoError(t, err)
		h, cols, err := read(t, s, s.Fields, v)
		require.NoError(t, err)
		require.Equal(t, Header{Schema: s.ID, Stamp: st}, h)
		for i := range cols {
			requireSame(t, vals[i], goValue(&cols[i].Vector))
		}
		for n := range v {
			_, _, err := read(t, s, s.Fields, v[:n])
			require.Error(t, err, "cut at %d", n)
		}
	})
}
