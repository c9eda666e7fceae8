package serving

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// withLists gives a fixture a view of arrays of every type; its store has one row of two
// elements, one of none, one of nulls and one that is not there.
func withLists(f *fixture) {
	view := &feature.View{Meta: feature.Meta{Name: "lists"}, Source: "billing", Entities: []string{"customer"}}
	for _, ft := range featureTypes {
		view.Features = append(view.Features, feature.Field{Name: ft.String() + "s", Type: feature.Array(ft)})
	}
	f.apply(view, &feature.Service{Meta: feature.Meta{Name: "lists"}, Features: []string{"lists:*"}})
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		b.Views[0].Status[3], b.Views[0].EventTime[3] = feature.NotFoundStatus, 0
		for i := range b.Columns {
			c := &b.Columns[i].Vector
			c.Valid[2], c.Valid[3] = false, false
			le := binary.LittleEndian
			switch c.Type.Elem() {
			case feature.Bool:
				c.Bytes[0] = []byte{1, 0}
			case feature.Int32:
				c.Bytes[0] = le.AppendUint32(le.AppendUint32(nil, math.MaxUint32), math.MaxInt32)
			case feature.Int64:
				c.Bytes[0] = le.AppendUint64(le.AppendUint64(nil, 1<<63), math.MaxInt64)
			case feature.Float32:
				c.Bytes[0] = le.AppendUint32(le.AppendUint32(nil, math.Float32bits(0.1)), math.Float32bits(float32(math.Inf(1))))
			case feature.Float64:
				c.Bytes[0] = le.AppendUint64(le.AppendUint64(nil, math.Float64bits(1e300)), math.Float64bits(math.NaN()))
			case feature.String:
				c.Bytes[0] = feature.AppendElementText(feature.AppendElementText(nil, "\"ä\n"), "")
			case feature.Bytes:
				c.Bytes[0] = feature.AppendElementText(feature.AppendElementText(nil, []byte{0, 255}), []byte{})
			case feature.Timestamp:
				c.Bytes[0] = le.AppendUint64(le.AppendUint64(nil, 1_700_000_000_000_001), math.MaxUint64)
			}
			c.Bytes[1] = []byte{}
		}
		return nil
	}
}

// listsAsJSON is the first row, in the order of featureTypes.
var listsAsJSON = []string{`[true,false]`, `[-1,2147483647]`, `[-9223372036854775808,9223372036854775807]`, `[0.1,"Infinity"]`, `[1e+300,"NaN"]`, `["\"ä\n",""]`, `["AP8=",""]`,
	`["2023-11-14T22:13:20.000001Z","1969-12-31T23:59:59.999999Z"]`}

// Arrays of every type over gRPC, as a client reads them.
func TestLookupArrays(t *testing.T) {
	f := newFixture(t, nil)
	withLists(f)
	r, err := f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "lists"}, Entities: []*weirv1.EntityColumn{ints("id", 7, 8, 9, 10)}})
	require.NoError(t, err)
	require.Len(t, r.Columns, 8)
	want := map[weirv1.Type]*weirv1.Values{
		weirv1.Type_TYPE_ARRAY_BOOL:      {Kind: &weirv1.Values_Bools{Bools: &weirv1.Bools{Values: []bool{true, false}}}},
		weirv1.Type_TYPE_ARRAY_INT32:     {Kind: &weirv1.Values_Int32S{Int32S: &weirv1.Int32S{Values: []int32{-1, math.MaxInt32}}}},
		weirv1.Type_TYPE_ARRAY_INT64:     {Kind: &weirv1.Values_Int64S{Int64S: &weirv1.Int64S{Values: []int64{math.MinInt64, math.MaxInt64}}}},
		weirv1.Type_TYPE_ARRAY_FLOAT32:   {Kind: &weirv1.Values_Floats{Floats: &weirv1.Floats{Values: []float32{0.1, float32(math.Inf(1))}}}},
		weirv1.Type_TYPE_ARRAY_FLOAT64:   {Kind: &weirv1.Values_Doubles{Doubles: &weirv1.Doubles{Values: []float64{1e300, math.NaN()}}}},
		weirv1.Type_TYPE_ARRAY_STRING:    {Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: []string{"\"ä\n", ""}}}},
		weirv1.Type_TYPE_ARRAY_BYTES:     {Kind: &weirv1.Values_Bytes{Bytes: &weirv1.BytesList{Values: [][]byte{{0, 255}, {}}}}},
		weirv1.Type_TYPE_ARRAY_TIMESTAMP: {Kind: &weirv1.Values_Timestamps{Timestamps: &weirv1.Timestamps{Micros: []int64{1_700_000_000_000_001, -1}}}},
	}
	for i, c := range r.Columns {
		require.Equal(t, featureTypes[i].String()+"s", c.Name)
		require.EqualValues(t, feature.Array(featureTypes[i]), c.Type)
		require.Equal(t, []byte{3}, c.Validity)
		a := c.Values.GetArrays()
		require.Equal(t, []uint32{2, 0, 0, 0}, a.Lengths)
		require.True(t, proto.Equal(want[c.Type], a.Elements), "%s: %s", c.Type, a.Elements)
	}
	// No key is an array.
	arrays := &weirv1.Values{Kind: &weirv1.Values_Arrays{Arrays: &weirv1.Arrays{Lengths: []uint32{1}, Elements: want[weirv1.Type_TYPE_ARRAY_INT64]}}}
	_, err = f.lookup(churn(&weirv1.EntityColumn{Name: "id", Values: arrays}))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, `"an array", is not a int64`)
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		return present(ctx, s, keys, rows, b)
	}
	r, err = f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "lists"}, Entities: []*weirv1.EntityColumn{ints("id")}})
	require.NoError(t, err)
	for _, c := range r.Columns {
		require.Empty(t, c.Values.GetArrays().Lengths)
		require.NotNil(t, c.Values.GetArrays().Elements.Kind, "an array of no rows says what it would have")
	}
}

