package online_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

const base = int64(1_700_000_000_000_000)

func texts(keys ...string) feature.Vector {
	var v feature.Vector
	v.Reset(feature.String, len(keys))
	for i, k := range keys {
		v.Valid[i], v.Bytes[i] = true, []byte(k)
	}
	return v
}

func lookup(t *testing.T, s online.Store, at int64, svc *feature.Service, keys ...feature.Vector) *feature.Block {
	t.Helper()
	r := online.NewReader(s, func() time.Time { return feature.Time(at) }, nil, nil)
	p, err := r.Compile(svc)
	require.NoError(t, err)
	var b feature.Block
	require.NoError(t, p.Read(context.Background(), keys, len(keys[0].Valid), &b))
	return &b
}

func write(t *testing.T, s online.Store, v *feature.View, rows ...onlinetest.Row) {
	t.Helper()
	w := online.NewWriter(v, s, &onlinetest.Table{}, online.Options{})
	for i := range rows {
		rows[i].Offset = int64(i)
	}
	require.NoError(t, w.Write(context.Background(), onlinetest.Batch(v, [16]byte{1}, 0, rows...)))
}

// simple is a view with one float64 feature "x".
func simple(name string, ttl time.Duration, keys ...feature.Field) *feature.View {
	v := &feature.View{Meta: feature.Meta{Name: name}, TTL: feature.Duration(ttl),
		Keys: keys, Features: []feature.Field{{Name: "x", Type: feature.Float64}}}
	for _, k := range keys {
		v.Entities = append(v.Entities, k.Name+"_entity")
	}
	return v
}

func at(event int64, vals ...any) onlinetest.Row {
	return onlinetest.Row{Values: vals, Event: event, Known: event}
}

var id = feature.Field{Name: "id", Type: feature.String}

// Both ends of the ttl count as inside, and it counts from the effective time.
func TestTTLAtReadTime(t *testing.T) {
	s := memory.New(nil)
	v := simple("v", time.Hour, id)
	ahead := at(base+60_000_000, "ahead", 2.0)
	ahead.Known = base
	write(t, s, v, at(base, "a", 1.0), ahead)
	hour := time.Hour.Microseconds()
	for _, c := range []struct {
		now  int64
		want feature.Status
	}{{base, feature.Present}, {base + hour, feature.Present}, {base + hour + 1, feature.OutsideMaxAge}} {
		b := lookup(t, s, c.now, onlinetest.Service(v), texts("a", "ahead", "none"))
		require.Equal(t, []feature.Status{c.want, c.want, feature.NotFoundStatus}, b.Views[0].Status)
		require.Equal(t, []int64{base, base + 60_000_000, 0}, b.Views[0].EventTime)
		require.Equal(t, c.want == feature.Present, b.Columns[0].Valid[0])
	}
}

// A part of the store that does not answer costs its rows, no others, and is never "not found".
func TestPartialAnswer(t *testing.T) {
	s := memory.New(nil)
	v := simple("v", 0, id)
	write(t, s, v, at(base, "a", 1.0), at(base, "b", 2.0), at(base, "c", 3.0))
	f := &onlinetest.Faulty{Store: s, Fail: func(string, int) onlinetest.Fault { return onlinetest.Half }}
	b := lookup(t, f, base, onlinetest.Service(v), texts("a", "none", "b", "none"))
	require.Equal(t, []feature.Status{feature.Present, feature.NotFoundStatus, feature.StoreError, feature.StoreError}, b.Views[0].Status)
	require.Equal(t, []bool{true, false, false, false}, b.Columns[0].Valid)
	f.Fail = func(string, int) onlinetest.Fault { return onlinetest.Clean }
	b = lookup(t, f, base, onlinetest.Service(v), texts("a"))
	require.Equal(t, []feature.Status{feature.StoreError}, b.Views[0].Status)
}

