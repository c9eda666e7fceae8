package serving

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

var keyTypes = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.String, feature.Bytes, feature.Timestamp}

// readsAsMessage compares what a request reads with what the generated code and
// entities() read, for keys of every type.
func readsAsMessage(t *testing.T, wire []byte) {
	t.Helper()
	var m weirv1.LookupRequest
	want := proto.Unmarshal(wire, &m)
	var pool requests
	pool.pool.Put(&request{from: &pool})
	r := pool.get()
	r.plain = r.vectors
	got := r.Decode(bytes.Clone(wire))
	if want != nil {
		require.Error(t, got)
		return
	}
	require.NoError(t, got)
	require.Equal(t, m.Project, r.Project)
	require.Equal(t, m.GetService(), r.Service)
	require.Equal(t, m.GetFeatures().GetRefs(), r.Features)
	require.Equal(t, m.RequestId, r.RequestID)
	require.Equal(t, m.IncludeStatuses, r.statuses)
	require.Equal(t, m.IncludeEventTimes, r.times)
	var keys []feature.Field
	for i, c := range m.Entities {
		for _, typ := range keyTypes {
			for _, list := range [][]feature.Field{{{Name: c.Name, Type: typ}}, append(keys[:i:i], feature.Field{Name: c.Name, Type: typ})} {
				v, n, err := entities(list, m.Entities)
				v2, n2, err2 := r.Entities(list)
				require.Equal(t, err == nil, err2 == nil, "%v, %v", err, err2)
				if err != nil {
					require.Equal(t, feature.KindOf(err), feature.KindOf(err2))
					continue
				}
				require.Equal(t, n, n2)
				for j := range v {
					require.Equal(t, plainVector(v[j]), plainVector(v2[j]))
				}
			}
		}
		keys = append(keys, feature.Field{Name: c.Name, Type: feature.String})
		if i > 3 {
			break
		}
	}
	r.free()
}

// plainVector drops what its type does not use: a pooled vector has leftovers there.
func plainVector(v feature.Vector) []any {
	switch v.Type {
	case feature.Bool:
		return []any{v.Valid, v.Bools}
	case feature.Int32:
		return []any{v.Valid, v.Int32s}
	case feature.Int64, feature.Timestamp:
		return []any{v.Valid, v.Int64s}
	}
	texts := make([]string, len(v.Bytes))
	for i, b := range v.Bytes {
		texts[i] = string(b)
	}
	return []any{v.Valid, texts}
}

func requestCorpus(t interface{ Fatal(...any) }) [][]byte {
	values := []*weirv1.Values{
		{}, nil,
		{Kind: &weirv1.Values_Bools{Bools: &weirv1.Bools{Values: []bool{true, false, true}}}},
		{Kind: &weirv1.Values_Int32S{Int32S: &weirv1.Int32S{Values: []int32{0, -1, math.MaxInt32}}}},
		{Kind: &weirv1.Values_Int64S{Int64S: &weirv1.Int64S{Values: []int64{0, -1, math.MaxInt64}}}},
		{Kind: &weirv1.Values_Int64S{Int64S: &weirv1.Int64S{}}},
		{Kind: &weirv1.Values_Floats{Floats: &weirv1.Floats{Values: []float32{1, 2}}}},
		{Kind: &weirv1.Values_Doubles{Doubles: &weirv1.Doubles{Values: []float64{1, 2}}}},
		{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: []string{"1", "", "ä"}}}},
		{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: []string{"1", "-2"}}}},
		{Kind: &weirv1.Values_Bytes{Bytes: &weirv1.BytesList{Values: [][]byte{{0xff}, {}}}}},
		{Kind: &weirv1.Values_Timestamps{Timestamps: &weirv1.Timestamps{Micros: []int64{5, -6}}}},
	}
	var out [][]byte
	add := func(m *weirv1.LookupRequest) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
		return b
	}
	add(&weirv1.LookupRequest{})
	for i, v := range values {
		add(churn(&weirv1.EntityColumn{Name: "a", Values: v}))
		add(churn(&weirv1.EntityColumn{Name: "a", Values: v}, &weirv1.EntityColumn{Name: "b", Values: values[len(values)-1-i]}))
	}
	full := refs("v:a", "v:b", "")
	full.Project, full.RequestId, full.IncludeEventTimes, full.IncludeStatuses = "p", "r-1", true, true
	wire := add(full)
	twice := append(bytes.Clone(wire), wire...)
	service := protowire.AppendString(protowire.AppendTag(bytes.Clone(wire), 2, protowire.BytesType), "svc")
	unknown := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(wire), 77, protowire.VarintType), 1)
	broken := protowire.AppendString(protowire.AppendTag(bytes.Clone(wire), 1, protowire.BytesType), "\xff")
	out = append(out, twice, service, unknown, broken, wire[:len(wire)-1])
	for _, column := range [][]byte{
		{2<<3 | 2, 6, 3<<3 | 2, 4, 1 << 3, 5, 1 << 3, 6},                      // not packed
		{2<<3 | 2, 4, 3<<3 | 2, 2, 1 << 3, 5, 2<<3 | 2, 4, 3<<3 | 2, 2, 8, 6}, // in two parts
		{2<<3 | 2, 4, 3<<3 | 2, 2, 10, 5},                                     // runs over the end
		{2<<3 | 2, 5, 3<<3 | 2, 3, 10, 1, 0x80},                               // half a number
		{2<<3 | 2, 6, 8<<3 | 2, 4, 10, 2, 1, 2},                               // half a timestamp
	} {
		column = append([]byte{1<<3 | 2, 1, 'a'}, column...)
		out = append(out, protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), column))
	}
	return out
}

func TestRequestReadsAsMessage(t *testing.T) {
	for _, wire := range requestCorpus(t) {
		readsAsMessage(t, wire)
	}
}

func FuzzRequest(f *testing.F) {
	for _, wire := range requestCorpus(f) {
		f.Add(wire)
	}
	f.Fuzz(readsAsMessage)
}

// What usual clients send is read without the generated code.
func TestUsualRequests(t *testing.T) {
	for _, m := range []*weirv1.LookupRequest{churn(ints("id", 1, -2)), churn(textColumn("id", "a"), ints("b", 1)), refs("v:a", "v:b"), churn(ints("id"))} {
		wire, err := proto.Marshal(m)
		require.NoError(t, err)
		var pool requests
		r := pool.get()
		require.NoError(t, r.Decode(wire))
		require.Nil(t, r.odd)
	}
}
