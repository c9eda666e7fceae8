package offline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	"github.com/weir-ml/weir/registry/feature"
)

var ways = []string{"memory", "chunks", "partitions"}

var discard = slog.New(slog.DiscardHandler)

func makeJoins(t testing.TB, change func(*offline.JoinConfig)) (*offline.Joins, string, *prometheus.Registry) {
	t.Helper()
	cfg := offline.DefaultJoinConfig()
	cfg.SpillDir = filepath.Join(t.TempDir(), "spill")
	if change != nil {
		change(&cfg)
	}
	reg := prometheus.NewRegistry()
	j, err := offline.NewJoins(cfg, discard, reg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j, cfg.SpillDir, reg
}

// spillFiles are the files of joins in a spill folder.
func spillFiles(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	var files []string
	for _, f := range found {
		if filepath.Base(f) != "lock" {
			files = append(files, f)
		}
	}
	return files
}

// TestJoinEveryWay: random worlds with little memory, each way against the oracle.
// WEIR_TEST_SEED=N repeats a world, WEIR_CASES sets how many.
func TestJoinEveryWay(t *testing.T) {
	joins, dir, _ := makeJoins(t, nil)
	sizes := rand.New(rand.NewPCG(3, 3))
	for _, way := range ways[1:] {
		t.Run(way, func(t *testing.T) {
			spilled := 0
			worlds(t, 100, jointest.Usual(), jointest.Options{Request: func(r *offline.JoinRequest) {
				r.Joins, r.Memory = joins, []int64{1, 2000, 20_000}[sizes.IntN(3)]
				offline.By(r, way)
				spilled++
			}}, nil)
			require.NotZero(t, spilled)
			require.Empty(t, spillFiles(t, dir))
		})
	}
}

// TestJoinWaysAgree: more rows, several key sets and one key with most of the rows;
// all ways give the same rows, and partitions are really cut.
func TestJoinWaysAgree(t *testing.T) {
	svc, tables, spine := skewed(t, 3000)
	var want []string
	for _, way := range ways {
		for _, mem := range []int64{256 << 10, 1 << 20} {
			joins, _, reg := makeJoins(t, nil)
			req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Joins: joins, Memory: mem}
			if way == "memory" {
				req.Memory = 1 << 30
			}
			offline.By(&req, way)
			got, res := joined(t, req)
			require.Equal(t, way, res.Way)
			if want == nil {
				want = got
			}
			require.Equal(t, want, got, "%s with %d bytes", way, mem)
			require.Equal(t, int64(3000), res.Rows)
			if way == "memory" {
				require.Zero(t, res.Spilled)
			} else {
				require.NotZero(t, res.Spilled)
			}
			require.Equal(t, float64(res.Spilled), metric(t, reg, "weir_joins_spilled_bytes_total"))
			require.Zero(t, metric(t, reg, "weir_joins_spill_files"))
			require.Zero(t, metric(t, reg, "weir_joins_running"))
		}
	}
}

// joined is a join's output, a text a row.
func joined(t testing.TB, req offline.JoinRequest) ([]string, offline.JoinResult) {
	t.Helper()
	var rows []string
	res, err := offline.Join(context.Background(), req, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			var b strings.Builder
			for c := range int(rec.NumCols()) {
				fmt.Fprintf(&b, "%v|", rec.Column(c).GetOneForMarshal(i))
			}
			rows = append(rows, b.String())
		}
		return nil
	})
	require.NoError(t, err)
	return rows, res
}

