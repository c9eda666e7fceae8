package offline

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// cpuSeconds is the time that this process has used, on all processors.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// typicalView has a key and ten features as customers' profiles have them.
func typicalView(key feature.Type) *feature.View {
	v := &feature.View{Keys: []feature.Field{{Name: "id", Type: key}}}
	v.Meta.Project, v.Meta.Name = "bench", "typical"
	for _, f := range []struct {
		name string
		t    feature.Type
	}{{"amount", feature.Float64}, {"balance", feature.Float64}, {"ratio", feature.Float64}, {"score", feature.Float32}, {"orders", feature.Int64},
		{"tenure", feature.Int64}, {"visits", feature.Int32}, {"plan", feature.String}, {"country", feature.String}, {"seen", feature.Timestamp}} {
		v.Features = append(v.Features, feature.Field{Name: f.name, Type: f.t})
	}
	return v
}

// typicalRows are sorted rows of it, a day's, as columns.
func typicalRows(cols []Column, key feature.Type, rows int) []*columnData {
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]int64, rows)
	for i := range keys {
		keys[i] = r.Int64N(int64(rows) * 3)
	}
	slices.Sort(keys)
	out := make([]*columnData, len(cols))
	event, known := make([]int64, rows), make([]int64, rows)
	for i := range event {
		event[i] = 1_750_000_000_000_000 + r.Int64N(Day)
		known[i] = event[i] + r.Int64N(5_000_000)
	}
	for ci, c := range cols {
		d := &columnData{}
		out[ci] = d
		nulls := func(in100 int) {
			d.valid = make([]byte, rows)
			for i := range d.valid {
				if r.IntN(100) >= in100 {
					d.valid[i] = 1
				}
			}
		}
		doubles := func(f func() float64) {
			for range rows {
				d.doubles = append(d.doubles, f())
			}
		}
		int64s := func(f func(i int) int64) {
			for i := range rows {
				d.int64s = append(d.int64s, f(i))
			}
		}
		texts := func(f func(i int) string) {
			for i := range rows {
				d.text = append(d.text, f(i)...)
				d.ends = append(d.ends, uint32(len(d.text)))
			}
		}
		switch c.Name {
		case "id":
			if key == feature.String {
				texts(func(i int) string { return fmt.Sprintf("customer_%08d", keys[i]) })
			} else {
				d.int64s = keys
			}
		case "amount":
			doubles(func() float64 { return math.Round(math.Exp(r.NormFloat64()+4)*100) / 100 })
		case "balance":
			doubles(func() float64 { return 1000 * r.NormFloat64() })
			nulls(10)
		case "ratio":
			doubles(r.Float64)
		case "score":
			for range rows {
				d.floats = append(d.floats, r.Float32())
			}
			nulls(5)
		case "orders":
			int64s(func(int) int64 { return int64(r.ExpFloat64() * 20) })
		case "tenure":
			int64s(func(int) int64 { return r.Int64N(73) })
		case "visits":
			for range rows {
				d.int32s = append(d.int32s, r.Int32N(1000))
			}
			nulls(20)
		case "plan":
			texts(func(int) string { return [...]string{"monthly", "yearly", "two years", "trial"}[r.IntN(4)] })
		case "country":
			texts(func(int) string { return fmt.Sprintf("country-%d", r.IntN(50)) })
			nulls(3)
		case "seen":
			int64s(func(i int) int64 { return event[i] - r.Int64N(30*Day) })
			nulls(10)
		case ColEffective:
			int64s(func(i int) int64 { return min(event[i], known[i]) })
		case ColEvent:
			d.int64s = event
		case ColKnown:
			d.int64s = known
		case ColOffset:
			int64s(func(int) int64 { return r.Int64N(int64(rows) * 4) })
		case ColTopicID:
			d.codes, d.dict = make([]uint32, rows), [][]byte{make([]byte, 16)}
		case ColPartition:
			d.int32s = make([]int32, rows)
			for i := range d.int32s {
				d.int32s[i] = r.Int32N(4)
			}
		case ColTombstone:
			d.bools = make([]bool, rows)
		}
	}
	return out
}

// BenchmarkFileEncoder: the rows of typicalView, sorted, as one file.
func BenchmarkFileEncoder(b *testing.B) {
	for _, key := range []feature.Type{feature.Int64, feature.String} {
		for _, rows := range []int{1000, 262144} {
			b.Run(fmt.Sprintf("%s/%d", key, rows), func(b *testing.B) {
				v := typicalView(key)
				cols := ViewColumns(v)
				for i := range cols {
					cols[i].ID = i + 1
				}
				data := typicalRows(cols, key, rows)
				e := newFileEncoder(v, cols, DefaultConfig())
				b.ReportAllocs()
				var f File
				from := cpuSeconds()
				for b.Loop() {
					e.start(io.Discard)
					require.NoError(b, e.group(rows, func(ci int) (*columnData, error) { return data[ci], nil }))
					var err error
					f, err = e.finish()
					require.NoError(b, err)
				}
				b.ReportMetric(float64(b.N)*float64(rows)/1e6/(cpuSeconds()-from), "Mrows/CPU-s")
				b.ReportMetric(float64(f.Bytes)/float64(rows), "B/row")
				if testing.Verbose() {
					for _, s := range f.Stats {
						b.Logf("%-16s %6.2f B/row", cols[s.ID-1].Name, float64(s.Bytes)/float64(rows))
					}
				}
			})
		}
	}
}
