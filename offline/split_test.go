package offline_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	"github.com/weir-ml/weir/registry/feature"
)

// Rows of a spine for the tests of splits: customer, shop, time (-1: none).
type splitRow struct {
	customer, shop any
	time           int64
}

// cut gives rows in batches of random sizes.
type cut struct {
	rows   []splitRow
	schema *arrow.Schema
	r      *rand.Rand
	most   int
}

func (c *cut) Schema() *arrow.Schema { return c.schema }

func (c *cut) Read() (arrow.RecordBatch, error) {
	if len(c.rows) == 0 {
		return nil, io.EOF
	}
	n := min(len(c.rows), 1+c.r.IntN(c.most))
	b := array.NewRecordBuilder(memory.DefaultAllocator, c.schema)
	defer b.Release()
	for _, r := range c.rows[:n] {
		jointest.AppendValue(b.Field(0), r.customer)
		jointest.AppendValue(b.Field(1), r.shop)
		if r.time < 0 {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(r.time))
		}
	}
	c.rows = c.rows[n:]
	return b.NewRecordBatch(), nil
}

func splitService(t *testing.T) (*feature.Service, []offline.TableAt) {
	v := makeView("v", 0, []feature.Field{field("customer", feature.String), field("shop", feature.Int64)}, field("x", feature.Float64))
	return makeService(t, v), []offline.TableAt{{Table: openTable(t, v)}}
}

// parted joins rows and returns the part of each.
func parted(t *testing.T, split *feature.SnapshotSplit, rows []splitRow, r *rand.Rand) []string {
	t.Helper()
	svc, tables := splitService(t)
	schema := arrow.NewSchema([]arrow.Field{{Name: "customer", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "shop", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "event_timestamp", Type: feature.Timestamp.Arrow(), Nullable: true}}, nil)
	spine := offline.Spine{Rows: &cut{rows, schema, r, 1 + r.IntN(len(rows))}}
	var out []string
	sink, err := offline.Splitting(split, svc, spine, func(rec arrow.RecordBatch) error {
		at := rec.Schema().NumFields() - 1
		require.Equal(t, feature.SplitColumn, rec.ColumnName(at))
		for i := range int(rec.NumRows()) {
			x, _ := cellAny(rec.Column(at), i).(string)
			out = append(out, x)
		}
		return nil
	})
	require.NoError(t, err)
	_, err = offline.Join(ctx, offline.JoinRequest{Service: svc, Tables: tables, Spine: spine}, sink)
	require.NoError(t, err)
	require.Len(t, out, len(rows))
	return out
}

func shares(parts ...any) *feature.SnapshotSplit {
	s := &feature.SnapshotSplit{}
	for i := 0; i < len(parts); i += 2 {
		s.Parts = append(s.Parts, feature.SnapshotPart{Name: parts[i].(string), Share: parts[i+1].(float64)})
	}
	return s
}

func splitRows(r *rand.Rand, n int) []splitRow {
	out := make([]splitRow, n)
	for i := range out {
		out[i] = splitRow{fmt.Sprint("c", r.IntN(n)), r.Int64N(5) - 2, r.Int64N(100)}
		if r.IntN(20) == 0 {
			out[i].customer = nil
		}
		if r.IntN(20) == 0 {
			out[i].time = -1
		}
	}
	return out
}

// TestSplitStable: the part depends on the entity alone. In any order, in a spine
// that has grown, in batches of any size, an entity is where it was; and shares that
// are divided further move nobody else.
func TestSplitStable(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	split := shares("train", 80.0, "validation", 10.0, "test", 10.0)
	rows := splitRows(r, 3000)
	where := map[[2]any]string{}
	for i, p := range parted(t, split, rows, r) {
		k := [2]any{rows[i].customer, rows[i].shop}
		if was, ok := where[k]; ok {
			require.Equal(t, was, p, "%v", k)
		}
		require.NotEmpty(t, p)
		where[k] = p
	}
	for range 5 {
		again := slices.Concat(rows, splitRows(r, r.IntN(4000)))
		r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		again = again[:len(again)-r.IntN(1000)]
		for i, p := range parted(t, split, again, r) {
			if was, ok := where[[2]any{again[i].customer, again[i].shop}]; ok {
				require.Equal(t, was, p)
			}
		}
	}
	finer := parted(t, shares("train", 80.0, "validation", 10.0, "test", 4.0, "holdout", 6.0), rows, r)
	seeded := *split
	seeded.Seed = 1
	moved := 0
	for i, p := range parted(t, &seeded, rows, r) {
		was := where[[2]any{rows[i].customer, rows[i].shop}]
		if finer[i] == "holdout" {
			finer[i] = "test"
		}
		require.Equal(t, was, finer[i])
		if p != was {
			moved++
		}
	}
	require.Greater(t, moved, 600, "another seed is another split")
}

// TestSplitHash: the documented hash, computed by hand.
func TestSplitHash(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	rows := splitRows(r, 500)
	split := shares("a", 12.5, "b", 87.5)
	split.Seed = 42
	for i, p := range parted(t, split, rows, r) {
		var b []byte
		if s, ok := rows[i].customer.(string); ok {
			b = append(binary.LittleEndian.AppendUint64([]byte{1}, uint64(len(s))), s...)
		} else {
			b = []byte{0}
		}
		b = binary.LittleEndian.AppendUint64(append(b, 1), uint64(rows[i].shop.(int64)))
		d := xxhash.NewWithSeed(42)
		_, _ = d.Write(b)
		require.Equal(t, d.Sum64() < 1<<61, p == "a", "%v", rows[i])
	}
	split.By, split.Seed = []string{"shop"}, 0
	for i, p := range parted(t, split, rows, r) {
		b := binary.LittleEndian.AppendUint64([]byte{1}, uint64(rows[i].shop.(int64)))
		require.Equal(t, xxhash.Sum64(b) < 1<<61, p == "a")
	}
}

