package serving

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/weir-ml/weir/internal/testseed"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// allTypes are those of values: every scalar, and arrays of it.
var allTypes = func() []feature.Type {
	all := slices.Clone(featureTypes)
	for _, t := range featureTypes {
		all = append(all, feature.Array(t))
	}
	return all
}()

// randomBlock is a block of any shape: every type, status and length, nulls, no rows, no views.
func randomBlock(r *rand.Rand, rows, columns int) *feature.Block {
	text := func() []byte {
		return []byte(strings.Repeat("ä€x😀"[:[]int{0, 2, 5, 6, 10}[r.IntN(5)]], []int{1, 1, 1, 50}[r.IntN(4)]))
	}
	whole := func() int64 {
		return []int64{0, 1, -1, 127, 128, math.MaxInt64, math.MinInt64, math.MaxInt32, math.MinInt32, int64(r.Uint64())}[r.IntN(10)]
	}
	real := func() float64 {
		return []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 0.1, r.NormFloat64()}[r.IntN(7)]
	}
	var fill func(v *feature.Vector, j int)
	fill = func(v *feature.Vector, j int) {
		switch v.Type {
		case feature.Bool:
			v.Bools[j] = r.IntN(2) == 0
		case feature.Int32:
			v.Int32s[j] = int32(whole())
		case feature.Int64, feature.Timestamp:
			v.Int64s[j] = whole()
		case feature.Float32:
			v.Float32[j] = float32(real())
		case feature.Float64:
			v.Float64[j] = real()
		case feature.String, feature.Bytes:
			v.Bytes[j] = text()
		default:
			var e feature.Vector
			size := r.IntN(3)
			if r.IntN(100) == 0 {
				size = 130 // a length of two bytes
			}
			e.Reset(v.Type.Elem(), size)
			for k := range e.Valid {
				fill(&e, k)
				v.Bytes[j] = feature.AppendElement(v.Bytes[j], &e, k)
			}
		}
	}
	b := &feature.Block{Rows: rows}
	for i := range r.IntN(4) + min(columns, 1) {
		v := feature.BlockView{View: &feature.View{Meta: feature.Meta{Name: []string{"", "v", strings.Repeat("n", 130)}[r.IntN(3)] + fmt.Sprint(i)}}}
		statuses := []feature.Status{feature.Present, feature.NotFoundStatus, feature.OutsideMaxAge, feature.StoreError}[:1+r.IntN(4)]
		for range rows {
			v.Status = append(v.Status, statuses[r.IntN(len(statuses))])
			v.EventTime = append(v.EventTime, whole())
		}
		b.Views = append(b.Views, v)
	}
	for i := range columns {
		c := feature.BlockColumn{Name: fmt.Sprintf("f%d", i), View: r.IntN(len(b.Views))}
		c.Reset(allTypes[r.IntN(len(allTypes))], rows)
		nulls := r.IntN(3)
		for j := range rows {
			if c.Valid[j] = nulls == 0 || nulls == 1 && r.IntN(2) == 0; c.Valid[j] {
				fill(&c.Vector, j)
			}
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

// The bytes of a reply are those of the message: it says the same, and nothing twice.
func sameAsMessage(t *testing.T, p *replies, b *feature.Block, statuses, times bool, revision int64, first uint64) {
	t.Helper()
	want := message(b, statuses, times)
	want.CatalogRevision, want.FirstRow = revision, first
	e := p.of(&Answer{Block: b, Revision: revision}, nil, statuses, times, first)
	got := e.AppendTo([]byte("before"))
	require.Len(t, got, e.Size()+len("before"))
	e.Free()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	require.NoError(t, err)
	require.Equal(t, wire, got[len("before"):])
}

func TestReplyIsTheMessage(t *testing.T) {
	var p replies
	for seed := range testseed.Each(t, 2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		rows := []int{0, 1, 2, 7, 8, 9, 64, 200}[r.IntN(8)]
		b := randomBlock(r, rows, r.IntN(12))
		sameAsMessage(t, &p, b, r.IntN(2) == 0, r.IntN(2) == 0, []int64{0, 1, 300, math.MaxInt64}[r.IntN(4)], []uint64{0, 0, 1, 1 << 40}[r.IntN(4)])
	}
}

func FuzzReply(f *testing.F) {
	f.Add(uint64(1), uint16(3), uint8(4), true, false)
	f.Add(uint64(2), uint16(0), uint8(0), false, true)
	var p replies
	f.Fuzz(func(t *testing.T, seed uint64, rows uint16, columns uint8, statuses, times bool) {
		sameAsMessage(t, &p, randomBlock(rand.New(rand.NewPCG(seed, 1)), int(rows%2000), int(columns%40)), statuses, times, int64(seed), uint64(rows))
	})
}

// All that a lookup allocates is the same for 1 row and for 1000, texts and arrays included:
// from the bytes of the request to the bytes of the answer.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	f := newFixture(t, nil)
	withLists(f)
	text := []byte("\x07wo year") // as an array one text, two numbers of 4 bytes, eight bools
	f.read = nil
	features := NewFeatures(NewLookups(f.server, f.reg, func(s *feature.Service) (Plan, error) { return &still{s: s, text: text}, nil }))
	cost := func(service string, rows int) float64 {
		ids := make([]int64, rows)
		texts := make([]string, rows)
		for i := range ids {
			ids[i] = int64(i * 1000)
			texts[i] = fmt.Sprint(ids[i])
		}
		most := 0.0
		for _, col := range []*weirv1.EntityColumn{ints("id", ids...), textColumn("id", texts...)} {
			req := churn(col)
			req.What = &weirv1.LookupRequest_Service{Service: service}
			req.IncludeStatuses, req.IncludeEventTimes = true, true
			wire, err := proto.Marshal(req)
			require.NoError(t, err)
			out := make([]byte, 0, 1<<20)
			most = max(most, testing.AllocsPerRun(50, func() {
				e, err := features.Lookup(context.Background(), wire)
				if err != nil {
					t.Fatal(err)
				}
				out = e.AppendTo(out[:0])
				e.Free()
			}))
		}
		return most
	}
	for _, service := range []string{"churn", "lists"} {
		one, thousand := cost(service, 1), cost(service, 1000)
		t.Log("allocations a lookup of", service+":", one, thousand)
		require.LessOrEqual(t, thousand, one+1, "a pool may be emptied in between")
		require.Less(t, one, 20.0)
	}
}

// still is a plan that fills the block it is given, as online.Plan does.
type still struct {
	s    *feature.Service
	text []byte
}

func (p *still) Keys() []feature.Field { return p.s.Views[0].Keys }

func (p *still) Read(_ context.Context, _ []feature.Vector, rows int, b *feature.Block) error {
	b.Rows = rows
	if len(b.Columns) == 0 {
		b.Views, b.Columns = make([]feature.BlockView, len(p.s.Views)), make([]feature.BlockColumn, len(p.s.Columns))
	}
	for i := range b.Views {
		v := &b.Views[i]
		v.View, v.Status, v.EventTime = p.s.Views[i], sized(v.Status, rows), sized(v.EventTime, rows)
		for j := range rows {
			v.Status[j] = feature.Present
		}
	}
	for i, c := range p.s.Columns {
		col := &b.Columns[i]
		col.Name, col.View = c.Name, c.View
		col.Reset(p.s.Views[c.View].Features[c.Feature].Type, rows)
		for j := range col.Bytes {
			col.Bytes[j], col.Valid[j] = p.text, true
		}
	}
	return nil
}