func metric(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	found, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range found {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// skewed is a service over two views with different keys, and a spine of which
// two thirds have one key; a dictionary and a list are carried along.
func skewed(t testing.TB, rows int) (*feature.Service, []offline.TableAt, func() offline.RowReader) {
	r := rand.New(rand.NewPCG(5, 5))
	users := makeView("users", 0, []feature.Field{field("id", feature.Int64)}, field("score", feature.Float64), field("word", feature.String))
	pairs := makeView("pairs", feature.Duration(3600e9), []feature.Field{field("name", feature.String), field("id", feature.Int64)}, field("n", feature.Int32), field("flag", feature.Bool))
	var tables []offline.TableAt
	for _, v := range []*feature.View{users, pairs} {
		table := openTable(t, v)
		var facts []fact
		for i := range 4000 {
			at := r.Int64N(1_000_000)
			f := fact{stamp: feature.Stamp{Event: at, Known: at, Offset: int64(i)}}
			for _, k := range v.Keys {
				f.keys = append(f.keys, skewedValue(r, k.Type, 40))
			}
			for _, x := range v.Features {
				f.values = append(f.values, skewedValue(r, x.Type, 1000))
			}
			facts = append(facts, f)
		}
		appendFiles(t, table, []offline.File{writeFile(t, table, "a", facts[:2000], true, true, 500, 2000), writeFile(t, table, "b", facts[2000:], true, true, 5000, 2000)})
		tables = append(tables, offline.TableAt{Table: table})
	}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: feature.Timestamp.Arrow(), Nullable: true},
		{Name: "color", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.PrimitiveTypes.Float64}},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	}, nil)
	var recs []arrow.RecordBatch
	for from := 0; from < rows; from += 700 {
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := from; i < min(rows, from+700); i++ {
			if id, name := skewedValue(r, feature.Int64, 40), skewedValue(r, feature.String, 40); r.IntN(20) == 0 {
				rb.Field(0).AppendNull()
				rb.Field(1).AppendNull()
			} else {
				if r.IntN(3) > 0 {
					id, name = int64(7), "customer_1"
				}
				jointest.AppendValue(rb.Field(0), id)
				jointest.AppendValue(rb.Field(1), name)
			}
			if r.IntN(20) == 0 {
				rb.Field(2).AppendNull()
			} else {
				jointest.AppendValue(rb.Field(2), r.Int64N(1_000_000))
			}
			// Each batch has a dictionary of its own, which differs by next to nothing.
			require.NoError(t, rb.Field(3).(*array.Float64DictionaryBuilder).Append(1+float64(from)*1e-12))
			l := rb.Field(4).(*array.ListBuilder)
			l.Append(true)
			for range r.IntN(3) {
				l.ValueBuilder().(*array.StringBuilder).Append(fmt.Sprint("tag", i))
			}
		}
		recs = append(recs, rb.NewRecordBatch())
	}
	return makeService(t, users, pairs), tables, func() offline.RowReader { return &batches{schema: schema, recs: recs} }
}

func skewedValue(r *rand.Rand, t feature.Type, many int) any {
	n := r.IntN(many)
	switch t {
	case feature.Bool:
		return n%2 == 0
	case feature.Int32:
		return int32(n)
	case feature.Int64:
		return int64(n)
	case feature.Float64:
		return float64(n)
	}
	return fmt.Sprintf("customer_%d", n)
}

// TestJoinSmallSpines: no row, and one.
func TestJoinSmallSpines(t *testing.T) {
	for _, rows := range []int{0, 1} {
		svc, tables, spine := skewed(t, rows)
		for _, way := range ways {
			req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Memory: 1}
			offline.By(&req, way)
			got, res := joined(t, req)
			require.Len(t, got, rows)
			require.Equal(t, int64(rows), res.Rows)
		}
	}
}

// faulty is a spill file whose n-th use from now on fails.
type faulty struct {
	offline.SpillHandle
	left *int
	err  error
	torn bool // the write comes back short, the read with other bytes
}

func (f *faulty) due() bool { *f.left--; return *f.left == -1 }

func (f *faulty) Write(p []byte) (int, error) {
	if f.due() {
		if f.torn {
			n, _ := f.SpillHandle.Write(p[:len(p)/2])
			return n, nil
		}
		return 0, f.err
	}
	return f.SpillHandle.Write(p)
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	if f.due() {
		if !f.torn {
			return 0, f.err
		}
		n, err := f.SpillHandle.ReadAt(p, off)
		p[len(p)/2] ^= 1
		return n, err
	}
	return f.SpillHandle.ReadAt(p, off)
}

