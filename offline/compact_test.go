package offline_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// history is a table whose files were written by several versions of its view
// and by other engines, with the rows that are in it.
type history struct {
	t      *testing.T
	r      *rand.Rand
	full   *feature.View // all features that ever were
	store  *memstore.Store
	tables []offline.Table // by version of the view; the first has all features
	lines  []string
	keys   [][]any // of some rows
	next   int64
	at     feature.Position
}

// newHistory makes a table with random join keys.
func newHistory(t *testing.T, r *rand.Rand) *history {
	h := &history{t: t, r: r, store: memstore.Open(), full: offlinetest.View("stats", field("late", feature.String), field("later", feature.Float64))}
	types := []feature.Type{feature.String, feature.Int64, feature.Int32, feature.Bool, feature.Bytes, feature.Timestamp}
	r.Shuffle(len(types), func(i, j int) { types[i], types[j] = types[j], types[i] })
	h.full.Keys = nil
	for i, k := range types[:1+r.IntN(3)] {
		h.full.Keys = append(h.full.Keys, field(fmt.Sprintf("key_%d", i), k))
	}
	early := *h.full
	early.Features = early.Features[:len(early.Features)-2]
	lost := *h.full
	lost.Features = lost.Features[2:]
	// Opened in the order of the versions, so that the columns get their ids in it.
	older := h.open(&early)
	h.tables = []offline.Table{h.open(h.full), older, h.open(&lost)}
	return h
}

func (h *history) open(v *feature.View) offline.Table {
	tb, err := h.store.Table(context.Background(), v)
	require.NoError(h.t, err)
	return tb
}

// batch makes rows of the full view, of which those features are null that the
// version does not have. Times fall together often.
func (h *history) batch(n int, version *feature.View, days int) *feature.Batch {
	g := &offlinetest.Gen{R: h.r, View: h.full, Keys: 1 + h.r.IntN(2000), Days: days}
	b := g.Batch(0, h.next, n, h.r.IntN(2) == 0)
	h.next = b.Origin.Next
	for i := range b.EventTime {
		b.EventTime[i] -= b.EventTime[i] % 3600_000000
		b.KnownTime[i] -= b.KnownTime[i] % 3600_000000
	}
	h.t.Cleanup(b.Rows.Release)
	cols := slices.Clone(b.Rows.Columns())
	for i, c := range h.full.Columns() {
		if c.Name == "f_float64" { // nothing that a float32 does not hold
			b := array.NewFloat64Builder(memory.DefaultAllocator)
			for row := range n {
				if x := cellAny(cols[i], row); x == nil {
					b.AppendNull()
				} else {
					b.Append(float64(float32(x.(float64))))
				}
			}
			cols[i] = b.NewArray()
		}
		if c.Name == "f_int64" { // nor an int32
			b := array.NewInt64Builder(memory.DefaultAllocator)
			for row := range n {
				if x := cellAny(cols[i], row); x == nil {
					b.AppendNull()
				} else {
					b.Append(int64(int32(x.(int64))))
				}
			}
			cols[i] = b.NewArray()
		}
		if !has(version, c) {
			cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, c.Type.Arrow(), n)
		}
	}
	b.Rows = array.NewRecordBatch(h.full.Schema(), cols, int64(n))
	for row := 0; row < n; row += 7 {
		var key []any
		for k := range h.full.Keys {
			key = append(key, cellAny(cols[k], row))
		}
		h.keys = append(h.keys, key)
	}
	h.lines = append(h.lines, offlinetest.Lines(b)...)
	return b
}

func has(v *feature.View, c feature.Field) bool {
	return slices.ContainsFunc(v.Columns(), func(x feature.Field) bool { return x.Name == c.Name })
}