// Several views of different entities, one request; composite and typed keys.
func TestViewsAndKeys(t *testing.T) {
	s := memory.New(nil)
	shop := feature.Field{Name: "shop", Type: feature.Int32}
	day := feature.Field{Name: "day", Type: feature.Timestamp}
	vip := feature.Field{Name: "vip", Type: feature.Bool}
	a, b, c := simple("a", 0, id), simple("b", 0, id, shop), simple("c", 0, shop, day, vip)
	write(t, s, a, at(base, "k1", 1.0), at(base, "", 9.0))
	write(t, s, b, at(base, "k1", int32(-5), 2.0), at(base, "k1", int32(6), 2.5))
	write(t, s, c, at(base, int32(-5), base, true, 3.0))
	var shops, days, vips feature.Vector
	shops.Reset(feature.Int32, 3)
	days.Reset(feature.Timestamp, 3)
	vips.Reset(feature.Bool, 3)
	for i, n := range []int32{-5, 6, 7} {
		shops.Valid[i], shops.Int32s[i] = true, n
		days.Valid[i], days.Int64s[i] = true, base
		vips.Valid[i], vips.Bools[i] = true, i == 0
	}
	ids := texts("k1", "k1", "")
	vips.Valid[2] = false
	svc := onlinetest.Service(a, b, c)
	r := online.NewReader(s, nil, nil, nil)
	p, err := r.Compile(svc)
	require.NoError(t, err)
	require.Equal(t, []feature.Field{id, shop, day, vip}, p.Keys())
	blk := lookup(t, s, base, svc, ids, shops, days, vips)
	P, N := feature.Present, feature.NotFoundStatus
	require.Equal(t, []feature.Status{P, P, P}, blk.Views[0].Status)
	require.Equal(t, []feature.Status{P, P, N}, blk.Views[1].Status)
	require.Equal(t, []feature.Status{P, N, N}, blk.Views[2].Status)
	require.Equal(t, []float64{1, 1, 9}, blk.Columns[0].Float64)
	require.Equal(t, []float64{2, 2.5, 0}, blk.Columns[1].Float64)
	require.Equal(t, []float64{3, 0, 0}, blk.Columns[2].Float64)
	require.Equal(t, []string{"a__x", "b__x", "c__x"}, []string{blk.Columns[0].Name, blk.Columns[1].Name, blk.Columns[2].Name})

	// A block is used again for another, smaller request.
	require.NoError(t, p.Read(context.Background(), []feature.Vector{texts("k1"), first(shops), first(days), first(vips)}, 1, blk))
	require.Equal(t, 1, blk.Rows)
	require.Equal(t, []float64{2}, blk.Columns[1].Float64)

	err = p.Read(context.Background(), []feature.Vector{ids, shops, days}, 3, blk)
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	err = p.Read(context.Background(), []feature.Vector{ids, days, days, vips}, 3, blk)
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}

func first(v feature.Vector) feature.Vector {
	v.Valid = v.Valid[:1]
	return v
}

// Keys that could be confused are not.
func TestKeysAreDistinct(t *testing.T) {
	s := memory.New(nil)
	b := feature.Field{Name: "b", Type: feature.String}
	v := simple("v", 0, id, b)
	keys := [][2]string{{"a,b", "c"}, {"a", "b,c"}, {"a%2Cb", "c"}, {"", ""}, {"}", "{"}, {"{", "}"}, {"a/b", ""}, {"é", " "}, {"", "%"}}
	var rows []onlinetest.Row
	var av, bv []string
	for i, k := range keys {
		rows = append(rows, at(base, k[0], k[1], float64(i)))
		av, bv = append(av, k[0]), append(bv, k[1])
	}
	write(t, s, v, rows...)
	require.Equal(t, len(keys), s.Len())
	blk := lookup(t, s, base, onlinetest.Service(v), texts(av...), texts(bv...))
	for i := range keys {
		require.Equal(t, float64(i), blk.Columns[0].Float64[i])
	}
}

// Rows written before a view changed are read with the features they have.
func TestRowsOfOlderViews(t *testing.T) {
	s := memory.New(nil)
	old := simple("v", 0, id)
	old.Features = []feature.Field{{Name: "n", Type: feature.Int32}, {Name: "gone", Type: feature.String}, {Name: "s", Type: feature.String}}
	write(t, s, old, at(base, "a", int32(5), "bye", "text"))
	now := simple("v", 0, id)
	now.Features = []feature.Field{{Name: "s", Type: feature.String}, {Name: "new", Type: feature.Float64}, {Name: "n", Type: feature.Int64}}
	write(t, s, now, at(base+1, "b", "other", 1.5, int64(6)))
	f := &onlinetest.Faulty{Store: s, Fail: func(string, int) onlinetest.Fault { return onlinetest.None }}
	blk := lookup(t, f, base, onlinetest.Service(now), texts("a", "b", "a"))
	require.Equal(t, []feature.Status{feature.Present, feature.Present, feature.Present}, blk.Views[0].Status)
	row := func(i int) string {
		out := ""
		for c := range blk.Columns {
			out += fmt.Sprintf("%v ", onlinetest.Value(&blk.Columns[c].Vector, i))
		}
		return out
	}
	require.Equal(t, "text <nil> 5 ", row(0))
	require.Equal(t, "other 1.5 6 ", row(1))
	require.Equal(t, row(0), row(2))
	// The old reader still reads both.
	blk = lookup(t, s, base, onlinetest.Service(old), texts("a", "b"))
	require.Equal(t, "5 bye text ", row(0))
	require.Equal(t, "6 <nil> other ", row(1)) // it fits in int32
	write(t, s, now, at(base+2, "b", "other", 1.5, int64(1)<<40))
	blk = lookup(t, s, base, onlinetest.Service(old), texts("a", "b"))
	require.Equal(t, []feature.Status{feature.Present, feature.StoreError}, blk.Views[0].Status, "never a wrong number")

	// A schema that cannot be had is a store's fault.
	f.Fail = func(op string, _ int) onlinetest.Fault {
		if op == "schema" {
			return onlinetest.Clean
		}
		return onlinetest.None
	}
	blk = lookup(t, f, base, onlinetest.Service(now), texts("a", "b"))
	require.Equal(t, []feature.Status{feature.StoreError, feature.Present}, blk.Views[0].Status)
}

