package iceberg_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestJoinSpeed measures joins of three views, on disk as ingested and as compacted.
// It runs where WEIR_JOIN_SPEED names a folder, which it fills once and keeps:
//
//	WEIR_JOIN_ROWS    of each view (10,000,000), a tenth as many entities, 90 days
//	WEIR_JOIN_SPINE   rows of the spine (1,000,000)
//	WEIR_JOIN_KEY     int64, string or pair (string and int64)
//	WEIR_JOIN_LAYOUT  ingested or compacted (both)
//	WEIR_JOIN_CLOCK   event or known (both)
//	WEIR_JOIN_PROFILE a file for a CPU profile
//	WEIR_JOIN_TIMES   how often (2)
func TestJoinSpeed(t *testing.T) {
	dir := os.Getenv("WEIR_JOIN_SPEED")
	if dir == "" {
		t.Skip("set WEIR_JOIN_SPEED to a folder for tables of a few GB")
	}
	number := func(name string, def int) int {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.Atoi(s)
			require.NoError(t, err)
			return n
		}
		return def
	}
	s := speed{rows: number("WEIR_JOIN_ROWS", 10_000_000), key: os.Getenv("WEIR_JOIN_KEY")}
	if s.key == "" {
		s.key = "int64"
	}
	for _, layout := range []string{"ingested", "compacted"} {
		if l := os.Getenv("WEIR_JOIN_LAYOUT"); l != "" && l != layout {
			continue
		}
		s.dir = filepath.Join(dir, fmt.Sprintf("%s-%d-%s", s.key, s.rows, layout))
		if _, err := os.Stat(filepath.Join(s.dir, "done")); err != nil {
			require.NoError(t, os.RemoveAll(s.dir))
			s.build(t, layout == "compacted")
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "done"), nil, 0o644))
		}
		for _, clock := range []feature.Clock{feature.EventClock, feature.KnownClock} {
			if c := os.Getenv("WEIR_JOIN_CLOCK"); c != "" && c != string(clock) {
				continue
			}
			for range number("WEIR_JOIN_TIMES", 2) {
				s.measure(t, layout, clock, number("WEIR_JOIN_SPINE", 1_000_000))
			}
		}
	}
}

type speed struct {
	dir, key string
	rows     int
}

const speedDays = 90

func (s *speed) entities() int64 { return int64(max(s.rows/10, 1)) }

func (s *speed) view(i int) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "bench", Name: fmt.Sprintf("v%d", i)}, Source: "events", Entities: []string{"e"}, Version: 1,
		TTL: feature.Duration(30 * 24 * time.Hour)}
	switch s.key {
	case "int64":
		v.Keys = []feature.Field{{Name: "id", Type: feature.Int64}}
	case "string":
		v.Keys = []feature.Field{{Name: "id", Type: feature.String}}
	default:
		v.Keys = []feature.Field{{Name: "region", Type: feature.String}, {Name: "id", Type: feature.Int64}}
	}
	for f := range 5 {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("v%d_f%d", i, f), Type: feature.Float64})
	}
	return v
}

func (s *speed) appendKey(rb *array.RecordBuilder, k int64) {
	switch s.key {
	case "int64":
		rb.Field(0).(*array.Int64Builder).Append(k)
	case "string":
		rb.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("customer_%08d", k))
	default:
		rb.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("region-%d", k%7))
		rb.Field(1).(*array.Int64Builder).Append(k)
	}
}