// TestJoinSpillFaults: whichever write or read fails, the join ends in an error
// that says which setting to look at, and leaves no file.
func TestJoinSpillFaults(t *testing.T) {
	svc, tables, spine := skewed(t, 900)
	for _, way := range ways[1:] {
		for _, torn := range []bool{false, true} {
			for n, failed := 0, true; failed; n++ {
				joins, dir, _ := makeJoins(t, nil)
				left := n
				offline.SpillOver(joins, func(h offline.SpillHandle) offline.SpillHandle {
					return &faulty{h, &left, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, torn}
				})
				req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Joins: joins, Memory: 64 << 10}
				offline.By(&req, way)
				_, err := offline.Join(context.Background(), req, func(arrow.RecordBatch) error { return nil })
				failed = left < 0
				if !failed {
					require.NoError(t, err)
					require.Greater(t, n, 8)
					break
				}
				require.ErrorContains(t, err, "offline.join.spill_dir", "%s, use %d", way, n)
				if !torn {
					require.ErrorIs(t, err, syscall.ENOSPC)
					require.Equal(t, feature.Exhausted, feature.KindOf(err), "%v", err)
				}
				require.Empty(t, spillFiles(t, dir))
			}
		}
	}
}

func TestJoinSpillLimit(t *testing.T) {
	svc, tables, spine := skewed(t, 3000)
	for _, way := range ways[1:] {
		joins, dir, _ := makeJoins(t, func(c *offline.JoinConfig) { c.MaxSpillBytes = 30_000 })
		req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Joins: joins, Memory: 64 << 10}
		offline.By(&req, way)
		_, err := offline.Join(context.Background(), req, func(arrow.RecordBatch) error { return nil })
		require.ErrorContains(t, err, "raise offline.join.max_spill_bytes")
		require.Equal(t, feature.Exhausted, feature.KindOf(err))
		require.Empty(t, spillFiles(t, dir))
	}
}

var errEnough = errors.New("enough")

// cancelledRows cancels while the spine is read, cancelledFile while a file is used.
type cancelledFile struct {
	offline.SpillHandle
	use func()
}

func (f *cancelledFile) Write(p []byte) (int, error) {
	f.use()
	return f.SpillHandle.Write(p)
}

func (f *cancelledFile) ReadAt(p []byte, off int64) (int, error) {
	f.use()
	return f.SpillHandle.ReadAt(p, off)
}

type cancelledRows struct {
	offline.RowReader
	use func()
}

func (r *cancelledRows) Read() (arrow.RecordBatch, error) {
	r.use()
	return r.RowReader.Read()
}

// TestJoinCancelled: cancelled at its n-th step, for every n, a join gives out
// nothing more, and leaves neither a file nor a goroutine.
func TestJoinCancelled(t *testing.T) {
	svc, tables, spine := skewed(t, 900)
	before := runtime.NumGoroutine()
	for _, way := range ways {
		for n := 0; ; n++ {
			joins, dir, reg := makeJoins(t, nil)
			ctx, cancel := context.WithCancelCause(context.Background())
			left, over := n, false
			use := func() {
				if left--; left == -1 {
					cancel(errEnough)
					over = true
				}
			}
			offline.SpillOver(joins, func(h offline.SpillHandle) offline.SpillHandle { return &cancelledFile{h, use} })
			for i := range tables {
				tables[i].Table = &cancelledTable{tables[i].Table, use}
			}
			req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: &cancelledRows{spine(), use}, Time: "at"}, Joins: joins, Memory: 64 << 10, Workers: 1}
			if way == "memory" {
				req.Memory = 1 << 30
			}
			offline.By(&req, way)
			_, err := offline.Join(ctx, req, func(arrow.RecordBatch) error {
				require.NoError(t, ctx.Err(), "a batch after the end")
				use()
				return nil
			})
			for i := range tables {
				tables[i].Table = tables[i].Table.(*cancelledTable).Table
			}
			require.Empty(t, spillFiles(t, dir))
			require.Zero(t, metric(t, reg, "weir_joins_running"))
			if !over {
				require.NoError(t, err)
				require.Greater(t, n, 5)
				break
			}
			if err != nil { // the last step may have been the last of all
				require.ErrorIs(t, err, errEnough, "%s, step %d", way, n)
			}
			cancel(nil)
		}
	}
	noMoreGoroutines(t, before)
}

