package serving

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// echo answers each int64 feature with the key.
func echo(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
	_ = present(ctx, s, keys, rows, b)
	for i := range b.Columns {
		if b.Columns[i].Type == feature.Int64 {
			copy(b.Columns[i].Int64s, keys[0].Int64s)
		}
	}
	return nil
}

// received takes all parts of a stream.
func received(ctx context.Context, f *fixture, req *weirv1.LookupRequest) (parts []*weirv1.LookupResponse, err error) {
	s, err := f.features.LookupStream(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		p, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		parts = append(parts, p)
	}
}

func TestLookupStream(t *testing.T) {
	for name, c := range map[string]struct {
		rows, most, values int
		sizes              []int
	}{
		"no rows":       {0, 10, 1000, []int{0}},
		"one part":      {10, 10, 1000, []int{10}},
		"by rows":       {25, 10, 1000, []int{10, 10, 5}},
		"by values":     {7, 10, 24, []int{3, 3, 1}}, // of eight features
		"a row a part":  {3, 10, 15, []int{1, 1, 1}},
		"to the limit":  {100, 50, 1000, []int{50, 50}},
		"exact at last": {20, 10, 1000, []int{10, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(cfg *Config) { cfg.MaxRows, cfg.MaxValues, cfg.MaxStreamRows = c.most, c.values, 100 })
			f.read = echo
			ids := make([]int64, c.rows)
			for i := range ids {
				ids[i] = int64(1000 + i)
			}
			for _, col := range []*weirv1.EntityColumn{ints("id", ids...)} {
				req := churn(col)
				req.IncludeStatuses = true
				parts, err := received(t.Context(), f, req)
				require.NoError(t, err)
				var sizes []int
				var got []int64
				for _, p := range parts {
					require.EqualValues(t, len(got), p.FirstRow)
					sizes = append(sizes, int(p.Rows))
					require.Len(t, p.Columns, 8)
					require.Len(t, p.Views[0].Statuses, int(p.Rows))
					got = append(got, p.Columns[2].Values.GetInt64S().GetValues()...)
				}
				require.Equal(t, c.sizes, sizes)
				require.True(t, slices.Equal(ids, got), "%v", got)
			}
		})
	}
}

// Texts and arrays have any length: parts become smaller where they are long, and larger again. One
// call that asks for too much of them is refused, and a stream is not.
func TestLookupStreamOfLargeRows(t *testing.T) {
	const most = 12 << 20
	f := newFixture(t, func(cfg *Config) { cfg.MaxMessage = most })
	f.apply(&feature.View{Meta: feature.Meta{Name: "pictures"}, Source: "billing", Entities: []string{"customer"}, Features: []feature.Field{{Name: "embedding", Type: feature.Array(feature.Float32)}, {Name: "n", Type: feature.Int64}}})
	const long, short = 4096, 8 // elements; the rows in the middle are long
	elements := func(id int64) int {
		if id >= 2000 && id < 3000 {
			return long
		}
		return short
	}
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		_ = present(ctx, s, keys, rows, b)
		for i, id := range keys[0].Int64s {
			b.Columns[0].Bytes[i] = make([]byte, 4*elements(id))
			binary.LittleEndian.PutUint32(b.Columns[0].Bytes[i], math.Float32bits(float32(id)))
			b.Columns[1].Int64s[i] = id
		}
		return nil
	}
	ids := make([]int64, 12_000)
	for i := range ids {
		ids[i] = int64(i)
	}
	req := refs("pictures:embedding", "pictures:n")
	req.Entities = []*weirv1.EntityColumn{ints("id", ids...)}
	parts, err := received(t.Context(), f, req)
	require.NoError(t, err)
	next, largest, smallest := int64(0), 0, len(ids)
	for _, p := range parts {
		largest, smallest = max(largest, int(p.Rows)), min(smallest, int(p.Rows))
		require.Equal(t, weirv1.Type_TYPE_ARRAY_FLOAT32, p.Columns[0].Type)
		a := p.Columns[0].Values.GetArrays()
		values, at := a.Elements.GetFloats().GetValues(), 0
		for i, n := range a.Lengths {
			require.Equal(t, next, p.Columns[1].Values.GetInt64S().GetValues()[i])
			require.EqualValues(t, elements(next), n)
			require.Equal(t, float32(next), values[at])
			at, next = at+int(n), next+1
		}
		require.Len(t, values, at)
	}
	require.Len(t, ids, int(next))
	require.LessOrEqual(t, smallest, partBytes/4/long)
	require.Greater(t, largest, 1000)

	req.Entities = []*weirv1.EntityColumn{ints("id", ids[2000:3000]...)}
	_, err = f.lookup(req)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "serving.max_message")
	require.Zero(t, testutil.ToFloat64(f.server.met.seen.inFlight))
}