// Arrays of every type over HTTP, held against the description.
func TestHTTPLookupArrays(t *testing.T) {
	w := newWeb(t, nil)
	withLists(w.fixture)
	code, body := w.post(`{"service":"lists","entities":{"id":[7,8,9,10]}}`)
	require.Equal(t, 200, code, body)
	for i, text := range listsAsJSON {
		require.Contains(t, body, fmt.Sprintf(`{"name":"%ss","type":"array<%[1]s>","view":"lists","values":[%s,[],null,null]}`, featureTypes[i], text))
	}
	for of, wrong := range map[string][]string{"bool": {`[1]`, `[null]`, `true`}, "int64": {`["1"]`, `[null]`, `[1.5]`, `1`}, "float64": {`["x"]`, `[null]`, `1.5`},
		"string": {`[1]`, `[null]`, `"x"`}, "timestamp": {`["x"]`, `[1]`, `[null]`}, "bytes": {`[1]`, `[null]`}, "float32": {`[[1.5]]`}} {
		for _, x := range wrong {
			column := fmt.Sprintf(`{"name":"x","type":"array<%s>","view":"v","values":[%s]}`, of, x)
			require.Error(t, w.valid("Column", column), column)
		}
	}
}

// Arrays in the log are lists, as its schema says.
func TestLogOfArrays(t *testing.T) {
	f := newFixture(t, nil)
	withLists(f)
	sink := &kept{}
	g := NewLog(LogConfig{Topic: "t", Sample: 1, Buffer: 1000}, sink, slog.New(slog.DiscardHandler), f.metrics)
	f.lookups.LogTo(g)
	_, err := f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "lists"}, Entities: []*weirv1.EntityColumn{ints("id", 7, 8, 9, 10)}})
	require.NoError(t, err)
	require.NoError(t, g.Close(t.Context()))
	records := sink.all()
	require.Len(t, records, 4)
	schema := logged(t)
	for i, r := range records {
		row := decodeLog(t, schema, r)
		for k, ft := range featureTypes {
			got := row.Views["lists"].Features[ft.String()+"s"]
			switch i {
			case 0:
				require.Contains(t, string(r.value), fmt.Sprintf(`"%ss":%s`, ft, listsAsJSON[k]))
			case 1:
				require.Equal(t, []any{}, got)
			default:
				require.Nil(t, got)
			}
		}
	}
}

// What waits to be logged is bounded by what its arrays take, not by how many they are.
func TestLogHasNoRoomForArrays(t *testing.T) {
	f, sink, _ := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1000})
	f.apply(&feature.View{Meta: feature.Meta{Name: "long"}, Source: "billing", Entities: []string{"customer"}, Features: []feature.Field{{Name: "e", Type: feature.Array(feature.Float32)}}},
		&feature.Service{Meta: feature.Meta{Name: "long"}, Features: []string{"long:*"}})
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		b.Columns[0].Bytes[0] = make([]byte, 20<<10)
		return nil
	}
	sink.mu.Lock() // the writer hangs
	for range 10 {
		_, err := f.lookup(&weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "long"}, Entities: []*weirv1.EntityColumn{ints("id", 7)}})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, f.metric(`weir_lookup_log_waiting_values{}`), 1000.0)
	require.Equal(t, 7.0, f.metric(`weir_lookup_log_rows_total{result="full"}`))
	sink.mu.Unlock()
	require.Eventually(t, func() bool { return f.metric(`weir_lookup_log_waiting_values{}`) == 0 }, time.Minute, time.Millisecond)
}