// cancelledTable counts opened files as steps.
type cancelledTable struct {
	offline.Table
	use func()
}

func (c *cancelledTable) Open(ctx context.Context, path string) (offline.FileReader, error) {
	c.use()
	return c.Table.Open(ctx, path)
}

// noMoreGoroutines waits until there are no more than before; those that end need a moment.
func noMoreGoroutines(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestJoinReadsAllFirst: a client that sends its last row only once the first
// comes back would wait for ever; one that reads after it has sent all must not.
func TestJoinReadsAllFirst(t *testing.T) {
	svc, tables, spine := skewed(t, 3000)
	for _, way := range ways {
		rows := spine()
		sent, came := 0, 0
		req := offline.JoinRequest{Service: svc, Tables: tables, Memory: 64 << 10,
			Spine: offline.Spine{Rows: &cancelledRows{rows, func() { sent++; require.Zero(t, came) }}, Time: "at"}}
		offline.By(&req, way)
		_, err := offline.Join(context.Background(), req, func(arrow.RecordBatch) error { came++; return nil })
		require.NoError(t, err)
		require.Equal(t, 6, sent) // five batches and the end
	}
}

// TestJoinWideTexts: texts of 100 kB, which nothing announces, are joined in parts
// and given out in batches that stay small.
func TestJoinWideTexts(t *testing.T) {
	const width = 100_000
	v := makeView("v", 0, []feature.Field{field("id", feature.Int64)}, field("page", feature.String))
	table := openTable(t, v)
	var facts []fact
	for i := range 50 {
		facts = append(facts, fact{keys: []any{int64(i)}, stamp: feature.Stamp{Offset: int64(i)}, values: []any{strings.Repeat(string(rune('a'+i%26)), width)}})
	}
	appendFiles(t, table, []offline.File{writeFile(t, table, "a", facts, true, true, 100, 1<<16)})
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "at", Type: feature.Timestamp.Arrow()}, {Name: "note", Type: arrow.BinaryTypes.String}}, nil)
	const rows = 600
	var recs []arrow.RecordBatch
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range rows {
		rb.Field(0).(*array.Int64Builder).Append(int64(i * 7 % 50))
		rb.Field(1).(*array.TimestampBuilder).Append(1)
		rb.Field(2).(*array.StringBuilder).Append(strings.Repeat("n", i%2*width))
	}
	recs = append(recs, rb.NewRecordBatch())
	for _, way := range ways {
		joins, _, _ := makeJoins(t, nil)
		req := offline.JoinRequest{Service: makeService(t, v), Tables: []offline.TableAt{{Table: table}}, Joins: joins, Memory: 16 << 20,
			Spine: offline.Spine{Rows: &batches{schema: schema, recs: recs}, Time: "at"}}
		if way == "memory" {
			req.Memory = 48 << 20 // the spine itself takes 30 MB
		}
		offline.By(&req, way)
		row := 0
		largest := 0
		res, err := offline.Join(context.Background(), req, func(rec arrow.RecordBatch) error {
			pages := rec.Column(3).(*array.String)
			largest = max(largest, int(rec.NumRows())*width)
			for i := range int(rec.NumRows()) {
				want := strings.Repeat(string(rune('a'+row*7%50%26)), width)
				if pages.Value(i) != want || len(rec.Column(2).(*array.String).Value(i)) != row%2*width {
					return fmt.Errorf("row %d is wrong", row)
				}
				row++
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, way, res.Way)
		require.Equal(t, rows, row)
		require.LessOrEqual(t, largest, 9<<20)
	}
}

// TestJoinTurns: with one place, a second join waits for the first, says so, and can be cancelled.
func TestJoinTurns(t *testing.T) {
	svc, tables, spine := skewed(t, 10)
	joins, _, reg := makeJoins(t, func(c *offline.JoinConfig) { c.Concurrent = 1 })
	first, second := make(chan struct{}), make(chan string, 100)
	running := make(chan struct{})
	req := func() offline.JoinRequest {
		return offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Joins: joins}
	}
	results := make(chan error, 2)
	go func() {
		_, err := offline.Join(context.Background(), req(), func(arrow.RecordBatch) error {
			close(running)
			<-first
			return nil
		})
		results <- err
	}()
	<-running

	ctx, cancel := context.WithCancelCause(context.Background())
	r := req()
	r.Stage = func(s string) { second <- s }
	go func() {
		_, err := offline.Join(ctx, r, func(arrow.RecordBatch) error { return errors.New("not its turn") })
		results <- err
	}()
	require.Equal(t, offline.StageWaiting, <-second)
	cancel(errEnough)
	require.ErrorIs(t, <-results, errEnough)
	require.Equal(t, 1.0, metric(t, reg, "weir_joins_running"))
	require.Zero(t, metric(t, reg, "weir_joins_waiting"))

	go func() {
		_, err := offline.Join(context.Background(), r, func(arrow.RecordBatch) error { return nil })
		results <- err
	}()
	require.Equal(t, offline.StageWaiting, <-second)
	close(first)
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.Equal(t, offline.StageReading, <-second)
	require.Equal(t, offline.StageJoining, <-second)
	require.Equal(t, offline.StageWriting, <-second)
}