// commit appends rows as ingestion does, through a version of the view.
func (h *history) commit(n, version, days int) {
	tb := h.tables[version]
	b := h.batch(n, tb.View(), days)
	var cols []arrow.Array
	for i, c := range h.full.Columns() {
		if has(tb.View(), c) {
			cols = append(cols, b.Rows.Column(i))
		}
	}
	mine := *b
	mine.View = tb.View()
	mine.Rows = array.NewRecordBatch(tb.View().Schema(), cols, int64(n))
	w, err := offline.NewWriter(tb, offline.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(h.t, err)
	defer w.Close()
	to := offlinetest.At(0, b.Origin.Next, "")
	c := offlinetest.Move(tb.View(), fmt.Sprint("c", b.Origin.First), h.at, to)
	require.NoError(h.t, offlinetest.Flush(context.Background(), w, c, &mine))
	h.at = c.Advances[0].To
}

// foreign appends a file as another engine might write it: in any order, with
// or without bounds, of columns as they were before they were widened.
func (h *history) foreign(n int, bounds bool) {
	f := h.foreignFile(n, bounds)
	appendFiles(h.t, h.tables[0], []offline.File{f})
}

// appendElements appends an array as the values of column ci.
func appendElements(t *testing.T, row parquet.Row, c offline.Column, packed []byte, ci int) parquet.Row {
	var v feature.Vector
	require.NoError(t, v.Unpack(c.Type, packed))
	if len(v.Valid) == 0 {
		return append(row, parquet.NullValue().Level(0, 1, ci))
	}
	for i := range v.Valid {
		var x any
		switch v.Type {
		case feature.Int64:
			x = v.Int64s[i]
		case feature.Float32:
			x = v.Float32[i]
		default:
			x = string(v.Bytes[i])
		}
		row = append(row, plainValue(x, offline.Column{Type: v.Type}).Level(min(i, 1), 2, ci))
	}
	return row
}

func (h *history) foreignFile(n int, bounds bool) offline.File {
	full := h.tables[0]
	b := h.batch(n, full.View(), 1)
	cols := slices.Clone(full.Columns())
	narrow := h.r.IntN(2) == 0
	for i, c := range cols {
		if narrow && c.Name == "f_float64" {
			cols[i].Type = feature.Float32
		}
		if narrow && c.Name == "f_int64" {
			cols[i].Type = feature.Int32
		}
	}
	var out []parquet.Row
	for i := range n {
		s := b.Stamp(i)
		var row parquet.Row
		for ci, c := range cols {
			var x any
			switch c.Name {
			case offline.ColEffective:
				x = s.Effective()
			case offline.ColEvent:
				x = s.Event
			case offline.ColKnown:
				x = s.Known
			case offline.ColTopicID:
				x = b.Origin.TopicID[:]
			case offline.ColPartition:
				x = s.Partition
			case offline.ColOffset:
				x = s.Offset
			case offline.ColTombstone:
				x = b.Deleted(i)
			default:
				x = cellAny(b.Rows.Column(ci), i)
			}
			if packed, ok := x.([]byte); ok && c.Type.IsArray() {
				row = appendElements(h.t, row, c, packed, ci)
				continue
			}
			v, level := plainValue(x, c), 0
			if x != nil && !c.Required {
				level = 1
			}
			row = append(row, v.Level(0, level, ci))
		}
		out = append(out, row)
	}
	fw, err := full.Create(context.Background(), fmt.Sprintf("foreign-%d.parquet", b.Origin.First))
	require.NoError(h.t, err)
	pw := parquet.NewWriter(fw, offline.ParquetSchema("v", cols), parquet.MaxRowsPerRowGroup(int64(1+h.r.IntN(3000))), parquet.PageBufferSize(512), parquet.DictionaryMaxBytes(64))
	_, err = pw.WriteRows(out)
	require.NoError(h.t, err)
	require.NoError(h.t, pw.Close())
	f := offline.File{Rows: int64(n), MinEffective: offline.UnknownMin, MaxEffective: offline.UnknownMax, MinKnown: offline.UnknownMin, MaxKnown: offline.UnknownMax,
		MinEvent: offline.UnknownMin, MaxEvent: offline.UnknownMax, MinOffset: offline.UnknownMin, MaxOffset: offline.UnknownMax, MinPartition: offline.UnknownMin, MaxPartition: offline.UnknownMax}
	if bounds && n > 0 {
		f.MinEffective, f.MaxEffective = b.Stamp(0).Effective(), b.Stamp(0).Effective()
		for i := range n {
			f.MinEffective, f.MaxEffective = min(f.MinEffective, b.Stamp(i).Effective()), max(f.MaxEffective, b.Stamp(i).Effective())
		}
	}
	f.Path, err = fw.Commit()
	require.NoError(h.t, err)
	r, err := full.Open(context.Background(), f.Path)
	require.NoError(h.t, err)
	f.Bytes = r.Size()
	require.NoError(h.t, r.Close())
	return f
}

func plainValue(x any, c offline.Column) parquet.Value {
	switch x := x.(type) {
	case nil:
		return parquet.NullValue()
	case bool:
		return parquet.BooleanValue(x)
	case int32:
		return parquet.Int32Value(x)
	case int64:
		if c.Type == feature.Int32 {
			return parquet.Int32Value(int32(x))
		}
		return parquet.Int64Value(x)
	case float32:
		return parquet.FloatValue(x)
	case float64:
		if c.Type == feature.Float32 {
			return parquet.FloatValue(float32(x))
		}
		return parquet.DoubleValue(x)
	case string:
		return parquet.ByteArrayValue([]byte(x))
	case []byte:
		if c.Fixed > 0 {
			return parquet.FixedLenByteArrayValue(x)
		}
		return parquet.ByteArrayValue(x)
	}
	panic(x)
}

func (h *history) state() *offline.State {
	st, err := h.tables[0].Load(context.Background(), offline.Version{})
	require.NoError(h.t, err)
	return st
}

// join asks for the features of some keys at some times, as text.
func (h *history) join() []string {
	fields := []arrow.Field{{Name: "at", Type: feature.Timestamp.Arrow()}}
	for _, k := range h.full.Keys {
		fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow()})
	}
	spine := &batches{schema: arrow.NewSchema(fields, nil)}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, spine.schema)
	r := rand.New(rand.NewPCG(1, uint64(len(h.keys))))
	for _, key := range h.keys {
		jointest.AppendValue(rb.Field(0), offlinetest.Base-r.Int64N(3*offline.Day))
		for i, k := range key {
			jointest.AppendValue(rb.Field(1+i), k)
		}
	}
	spine.recs = append(spine.recs, rb.NewRecordBatch())
	var out []string
	_, err := offline.Join(context.Background(), offline.JoinRequest{Service: makeService(h.t, h.full), Tables: []offline.TableAt{{Table: h.tables[0]}},
		Spine: offline.Spine{Rows: spine, Time: "at"}}, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			line := ""
			for _, c := range rec.Columns() {
				line += c.ValueStr(i) + " "
			}
			out = append(out, line)
		}
		return nil
	})
	require.NoError(h.t, err)
	return out
}