func TestDamagedValue(t *testing.T) {
	ctx := context.Background()
	s := memory.New(nil)
	v := simple("v", 0, id)
	write(t, s, v, at(base, "a", 1.0))
	vals := make([][]byte, 1)
	key := "w:{default/id_entity/a}:v"
	require.NoError(t, s.Get(ctx, []string{key}, vals, make([]bool, 1)))
	good := append([]byte{}, vals[0]...)
	for n := range good {
		s.Clear()
		require.NoError(t, s.Fill(ctx, []online.Row{{Key: key, Value: good[:n]}}))
		b := lookup(t, s, base, onlinetest.Service(v), texts("a"))
		require.Equal(t, []feature.Status{feature.StoreError}, b.Views[0].Status, "%d bytes", n)
		require.Equal(t, []bool{false}, b.Columns[0].Valid)
	}
}

func TestCompileRefuses(t *testing.T) {
	r := online.NewReader(memory.New(nil), nil, nil, nil)
	off := false
	a, b := simple("a", 0, id), simple("b", 0, feature.Field{Name: "id", Type: feature.Int64})
	_, err := r.Compile(onlinetest.Service(a, b))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	a.Online = &off
	_, err = r.Compile(onlinetest.Service(a))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}

// forgetful does not tell schemas, and counts who asks.
type forgetful struct {
	online.Store
	asked int
}

func (f *forgetful) Schema(context.Context, string, uint32) (string, error) {
	f.asked++
	return "", &feature.Error{Kind: feature.Unavailable, Op: "test"}
}

// A schema that the store does not tell is asked for once a request: a store that hangs would be waited for with each row.
func TestSchemaIsAskedForOnce(t *testing.T) {
	s := &forgetful{Store: memory.New(nil)}
	v := simple("v", time.Hour, id)
	write(t, s, v, at(base, "a", 1.0), at(base, "b", 2.0), at(base, "c", 3.0))
	now := simple("v", time.Hour, id)
	now.Features = append(now.Features, feature.Field{Name: "y", Type: feature.Int64})
	for n := range 2 {
		b := lookup(t, s, base, onlinetest.Service(now), texts("a", "b", "c"))
		require.Equal(t, []feature.Status{feature.StoreError, feature.StoreError, feature.StoreError}, b.Views[0].Status)
		require.Equal(t, n+1, s.asked)
	}
}

// A damaged array is a fault of its row and of nothing else: the values of the row are not told, and
// those of others are.
func TestDamagedArrayIsAStoreError(t *testing.T) {
	s := memory.New(nil)
	v := &feature.View{Meta: feature.Meta{Name: "v"}, Entities: []string{"e"}, Keys: []feature.Field{{Name: "id", Type: feature.String}},
		Features: []feature.Field{{Name: "n", Type: feature.Int64}, {Name: "a", Type: feature.Array(feature.Float64)}}}
	write(t, s, v, at(base, "whole", int64(1), make([]byte, 16)), at(base, "damaged", int64(2), make([]byte, 15)), at(base, "empty", int64(3), []byte{}))
	b := lookup(t, s, base, onlinetest.Service(v), texts("whole", "damaged", "empty"))
	require.Equal(t, []feature.Status{feature.Present, feature.StoreError, feature.Present}, b.Views[0].Status)
	require.Equal(t, []bool{true, false, true}, b.Columns[0].Valid)
	require.Equal(t, []bool{true, false, true}, b.Columns[1].Valid)
	require.Nil(t, b.Columns[1].Bytes[1])
	require.NotNil(t, b.Columns[1].Bytes[2])
}
