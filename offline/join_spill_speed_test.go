package offline_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/registry/feature"
)

// TestJoinSpillSpeed measures a spine that does not fit in memory, each way. It
// runs where WEIR_JOIN_TABLES names a folder that TestJoinSpeed of offline/iceberg has
// filled with tables (…/int64-1000000-compacted); WEIR_JOIN_SPINE rows (10,000,000),
// WEIR_JOIN_WAY one of the ways.
func TestJoinSpillSpeed(t *testing.T) {
	dir := os.Getenv("WEIR_JOIN_TABLES")
	if dir == "" {
		t.Skip("set WEIR_JOIN_TABLES to a folder of tables")
	}
	rows := 10_000_000
	if s := os.Getenv("WEIR_JOIN_SPINE"); s != "" {
		rows, _ = strconv.Atoi(s)
	}
	tableRows, err := strconv.Atoi(strings.Split(filepath.Base(dir), "-")[1])
	require.NoError(t, err)
	st, err := iceberg.Open(context.Background(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse"), discard)
	require.NoError(t, err)
	defer st.Close()
	var views []*feature.View
	var tables []offline.TableAt
	for i := 1; i <= 3; i++ {
		v := makeView(fmt.Sprintf("v%d", i), feature.Duration(30*24*time.Hour), []feature.Field{field("id", feature.Int64)})
		v.Meta.Project = "bench"
		for f := range 5 {
			v.Features = append(v.Features, field(fmt.Sprintf("v%d_f%d", i, f), feature.Float64))
		}
		tb, err := st.Table(context.Background(), v)
		require.NoError(t, err)
		views, tables = append(views, v), append(tables, offline.TableAt{Table: tb})
	}
	svc := makeService(t, views...)
	var sums []uint64
	for _, way := range []string{"auto", "chunks", "partitions"} {
		if w := os.Getenv("WEIR_JOIN_WAY"); w != "" && w != way {
			continue
		}
		joins, _, _ := makeJoins(t, nil)
		req := offline.JoinRequest{Service: svc, Tables: tables, Clock: feature.EventClock, Joins: joins,
			Spine: offline.Spine{Rows: &drawnSpine{left: rows, keys: int64(tableRows / 10), r: rand.New(rand.NewPCG(9, 9))}, Time: "at", Count: int64(rows)}}
		offline.By(&req, way)
		sum := fnv.New64a()
		done, row := 0.0, 0
		began, before := time.Now(), processorTime(t)
		var stages, shares []string
		req.Stage = func(s string) {
			stages = append(stages, fmt.Sprintf("%s@%.0f%%/%.1fs", s, 100*done, time.Since(began).Seconds()))
		}
		next := 1.0
		req.Progress = func(d, of int64) {
			if done = float64(d) / float64(of); time.Since(began).Seconds() > next {
				shares = append(shares, fmt.Sprintf("%.0f", 100*done))
				next++
			}
		}
		debug.FreeOSMemory()
		_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // the peak starts anew
		debug.SetMemoryLimit(384 << 20)                               // as a server has it
		res, err := offline.Join(context.Background(), req, func(rec arrow.RecordBatch) error {
			for c := 1; c < int(rec.NumCols()); c++ {
				if a, ok := rec.Column(c).(*array.Float64); ok {
					for i := 0; i < a.Len(); i++ {
						if at := row + i; at%64 == c && a.IsValid(i) {
							_ = binary.Write(sum, binary.LittleEndian, a.Value(i))
						}
					}
				}
			}
			row += int(rec.NumRows())
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, int64(rows), res.Rows)
		status, _ := os.ReadFile("/proc/self/status")
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		kib, _ := strconv.Atoi(strings.Fields(peak)[0])
		t.Logf("%s (%s): wall %.1f s, cpu %.1f s, peak %d MiB, spilled %d MB, table rows read %d\nstages %v\nshare by second %v", way, res.Way,
			time.Since(began).Seconds(), processorTime(t)-before, kib>>10, res.Spilled/1e6, res.RowsRead, stages, shares)
		if i := len(sums) - 1; i >= 0 {
			require.Equal(t, sums[i], sum.Sum64(), way)
		}
		sums = append(sums, sum.Sum64())
	}
}

// drawnSpine is a random spine that nothing keeps.
type drawnSpine struct {
	left int
	keys int64
	r    *rand.Rand
}

var drawnSchema = arrow.NewSchema([]arrow.Field{{Name: "row", Type: arrow.PrimitiveTypes.Int64}, {Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "at", Type: feature.Timestamp.Arrow()}}, nil)

func (d *drawnSpine) Schema() *arrow.Schema { return drawnSchema }

func (d *drawnSpine) Read() (arrow.RecordBatch, error) {
	if d.left == 0 {
		return nil, io.EOF
	}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, drawnSchema)
	for range min(d.left, 65536) {
		rb.Field(0).(*array.Int64Builder).Append(int64(d.left))
		rb.Field(1).(*array.Int64Builder).Append(d.r.Int64N(d.keys))
		rb.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(benchBase + d.r.Int64N(90*offline.Day)))
		d.left--
	}
	return rb.NewRecordBatch(), nil
}

func processorTime(t testing.TB) float64 {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