func (s *speed) open(t *testing.T) *iceberg.Store {
	require.NoError(t, os.MkdirAll(s.dir, 0o755))
	st, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(s.dir, "tables.db"), filepath.Join(s.dir, "warehouse"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return st
}

// build ingests in the order of known times, in commits of 100,000 rows; what is merged
// afterwards, in smaller ones. Events are up to two hours late.
func (s *speed) build(t *testing.T, compacted bool) {
	st := s.open(t)
	defer st.Close()
	commit := 100_000
	if compacted {
		commit = 40_000
	}
	for i := 1; i <= 3; i++ {
		v := s.view(i)
		tb, err := st.Table(ctx, v)
		require.NoError(t, err)
		w, err := offline.NewWriter(tb, offline.DefaultConfig(), slog.New(slog.DiscardHandler), nil)
		require.NoError(t, err)
		r := rand.New(rand.NewPCG(uint64(i), 1))
		last := feature.Position{}
		rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
		keys := len(v.Keys)
		for from := 0; from < s.rows; {
			to := min(s.rows, from+commit)
			for lo := from; lo < to; {
				hi := min(to, lo+8192)
				b := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", TopicID: offlinetest.TopicID, First: int64(lo), Next: int64(hi)}}
				for row := lo; row < hi; row++ {
					s.appendKey(rb, r.Int64N(s.entities()))
					known := speedBase + int64(float64(row)/float64(s.rows)*speedDays*float64(offline.Day))
					late := int64(math.Min(r.ExpFloat64()*60e6, 7200e6))
					b.Offsets, b.KnownTime, b.EventTime = append(b.Offsets, int64(row)), append(b.KnownTime, known), append(b.EventTime, known-late)
					gamma := -50 * (math.Log(1-r.Float64()) + math.Log(1-r.Float64()))
					poisson, p := 0.0, r.Float64()
					for ; p > math.Exp(-4); poisson++ {
						p *= r.Float64()
					}
					for f, x := range []float64{r.NormFloat64(), math.Round(gamma*100) / 100, poisson, r.Float64(), math.Round(r.Float64()*1e4) / 1e4} {
						rb.Field(keys + f).(*array.Float64Builder).Append(x)
					}
				}
				b.Rows = rb.NewRecordBatch()
				require.NoError(t, w.Write(ctx, b))
				lo = hi
			}
			require.NoError(t, offlinetest.Flush(ctx, w, offlinetest.Move(v, fmt.Sprint("c", from), last, offlinetest.At(0, int64(to), ""))))
			at, err := w.Positions(ctx)
			require.NoError(t, err)
			last, from = at[0], to
		}
		require.NoError(t, w.Close())
		if compacted {
			cfg := offline.DefaultConfig()
			cfg.Compact.MinFiles = 2
			_, err := offline.Compact(ctx, tb, offline.CompactOptions{Config: cfg})
			require.NoError(t, err)
		}
	}
}

const speedBase = int64(1_750_000_000_000_000)

func (s *speed) spine(rows int) *speedSpine {
	r := rand.New(rand.NewPCG(99, 99))
	fields := []arrow.Field{{Name: "row_id", Type: arrow.PrimitiveTypes.Int64}}
	for _, k := range s.view(1).Keys {
		fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow()})
	}
	fields = append(fields, arrow.Field{Name: "ts", Type: feature.Timestamp.Arrow()}, arrow.Field{Name: "label", Type: arrow.PrimitiveTypes.Int64})
	sp := &speedSpine{schema: arrow.NewSchema(fields, nil)}
	all := array.NewRecordBuilder(memory.DefaultAllocator, sp.schema)
	keys := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields[1:len(fields)-2], nil))
	for lo := 0; lo < rows; lo += 65536 {
		n := min(65536, rows-lo)
		for i := range n {
			all.Field(0).(*array.Int64Builder).Append(int64(lo + i))
			s.appendKey(keys, r.Int64N(s.entities()))
			all.Field(len(fields) - 2).(*array.TimestampBuilder).Append(arrow.Timestamp(speedBase + r.Int64N(speedDays*offline.Day)))
			all.Field(len(fields) - 1).(*array.Int64Builder).Append(r.Int64N(2))
		}
		k := keys.NewRecordBatch()
		cols := []arrow.Array{all.Field(0).NewArray()}
		cols = append(cols, k.Columns()...)
		cols = append(cols, all.Field(len(fields)-2).NewArray(), all.Field(len(fields)-1).NewArray())
		sp.recs = append(sp.recs, array.NewRecordBatch(sp.schema, cols, int64(n)))
	}
	return sp
}

type speedSpine struct {
	schema *arrow.Schema
	recs   []arrow.RecordBatch
	next   int
}

func (b *speedSpine) Schema() *arrow.Schema { return b.schema }

func (b *speedSpine) Read() (arrow.RecordBatch, error) {
	if b.next == len(b.recs) {
		return nil, io.EOF
	}
	b.next++
	r := b.recs[b.next-1]
	r.Retain()
	return r, nil
}

func (s *speed) measure(t *testing.T, layout string, clock feature.Clock, rows int) {
	spine := s.spine(rows)
	st := s.open(t)
	defer st.Close()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // the peak starts anew
	before, began := cpu(), time.Now()
	if path := os.Getenv("WEIR_JOIN_PROFILE"); path != "" {
		f, err := os.Create(path)
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, pprof.StartCPUProfile(f))
		defer pprof.StopCPUProfile()
	}
	svc := &feature.Service{Meta: feature.Meta{Project: "bench", Name: "svc"}, Version: 1}
	var views []*feature.View
	req := offline.JoinRequest{Service: svc, Clock: clock, Spine: offline.Spine{Rows: spine, Time: "ts"}}
	files := 0
	for i := 1; i <= 3; i++ {
		v := s.view(i)
		views = append(views, v)
		svc.Features = append(svc.Features, v.Meta.Name+":*")
		tb, err := st.Table(ctx, v)
		require.NoError(t, err)
		req.Tables = append(req.Tables, offline.TableAt{Table: tb})
	}
	require.Empty(t, svc.Resolve(func(name string) *feature.View { return views[int(name[1]-'1')] }))
	opened := time.Since(began)
	res, err := offline.Join(ctx, req, func(arrow.RecordBatch) error { return nil })
	require.NoError(t, err)
	wall, spent := time.Since(began), cpu()-before
	files = int(res.FilesRead + res.FilesSkipped)
	status, _ := os.ReadFile("/proc/self/status")
	peak := "?"
	if _, after, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
		peak = string(bytes.Fields(after)[0])
	}
	kib, _ := strconv.Atoi(peak)
	fmt.Printf("%s %s %s rows %d spine %d: wall %.3f s, cpu %.3f s, opening %.3f s, peak %d MiB, files %d (%d read), table rows read %d, nulls %d\n",
		s.key, layout, clock, s.rows, rows, wall.Seconds(), spent.Seconds(), opened.Seconds(), kib>>10, files, res.FilesRead, res.RowsRead, res.Nulls)
}