// small are settings under which a few thousand rows make several files.
func small(r *rand.Rand) offline.Config {
	c := offline.DefaultConfig()
	c.RowGroupRows = 1024 + r.IntN(4000)
	c.PageBytes = 4 << 10
	c.Compact.FileRows = int64(1024 + r.IntN(20_000))
	c.Compact.MinFiles = 2 + r.IntN(4)
	c.Compact.MaxFiles = 10 + r.IntN(20)
	c.Compact.Merges = 1 + r.IntN(2)
	return c
}

// The rows of a table are the same before and after, whoever wrote its files and
// whatever they lack; read by another reader, which checks order and bounds too.
func TestCompactKeepsEveryRow(t *testing.T) {
	seed := testseed.For(t)
	for round := range offline.Fewer(4) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(round)))
			h := newHistory(t, r)
			for range 6 + r.IntN(30) {
				switch r.IntN(8) {
				case 0:
					h.foreign(1+r.IntN(3000), r.IntN(2) == 0)
				case 1:
					h.commit(1+r.IntN(4000), r.IntN(3), 1)
				default:
					h.commit(1+r.IntN(300), r.IntN(3), 1+r.IntN(3))
				}
			}
			before, joined := h.state(), h.join()
			// Some inputs are held in memory, some are read as they are merged.
			done, err := offline.CompactIn(context.Background(), h.tables[r.IntN(3)], offline.CompactOptions{Config: small(r)}, int64(r.IntN(1<<20)), int64(1+r.IntN(500)))
			require.NoError(t, err)
			after := h.state()
			offlinetest.SameRows(t, h.lines, offlinetest.Read(t, h.tables[0], after))
			require.Equal(t, joined, h.join())
			require.Equal(t, before.Positions, after.Positions)
			require.Equal(t, [2]int{len(before.Files), len(after.Files)}, [2]int{done.FilesBefore, done.FilesAfter})
			require.Zero(t, done.Conflicts)
			for _, f := range after.Files {
				require.True(t, f.Sorted)
			}
			again, err := offline.Compact(context.Background(), h.tables[0], offline.CompactOptions{Config: small(r), DryRun: true})
			require.NoError(t, err)
			require.Equal(t, len(after.Files), again.FilesAfter)
			t.Logf("%+v", done)
		})
	}
}

// Files that are said to be sorted and are not are found out, held in memory or
// not, and files without rows go.
func TestCompactTrustsNoClaim(t *testing.T) {
	for memory := range int64(2) {
		r := rand.New(rand.NewPCG(testseed.For(t), 5))
		h := newHistory(t, r)
		for range 25 {
			h.commit(100, 0, 1)
		}
		liar := h.foreignFile(120, false)
		day := h.state().Files[0]
		liar.MinEffective, liar.MaxEffective, liar.Sorted = day.MinEffective, day.MaxEffective, true
		empty := h.foreignFile(0, false)
		appendFiles(t, h.tables[0], []offline.File{liar, empty})
		cfg := offline.DefaultConfig()
		cfg.Compact.MinFiles = 2
		done, err := offline.CompactIn(context.Background(), h.tables[0], offline.CompactOptions{Config: cfg}, memory<<30, 50)
		require.NoError(t, err)
		require.NotZero(t, done.Merges)
		for _, f := range h.state().Files {
			require.NotContains(t, []string{liar.Path, empty.Path}, f.Path)
		}
		offlinetest.SameRows(t, h.lines, offlinetest.Read(t, h.tables[0], h.state()))
	}
}

// Rows of which a file has fewer than the table says are not replaced.
func TestCompactRefusesOtherRows(t *testing.T) {
	h := newHistory(t, rand.New(rand.NewPCG(testseed.For(t), 6)))
	f := h.foreignFile(50, true)
	f.Rows++
	appendFiles(t, h.tables[0], []offline.File{f})
	_, err := offline.Compact(context.Background(), h.tables[0], offline.CompactOptions{Config: offline.DefaultConfig()})
	require.ErrorContains(t, err, "other rows than the table says")
	require.Equal(t, f.Path, h.state().Files[0].Path)
}
