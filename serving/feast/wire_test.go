package feast

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weir-ml/weir/internal/testseed"
	feastserving "github.com/weir-ml/weir/proto/feast/serving"
	feasttypes "github.com/weir-ml/weir/proto/feast/types"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/serving"
)

var featureTypes = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}

// allTypes are the scalars, and arrays of each.
var allTypes = func() []feature.Type {
	all := slices.Clone(featureTypes)
	for _, t := range featureTypes {
		all = append(all, feature.Array(t))
	}
	return all
}()

// nameOf is what a feature of a type is called here: its type, or the elements' in the plural.
func nameOf(t feature.Type) string {
	if t.IsArray() {
		return t.Elem().String() + "s"
	}
	return t.String()
}

// world is a service over a catalog and a store that is a function.
type world struct {
	*Service
	reg  *registry.Registry
	met  *prometheus.Registry
	read func(keys []feature.Vector, rows int, b *feature.Block)
}

type plan struct {
	w *world
	s *feature.Service
}

func (p plan) Keys() (keys []feature.Field) {
	seen := map[string]bool{}
	for _, v := range p.s.Views {
		for _, k := range v.Keys {
			if !seen[k.Name] {
				seen[k.Name] = true
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// Read gives everything there and zero to the world's function.
func (p plan) Read(_ context.Context, keys []feature.Vector, rows int, b *feature.Block) error {
	*b = feature.Block{Rows: rows}
	for _, v := range p.s.Views {
		b.Views = append(b.Views, feature.BlockView{View: v, Status: make([]feature.Status, rows), EventTime: make([]int64, rows)})
	}
	for _, c := range p.s.Columns {
		col := feature.BlockColumn{Name: c.Name, View: c.View}
		col.Reset(p.s.Views[c.View].Features[c.Feature].Type, rows)
		b.Columns = append(b.Columns, col)
	}
	p.w.read(keys, rows, b)
	return nil
}

func newWorld(t testing.TB, c Config, w Writer) *world {
	t.Helper()
	reg, err := registry.Open(t.Context(), memory.New(), registry.DefaultConfig(), registry.Checks{}, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = reg.Close() })
	one := &feature.View{Meta: feature.Meta{Name: "one"}, Source: "s", Entities: []string{"number"}}
	two := &feature.View{Meta: feature.Meta{Name: "two"}, Source: "s", Entities: []string{"number", "word"}}
	for _, ft := range allTypes {
		one.Features = append(one.Features, feature.Field{Name: "f_" + nameOf(ft), Type: ft})
		two.Features = append(two.Features, feature.Field{Name: "g_" + nameOf(ft), Type: ft})
	}
	two.Features = append(two.Features, feature.Field{Name: "f_bool", Type: feature.Bool})
	wide := &feature.View{Meta: feature.Meta{Name: "wide"}, Source: "s", Entities: []string{"number"}}
	for i := range 10 {
		wide.Features = append(wide.Features, feature.Field{Name: fmt.Sprint("x", i), Type: feature.Float64})
	}
	cfg := serving.DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	met := prometheus.NewRegistry()
	srv, err := serving.NewServer(cfg, slog.New(slog.DiscardHandler), met)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	p, err := reg.Apply(t.Context(), registry.Request{Definitions: []feature.Definition{
		&feature.Entity{Meta: feature.Meta{Name: "number"}, JoinKeys: []feature.Field{{Name: "n", Type: feature.Int64}}},
		&feature.Entity{Meta: feature.Meta{Name: "word"}, JoinKeys: []feature.Field{{Name: "w", Type: feature.String}, {Name: "small", Type: feature.Int32}, {Name: "at", Type: feature.Timestamp}, {Name: "yes", Type: feature.Bool}, {Name: "raw", Type: feature.Bytes}}},
		&feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "s", EventTime: feature.TimeField{Field: "at_time"}},
		one, two, wide,
		&feature.Service{Meta: feature.Meta{Name: "all"}, Features: []string{"two:g_float64", "one:*", "two:g_string"}},
	}})
	require.NoError(t, err)
	require.Empty(t, p.Faults)
	out := &world{reg: reg, met: met}
	lookups := serving.NewLookups(srv, reg, func(s *feature.Service) (serving.Plan, error) { return plan{out, s}, nil })
	out.Service = New(Options{Config: c, Lookups: lookups, Catalogs: reg, Writer: w, Ready: func(context.Context) string { return "" }})
	return out
}

// random fills a block with anything.
func random(rng *rand.Rand) func([]feature.Vector, int, *feature.Block) {
	whole := func() int64 {
		return []int64{0, 1, -1, rng.Int64(), -rng.Int64(), math.MinInt64, math.MaxInt64, 127, 128}[rng.IntN(9)]
	}
	when := func() int64 {
		return []int64{0, 1, -1, 1_000_000, 1_700_000_000_123_456, -1_000_001, feature.MaxTime, feature.MinTime, 1_700_000_000_000_000, 1_700_000_000_120_000}[rng.IntN(10)]
	}
	real := func() float64 {
		return []float64{0, math.Copysign(0, -1), 3, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324, 123456789012345680, rng.NormFloat64()}[rng.IntN(11)]
	}
	text := func() []byte {
		return []byte([]string{"", "a", "Köln \"\\\n\x01", strings.Repeat("x", 127), strings.Repeat("y", 300)}[rng.IntN(5)])
	}
	var fill func(v *feature.Vector, r int)
	fill = func(v *feature.Vector, r int) {
		switch v.Type {
		case feature.Bool:
			v.Bools[r] = rng.IntN(2) == 0
		case feature.Int32:
			v.Int32s[r] = int32(whole())
		case feature.Int64:
			v.Int64s[r] = whole()
		case feature.Timestamp:
			v.Int64s[r] = when()
		case feature.Float32:
			v.Float32[r] = float32(real())
		case feature.Float64:
			v.Float64[r] = real()
		case feature.String, feature.Bytes:
			v.Bytes[r] = text()
		default:
			var e feature.Vector
			size := rng.IntN(3)
			if rng.IntN(100) == 0 {
				size = 140 // a length of two bytes
			}
			e.Reset(v.Type.Elem(), size)
			for i := range e.Valid {
				fill(&e, i)
				v.Bytes[r] = feature.AppendElement(v.Bytes[r], &e, i)
			}
		}
	}
	return func(_ []feature.Vector, rows int, b *feature.Block) {
		for i := range b.Views {
			for r := range rows {
				v := &b.Views[i]
				v.Status[r] = []feature.Status{feature.Present, feature.Present, feature.NotFoundStatus, feature.OutsideMaxAge}[rng.IntN(4)]
				if v.Status[r] != feature.NotFoundStatus {
					v.EventTime[r] = when()
				}
			}
		}
		for i := range b.Columns {
			c := &b.Columns[i]
			for r := range rows {
				if b.Views[c.View].Status[r] != feature.Present || rng.IntN(4) == 0 {
					continue
				}
				c.Valid[r] = true
				fill(&c.Vector, r)
			}
		}
	}
}

// valueOf is a value as the generated type has it.
func valueOf(v *feature.Vector, i int) *feasttypes.Value {
	if !v.Valid[i] {
		return &feasttypes.Value{}
	}
	if v.Type.IsArray() {
		return listOf(v.Type, v.Bytes[i])
	}
	switch v.Type {
	case feature.Bool:
		return &feasttypes.Value{Val: &feasttypes.Value_BoolVal{BoolVal: v.Bools[i]}}
	case feature.Int32:
		return &feasttypes.Value{Val: &feasttypes.Value_Int32Val{Int32Val: v.Int32s[i]}}
	case feature.Int64:
		return &feasttypes.Value{Val: &feasttypes.Value_Int64Val{Int64Val: v.Int64s[i]}}
	case feature.Float32:
		return &feasttypes.Value{Val: &feasttypes.Value_FloatVal{FloatVal: v.Float32[i]}}
	case feature.Float64:
		return &feasttypes.Value{Val: &feasttypes.Value_DoubleVal{DoubleVal: v.Float64[i]}}
	case feature.String:
		return &feasttypes.Value{Val: &feasttypes.Value_StringVal{StringVal: string(v.Bytes[i])}}
	case feature.Bytes:
		return &feasttypes.Value{Val: &feasttypes.Value_BytesVal{BytesVal: v.Bytes[i]}}
	}
	return &feasttypes.Value{Val: &feasttypes.Value_UnixTimestampVal{UnixTimestampVal: time.UnixMicro(v.Int64s[i]).Unix()}}
}

// listOf is an array as the generated type has it.
func listOf(t feature.Type, packed []byte) *feasttypes.Value {
	var e feature.Vector
	if err := e.Unpack(t, packed); err != nil {
		panic(err)
	}
	seconds := func() (out []int64) {
		for _, x := range e.Int64s {
			out = append(out, time.UnixMicro(x).Unix())
		}
		return out
	}
	texts := func() (out []string) {
		for _, x := range e.Bytes {
			out = append(out, string(x))
		}
		return out
	}
	switch t.Elem() {
	case feature.Bool:
		return &feasttypes.Value{Val: &feasttypes.Value_BoolListVal{BoolListVal: &feasttypes.BoolList{Val: e.Bools}}}
	case feature.Int32:
		return &feasttypes.Value{Val: &feasttypes.Value_Int32ListVal{Int32ListVal: &feasttypes.Int32List{Val: e.Int32s}}}
	case feature.Int64:
		return &feasttypes.Value{Val: &feasttypes.Value_Int64ListVal{Int64ListVal: &feasttypes.Int64List{Val: e.Int64s}}}
	case feature.Float32:
		return &feasttypes.Value{Val: &feasttypes.Value_FloatListVal{FloatListVal: &feasttypes.FloatList{Val: e.Float32}}}
	case feature.Float64:
		return &feasttypes.Value{Val: &feasttypes.Value_DoubleListVal{DoubleListVal: &feasttypes.DoubleList{Val: e.Float64}}}
	case feature.String:
		return &feasttypes.Value{Val: &feasttypes.Value_StringListVal{StringListVal: &feasttypes.StringList{Val: texts()}}}
	case feature.Bytes:
		return &feasttypes.Value{Val: &feasttypes.Value_BytesListVal{BytesListVal: &feasttypes.BytesList{Val: e.Bytes}}}
	}
	return &feasttypes.Value{Val: &feasttypes.Value_UnixTimestampListVal{UnixTimestampListVal: &feasttypes.Int64List{Val: seconds()}}}
}

// TestWire: an answer that writes its own bytes is the message that the generated type would have been.
func TestWire(t *testing.T) {
	rng := rand.New(rand.NewPCG(testseed.For(t), 1))
	w := newWorld(t, DefaultConfig(), nil)
	w.read = random(rng)
	for round := range 60 {
		rows := []int{0, 1, 2, 7, 130}[rng.IntN(5)]
		req := &feastserving.GetOnlineFeaturesRequest{FullFeatureNames: rng.IntN(2) == 0, IncludeFeatureViewVersionMetadata: rng.IntN(2) == 0,
			Entities: map[string]*feasttypes.RepeatedValue{"other": {Val: []*feasttypes.Value{{}}}}}
		for _, k := range []feature.Field{{Name: "n", Type: feature.Int64}, {Name: "w", Type: feature.String}, {Name: "small", Type: feature.Int32}, {Name: "at", Type: feature.Timestamp}, {Name: "yes", Type: feature.Bool}, {Name: "raw", Type: feature.Bytes}} {
			var v feature.Vector
			v.Reset(k.Type, rows)
			b := &feature.Block{Rows: rows, Views: []feature.BlockView{{Status: make([]feature.Status, rows), EventTime: make([]int64, rows)}}, Columns: []feature.BlockColumn{{Vector: v}}}
			random(rng)(nil, rows, b)
			col := &feasttypes.RepeatedValue{}
			for i := range rows {
				col.Val = append(col.Val, valueOf(&b.Columns[0].Vector, i))
			}
			req.Entities[k.Name] = col
		}
		names, views := []string{"g_float64", "g_string"}, []string{"two", "two"}
		for _, ft := range allTypes {
			names, views = append(names, "f_"+nameOf(ft)), append(views, "one")
		}
		req.Kind = &feastserving.GetOnlineFeaturesRequest_FeatureService{FeatureService: "all"}
		if round%2 == 0 {
			names, views = []string{"g_bytes", "g_int32", "g_strings", "f_timestamp", "f_timestamps"}, []string{"two", "two", "two", "one", "one"}
			req.Kind = &feastserving.GetOnlineFeaturesRequest_Features{Features: &feastserving.FeatureList{Val: []string{"two:g_bytes", "one:f_timestamp", "two:g_int32", "one:f_timestamps", "two:g_strings"}}}
		}
		b, err := proto.Marshal(req)
		require.NoError(t, err)
		in := &wireRequest{}
		require.NoError(t, in.Decode(b))
		a, err := w.find(t.Context(), &in.wanted, fillWire)
		require.NoError(t, err)

		want := &feastserving.GetOnlineFeaturesResponse{Metadata: &feastserving.GetOnlineFeaturesResponseMetadata{FeatureNames: &feastserving.FeatureList{}}}
		if req.IncludeFeatureViewVersionMetadata {
			for i := range a.Views {
				want.Metadata.FeatureViewMetadata = append(want.Metadata.FeatureViewMetadata, &feastserving.FeatureViewMetadata{Name: a.Views[i].View.Meta.Name, Version: 1})
			}
		}
		keys := 0
		for _, e := range a.echo {
			keys++
			want.Metadata.FeatureNames.Val = append(want.Metadata.FeatureNames.Val, e.name)
			res := &feastserving.GetOnlineFeaturesResponse_FeatureVector{Values: req.Entities[e.name].Val}
			for _, v := range req.Entities[e.name].Val {
				s := feastserving.FieldStatus_PRESENT
				if v.Val == nil {
					s = feastserving.FieldStatus_NULL_VALUE
				}
				res.Statuses, res.EventTimestamps = append(res.Statuses, s), append(res.EventTimestamps, &timestamppb.Timestamp{})
			}
			want.Results = append(want.Results, res)
		}
		require.Equal(t, 6, keys)
		for i, name := range names {
			if req.FullFeatureNames {
				name = views[i] + "__" + name
			}
			want.Metadata.FeatureNames.Val = append(want.Metadata.FeatureNames.Val, name)
			res := &feastserving.GetOnlineFeaturesResponse_FeatureVector{}
			for j, c := range a.Columns {
				if c.Name != names[i] {
					continue
				}
				for r := range rows {
					v := &a.Views[c.View]
					s := feastserving.FieldStatus(v.Status[r])
					if s == feastserving.FieldStatus_PRESENT && !c.Valid[r] {
						s = feastserving.FieldStatus_NULL_VALUE
					}
					res.Values, res.Statuses = append(res.Values, valueOf(&a.Columns[j].Vector, r)), append(res.Statuses, s)
					ts := timestamppb.New(time.UnixMicro(v.EventTime[r]))
					res.EventTimestamps = append(res.EventTimestamps, ts)
				}
			}
			want.Results = append(want.Results, res)
		}
		enc := &in.out
		enc.answer, enc.free = a, func() {}
		size := enc.Size()
		got := enc.AppendTo(nil)
		require.Len(t, got, size)
		exact, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
		require.NoError(t, err)
		require.Equal(t, exact, got, "round %d", round)

		text := a.appendAnswer(nil)
		var j struct {
			Metadata struct {
				Names []string `json:"feature_names"`
			}
			Results []struct {
				Values   []any
				Statuses []string
				Times    []time.Time `json:"event_timestamps"`
			}
		}
		require.NoError(t, json.Unmarshal(text, &j), "%s", text)
		require.Equal(t, want.Metadata.FeatureNames.Val, j.Metadata.Names)
		for i, res := range want.Results {
			require.Len(t, j.Results[i].Values, rows)
			for r := range rows {
				require.Equal(t, plainOf(res.Values[r]), j.Results[i].Values[r])
				require.Equal(t, res.Statuses[r].String(), j.Results[i].Statuses[r])
				require.True(t, res.EventTimestamps[r].AsTime().Equal(j.Results[i].Times[r]))
			}
		}
		enc.Free()
	}
}

// plainOf is a value as JSON reads it.
func plainOf(v *feasttypes.Value) any {
	real := func(f float64) any {
		switch {
		case math.IsNaN(f):
			return "NaN"
		case math.IsInf(f, 0):
			return fmt.Sprintf("%sInfinity", map[bool]string{true: "-"}[f < 0])
		}
		return f
	}
	list := func(n int, at func(i int) *feasttypes.Value) any {
		out := make([]any, n)
		for i := range out {
			out[i] = plainOf(at(i))
		}
		return out
	}
	switch x := v.Val.(type) {
	case *feasttypes.Value_BoolListVal:
		return list(len(x.BoolListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_BoolVal{BoolVal: x.BoolListVal.Val[i]}}
		})
	case *feasttypes.Value_Int32ListVal:
		return list(len(x.Int32ListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_Int32Val{Int32Val: x.Int32ListVal.Val[i]}}
		})
	case *feasttypes.Value_Int64ListVal:
		return list(len(x.Int64ListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_Int64Val{Int64Val: x.Int64ListVal.Val[i]}}
		})
	case *feasttypes.Value_UnixTimestampListVal:
		return list(len(x.UnixTimestampListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_UnixTimestampVal{UnixTimestampVal: x.UnixTimestampListVal.Val[i]}}
		})
	case *feasttypes.Value_FloatListVal:
		return list(len(x.FloatListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_FloatVal{FloatVal: x.FloatListVal.Val[i]}}
		})
	case *feasttypes.Value_DoubleListVal:
		return list(len(x.DoubleListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_DoubleVal{DoubleVal: x.DoubleListVal.Val[i]}}
		})
	case *feasttypes.Value_StringListVal:
		return list(len(x.StringListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_StringVal{StringVal: x.StringListVal.Val[i]}}
		})
	case *feasttypes.Value_BytesListVal:
		return list(len(x.BytesListVal.Val), func(i int) *feasttypes.Value {
			return &feasttypes.Value{Val: &feasttypes.Value_BytesVal{BytesVal: x.BytesListVal.Val[i]}}
		})
	case *feasttypes.Value_BoolVal:
		return x.BoolVal
	case *feasttypes.Value_Int32Val:
		return float64(x.Int32Val)
	case *feasttypes.Value_Int64Val:
		return float64(x.Int64Val)
	case *feasttypes.Value_UnixTimestampVal:
		return float64(x.UnixTimestampVal)
	case *feasttypes.Value_FloatVal:
		return real(float64(x.FloatVal))
	case *feasttypes.Value_DoubleVal:
		return real(x.DoubleVal)
	case *feasttypes.Value_StringVal:
		return x.StringVal
	case *feasttypes.Value_BytesVal:
		var s string
		b, _ := json.Marshal(x.BytesVal)
		_ = json.Unmarshal(b, &s)
		return s
	}
	return nil
}