// Keys of every type are cut as they are.
func TestSlice(t *testing.T) {
	for _, typ := range keyTypes {
		var v feature.Vector
		v.Reset(typ, 5)
		s := slice(&v, 1, 4)
		require.Equal(t, typ, s.Type)
		require.Len(t, s.Valid, 3)
		require.Equal(t, 3, len(s.Bools)+len(s.Int32s)+len(s.Int64s)+len(s.Bytes))
	}
}

func TestLookupStreamRefuses(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRows, c.MaxValues, c.MaxStreamRows = 10, 7, 20 })
	f.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		panic("the store was asked")
	}
	for _, c := range []struct {
		req  *weirv1.LookupRequest
		code codes.Code
		text string
	}{
		{&weirv1.LookupRequest{}, codes.InvalidArgument, "neither"},
		{churn(), codes.InvalidArgument, "give id"},
		{churn(ints("id", make([]int64, 21)...)), codes.ResourceExhausted, "serving.max_stream_rows"},
		{churn(ints("id", 1)), codes.ResourceExhausted, "serving.max_values"}, // one row has eight
	} {
		parts, err := received(t.Context(), f, c.req)
		require.Empty(t, parts)
		require.Equal(t, c.code, status.Code(err), "%v", err)
		require.ErrorContains(t, err, c.text)
	}
	require.Zero(t, testutil.ToFloat64(f.server.met.seen.inFlight))
}

// All parts are read by the plan and the catalog of the first, whatever is applied meanwhile; the next stream has the new one.
func TestLookupStreamOnePlan(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRows = 1 })
	n := 0
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		if n++; n == 2 {
			f.apply(&feature.Service{Meta: feature.Meta{Name: "churn"}, Features: []string{"profile:f_string"}})
		}
		return present(ctx, s, keys, rows, b)
	}
	parts, err := received(t.Context(), f, churn(ints("id", 1, 2, 3, 4)))
	require.NoError(t, err)
	require.Len(t, parts, 4)
	for _, p := range parts {
		require.Len(t, p.Columns, 8)
		require.Equal(t, parts[0].CatalogRevision, p.CatalogRevision)
	}
	again, err := received(t.Context(), f, churn(ints("id", 1)))
	require.NoError(t, err)
	require.Len(t, again[0].Columns, 1)
	require.Greater(t, again[0].CatalogRevision, parts[0].CatalogRevision)
}

// A fault in the middle ends the stream with its code, after the parts before it.
func TestLookupStreamBreaks(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRows = 1 })
	n := 0
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		if n++; n == 3 {
			return feature.Errorf(feature.Exhausted, "store", "", "enough")
		}
		return present(ctx, s, keys, rows, b)
	}
	parts, err := received(t.Context(), f, churn(ints("id", 1, 2, 3, 4)))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Len(t, parts, 2)
	require.Zero(t, testutil.ToFloat64(f.server.met.seen.inFlight))
}

// A client that takes nothing holds the server up before it has read all of the rows; one
// that leaves ends the work.
func TestLookupStreamCanceled(t *testing.T) {
	const rows = 4000
	f := newFixture(t, func(c *Config) { c.MaxRows = 1 })
	var read atomic.Int64
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		read.Add(1)
		_ = present(ctx, s, keys, rows, b)
		for i := range b.Columns {
			for j := range b.Columns[i].Bytes {
				b.Columns[i].Bytes[j] = make([]byte, 4096)
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := f.features.LookupStream(ctx, churn(ints("id", make([]int64, rows)...)))
	require.NoError(t, err)
	_, err = s.Recv()
	require.NoError(t, err)
	cancel()
	for err == nil {
		_, err = s.Recv()
	}
	require.Equal(t, codes.Canceled, status.Code(err))
	require.Eventually(t, func() bool {
		return strings.Contains(gathered(t, f.metrics), "weir_grpc_seconds code=Canceled method=/weir.v1.FeatureService/LookupStream 1\n")
	}, 20*time.Second, time.Millisecond, "the call goes on")
	require.Zero(t, testutil.ToFloat64(f.server.met.seen.inFlight))
	require.Less(t, read.Load(), int64(rows), "the windows of flow control are smaller than the answer")
}