// TestSplitShares: of many entities each part gets its share, within five standard deviations.
func TestSplitShares(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	const n = 40000
	rows := make([]splitRow, n)
	for i := range rows {
		rows[i] = splitRow{fmt.Sprint("customer", i), int64(i), 0}
	}
	got := map[string]float64{}
	for _, p := range parted(t, shares("train", 79.5, "validation", 20.0, "test", 0.5), rows, r) {
		got[p]++
	}
	for name, share := range map[string]float64{"train": 0.795, "validation": 0.2, "test": 0.005} {
		sd := n * share * (1 - share)
		require.InDelta(t, n*share, got[name], 5*math.Sqrt(sd), name)
	}
}

func TestSplitByTime(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	rows := splitRows(r, 1000)
	split := &feature.SnapshotSplit{Time: true, Parts: []feature.SnapshotPart{{Name: "train"}, {Name: "validation", From: 50}, {Name: "test", From: 90}}}
	for i, p := range parted(t, split, rows, r) {
		switch at := rows[i].time; {
		case at < 0:
			require.Empty(t, p)
		case at < 50:
			require.Equal(t, "train", p)
		case at < 90:
			require.Equal(t, "validation", p)
		default:
			require.Equal(t, "test", p)
		}
	}
}

// TestSplitOfKeyTypes: the same entities in columns of other types are in the same parts.
func TestSplitOfKeyTypes(t *testing.T) {
	svc, tables := splitService(t)
	var text strings.Builder
	text.WriteString("customer,shop,event_timestamp\n")
	var rows []splitRow
	for i := range int64(200) {
		rows = append(rows, splitRow{fmt.Sprint(10000 + i), i % 7, 0})
		fmt.Fprintf(&text, "%d,%d,1970-01-01\n", 10000+i, i%7) // integers, for all the file tells
	}
	split := shares("a", 50.0, "b", 50.0)
	want := parted(t, split, rows, rand.New(rand.NewPCG(1, 1)))
	bare := makeService(t, svc.Views[0])
	spine := offline.Spine{Rows: csvSpine(t, &feature.Service{}, text.String())}
	require.Equal(t, arrow.INT64, spine.Rows.Schema().Field(0).Type.ID())
	var got []string
	sink, err := offline.Splitting(split, bare, spine, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			got = append(got, cellAny(rec.Column(int(rec.NumCols())-1), i).(string))
		}
		return nil
	})
	require.NoError(t, err)
	_, err = offline.Join(ctx, offline.JoinRequest{Service: bare, Tables: tables, Spine: spine}, sink)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestSplitFaults(t *testing.T) {
	svc, _ := splitService(t)
	const header = "customer,shop,event_timestamp,when"
	at := func(parts ...feature.SnapshotPart) *feature.SnapshotSplit {
		return &feature.SnapshotSplit{Time: true, Parts: parts}
	}
	for name, c := range map[string]struct {
		split  *feature.SnapshotSplit
		header string
		says   string
	}{
		"too little":        {shares("a", 50.0, "b", 40.0), header, "add up to 90"},
		"too much":          {shares("a", 50.0, "b", 50.000001), header, "add up to 100.000001"},
		"one part":          {shares("a", 100.0), header, "fewer than two parts"},
		"nothing":           {shares("a", 100.0, "b", 0.0), header, "a share of 0"},
		"negative":          {shares("a", 110.0, "b", -10.0), header, "a share of -10"},
		"too fine":          {shares("a", 99.99999999, "b", 0.00000001), header, "six decimals"},
		"twice":             {shares("a", 50.0, "a", 50.0), header, "twice"},
		"no name":           {shares("a", 50.0, "../b", 50.0), header, "is not a name"},
		"none":              {shares("train", 50.0, "none", 50.0), header, "rows without a time"},
		"unknown column":    {&feature.SnapshotSplit{Parts: shares("a", 50.0, "b", 50.0).Parts, By: []string{"nobody"}}, header, `"nobody"`},
		"column taken":      {shares("a", 50.0, "b", 50.0), header + ",split", "makes a column of this name"},
		"times back":        {at(feature.SnapshotPart{Name: "train"}, feature.SnapshotPart{Name: "b", From: 5}, feature.SnapshotPart{Name: "c", From: 5}), header, "no later than"},
		"a share in a time": {at(feature.SnapshotPart{Name: "train", Share: 1}, feature.SnapshotPart{Name: "b", From: 5}), header, "a share and a time"},
		"seed of times":     {&feature.SnapshotSplit{Time: true, Seed: 1, Parts: []feature.SnapshotPart{{Name: "train"}, {Name: "b", From: 5}}}, header, "splits by hash"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := offline.TrainingSchema(svc, offline.Spine{Rows: csvSpine(t, svc, c.header+"\n")}, c.split)
			require.Equal(t, feature.Invalid, feature.KindOf(err))
			require.ErrorContains(t, err, c.says)
		})
	}
	s, err := offline.TrainingSchema(svc, offline.Spine{Rows: csvSpine(t, svc, header+"\n")}, shares("a", 99.9, "b", 0.1))
	require.NoError(t, err)
	require.Equal(t, "split", s.Field(s.NumFields()-1).Name)
	names := svc.Columns[0]
	names.Name = "split"
	taken := &feature.Service{Meta: svc.Meta, Views: svc.Views, Columns: []feature.ServiceColumn{names}}
	_, err = offline.TrainingSchema(taken, offline.Spine{Rows: csvSpine(t, svc, header+"\n")}, shares("a", 50.0, "b", 50.0))
	require.ErrorContains(t, err, "feature called split")
}