// FuzzWireRequest: whatever bytes come, the request is the one that the generated type reads, or refused.
func FuzzWireRequest(f *testing.F) {
	for _, r := range []*feastserving.GetOnlineFeaturesRequest{
		{},
		{Kind: &feastserving.GetOnlineFeaturesRequest_FeatureService{FeatureService: "all"}, FullFeatureNames: true},
		{Kind: &feastserving.GetOnlineFeaturesRequest_Features{Features: &feastserving.FeatureList{Val: []string{"a:b", "c:d"}}}, Entities: map[string]*feasttypes.RepeatedValue{
			"n": {Val: []*feasttypes.Value{{Val: &feasttypes.Value_Int64Val{Int64Val: 5}}, {Val: &feasttypes.Value_Int32ListVal{Int32ListVal: &feasttypes.Int32List{Val: []int32{1, -2}}}}, {}}}}},
	} {
		b, err := proto.Marshal(r)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := &feastserving.GetOnlineFeaturesRequest{}
		in := &wireRequest{}
		err := in.Decode(b)
		for i := range in.columns {
			var v feature.Vector
			for _, ft := range []feature.Type{feature.Int64, feature.String} {
				k := feature.Field{Name: "k", Type: ft}
				n, err := fillWire(k, in.columns[i].raw, &v)
				if err == nil {
					require.Len(t, v.Valid, n)
				}
				var all feature.Vector
				if n, usual, err := fillUsual(k, in.columns[i].raw, &v); usual {
					m, aerr := fillAny(k, in.columns[i].raw, &all)
					require.Equal(t, err, aerr)
					if err == nil {
						require.Equal(t, n, m)
						require.Equal(t, all.Valid, v.Valid)
						require.Equal(t, all.Int64s, v.Int64s)
					}
				}
			}
		}
		if proto.Unmarshal(b, want) != nil {
			return // more is refused there: texts that are no UTF-8, say
		}
		require.NoError(t, err)
		require.Equal(t, want.FullFeatureNames, in.fullNames)
		require.Equal(t, want.GetFeatureService(), in.service)
		require.Len(t, in.columns, len(want.Entities))
	})
}

