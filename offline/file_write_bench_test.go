package offline

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// folderTable is a table whose files are made, synced and then removed.
type folderTable struct {
	Table
	view   *feature.View
	cols   []Column
	folder string
}

func (f *folderTable) View() *feature.View { return f.view }
func (f *folderTable) Columns() []Column   { return f.cols }
func (f *folderTable) Create(context.Context, string) (FileWriter, error) {
	file, err := os.CreateTemp(f.folder, "*.parquet")
	return &folderFile{file}, err
}

type folderFile struct{ *os.File }

func (f *folderFile) Commit() (string, error) {
	if err := f.Sync(); err != nil {
		return "", err
	}
	return f.Name(), nil
}

func (f *folderFile) Abort() {
	f.Close()
	os.Remove(f.Name())
}

// typicalBatches are typicalRows in the order of arrival, in batches over so many days.
func typicalBatches(b *testing.B, v *feature.View, cols []Column, rows, batch, days int) []*feature.Batch {
	data := typicalRows(cols, v.Keys[0].Type, rows)
	r := rand.New(rand.NewPCG(3, 4))
	order := r.Perm(rows)
	find := func(name string) *columnData {
		return data[slices.IndexFunc(cols, func(c Column) bool { return c.Name == name })]
	}
	event, known := find(ColEvent), find(ColKnown)
	var out []*feature.Batch
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	defer rb.Release()
	for lo := 0; lo < rows; lo += batch {
		p := int32(lo / batch % 4)
		x := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", Partition: p, First: int64(lo), Next: int64(lo + batch)}}
		for at, i := range order[lo:min(lo+batch, rows)] {
			day := r.Int64N(int64(days)) * Day
			x.Offsets = append(x.Offsets, int64(lo+at))
			x.EventTime, x.KnownTime = append(x.EventTime, event.int64s[i]-day), append(x.KnownTime, known.int64s[i]-day)
			for ci := range v.Columns() {
				d, f := data[ci], rb.Field(ci)
				if d.valid != nil && d.valid[i] == 0 {
					f.AppendNull()
					continue
				}
				switch f := f.(type) {
				case *array.Int64Builder:
					f.Append(d.int64s[i])
				case *array.TimestampBuilder:
					f.Append(arrow.Timestamp(d.int64s[i]))
				case *array.Int32Builder:
					f.Append(d.int32s[i])
				case *array.Float32Builder:
					f.Append(d.floats[i])
				case *array.Float64Builder:
					f.Append(d.doubles[i])
				case *array.StringBuilder:
					f.Append(string(d.at(i)))
				default:
					b.Fatalf("no %T here", f)
				}
			}
		}
		x.Rows = rb.NewRecordBatch()
		out = append(out, x)
	}
	return out
}

// BenchmarkStage: a flush of 262,144 rows of typicalView in 32 batches: parted by
// day, sorted, written and synced.
func BenchmarkStage(b *testing.B) {
	for _, key := range []feature.Type{feature.Int64, feature.String} {
		for _, days := range []int{1, 300} {
			b.Run(fmt.Sprintf("%s/days-%d", key, days), func(b *testing.B) {
				const rows = 262144
				v := typicalView(key)
				table := &folderTable{view: v, cols: columnsWithIDs(v), folder: b.TempDir()}
				batches := typicalBatches(b, v, table.cols, rows, rows/32, days)
				w, err := NewWriter(table, DefaultConfig(), slog.New(slog.DiscardHandler), nil)
				require.NoError(b, err)
				b.ReportAllocs()
				size := int64(0)
				from := cpuSeconds()
				for i := 0; b.Loop(); i++ {
					c := &feature.Commit{ID: fmt.Sprint("c", i), View: v}
					for p := range int32(4) {
						c.Advances = append(c.Advances, feature.Advance{To: feature.Position{Partition: p}})
					}
					w.next = map[partKey]int64{} // the same rows again
					for _, x := range batches {
						require.NoError(b, w.Write(context.Background(), x))
					}
					w.Cut(c)
					require.NoError(b, w.Stage(context.Background(), c))
					size = 0
					for _, f := range w.cuts[c.ID].days {
						size += f.Bytes
					}
					require.NoError(b, w.Settle(context.Background(), c))
				}
				b.ReportMetric(float64(b.N)*rows/1e6/(cpuSeconds()-from), "Mrows/CPU-s")
				b.ReportMetric(float64(size)/rows, "B/row")
			})
		}
	}
}