// TestJoinProgress: never back, ends at all rows, stages in their order.
func TestJoinProgress(t *testing.T) {
	svc, tables, spine := skewed(t, 3000)
	for way, want := range map[string]string{
		"memory":     "reading joining writing",
		"chunks":     "reading joining writing joining writing joining writing",
		"partitions": "reading sorting joining sorting joining writing",
	} {
		for _, count := range []int64{0, 3000} {
			var stages []string
			var last, total int64
			req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at", Count: count}, Memory: 600 << 10,
				Stage: func(s string) { stages = append(stages, s) },
				Progress: func(done, of int64) {
					require.GreaterOrEqual(t, done, last)
					require.LessOrEqual(t, done, of)
					last, total = done, of
				}}
			if way == "memory" {
				req.Memory = 1 << 30
			}
			offline.By(&req, way)
			_, err := offline.Join(context.Background(), req, func(arrow.RecordBatch) error { return nil })
			require.NoError(t, err)
			require.Equal(t, want, strings.Join(stages, " "))
			require.Equal(t, []int64{3000, 3000}, []int64{last, total})
		}
	}
}

// claimed is a table that says its files have more rows than they have.
type claimed struct {
	offline.Table
	times int64
}

func (c claimed) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	st, err := c.Table.Load(ctx, v)
	if err != nil {
		return nil, err
	}
	more := *st
	more.Files = slices.Clone(st.Files)
	for i := range more.Files {
		more.Files[i].Rows *= c.times
	}
	return &more, nil
}

// TestJoinChoosesItsWay: all at once where it fits, in chunks where the tables are
// small, by ranges of keys where they are large.
func TestJoinChoosesItsWay(t *testing.T) {
	svc, tables, spine := skewed(t, 3000)
	for _, c := range []struct {
		memory, times int64
		way           string
	}{{1 << 30, 1, "memory"}, {400 << 10, 1, "chunks"}, {64 << 10, 100_000, "partitions"}} {
		at := slices.Clone(tables)
		for i := range at {
			at[i].Table = claimed{at[i].Table, c.times}
		}
		_, res := joined(t, offline.JoinRequest{Service: svc, Tables: at, Spine: offline.Spine{Rows: spine(), Time: "at"}, Memory: c.memory})
		require.Equal(t, c.way, res.Way)
		require.Equal(t, int64(3000), res.Rows)
	}
}