// TestStoreError: what the store did not answer fails the call, or is INVALID where partial answers are wanted; never NOT_FOUND.
func TestStoreError(t *testing.T) {
	half := func(_ []feature.Vector, rows int, b *feature.Block) {
		for r := range rows {
			b.Views[0].Status[r] = []feature.Status{feature.StoreError, feature.NotFoundStatus}[r%2]
		}
	}
	ask := func() *wanted {
		return &wanted{features: []string{"one:f_bool"}, columns: []column{{"n", []byte("[1, 2]")}}}
	}
	w := newWorld(t, DefaultConfig(), nil)
	w.read = half
	_, err := w.find(t.Context(), ask(), fillJSON)
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	require.ErrorContains(t, err, "1 of 2")
	all, err := w.met.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			counts[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	require.Equal(t, 1.0, counts["weir_lookups_refused_total"])
	require.Zero(t, counts["weir_lookup_rows_total"], "nothing was answered")

	c := DefaultConfig()
	c.Partial = true
	w = newWorld(t, c, nil)
	w.read = half
	a, err := w.find(t.Context(), ask(), fillJSON)
	require.NoError(t, err)
	require.Contains(t, string(a.appendAnswer(nil)), `"statuses":["INVALID","NOT_FOUND"]`)
}

// TestKeyIsText: keys are given back as texts, and one that is none would make clients refuse the whole answer.
func TestKeyIsText(t *testing.T) {
	v := feature.Vector{}
	for _, bad := range []string{"\xff", "a\xc3"} {
		raw, err := proto.Marshal(&feasttypes.RepeatedValue{Val: []*feasttypes.Value{{Val: &feasttypes.Value_BytesVal{BytesVal: []byte(bad)}}}})
		require.NoError(t, err)
		_, err = fillWire(feature.Field{Name: "k", Type: feature.String}, raw, &v)
		require.Equal(t, feature.Invalid, feature.KindOf(err), "%q", bad)
		_, err = fillWire(feature.Field{Name: "k", Type: feature.Bytes}, raw, &v)
		require.NoError(t, err)
	}
}

// slowClient looks at the lookups under way when it takes the answer.
type slowClient struct {
	*httptest.ResponseRecorder
	met  *prometheus.Registry
	seen float64
}

func (s *slowClient) Write(b []byte) (int, error) {
	all, err := s.met.Gather()
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.GetName() == "weir_lookups_in_flight" {
			s.seen = m.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return s.ResponseRecorder.Write(b)
}

// TestAnswerIsOverBeforeItIsSent: a client that takes its answer slowly holds no block, and its time is not the lookup's.
func TestAnswerIsOverBeforeItIsSent(t *testing.T) {
	w := newWorld(t, DefaultConfig(), nil)
	w.read = func([]feature.Vector, int, *feature.Block) {}
	to := &slowClient{httptest.NewRecorder(), w.met, -1}
	require.NoError(t, w.lookup(to, httptest.NewRequest("POST", "/get-online-features", nil), []byte(`{"features":["one:f_bool"],"entities":{"n":[1]}}`)))
	require.Contains(t, to.Body.String(), `"results"`)
	require.Zero(t, to.seen)
}
