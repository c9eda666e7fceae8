package expect

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// ten is one rule of each of the ten kinds that suites have most, on ten columns.
var ten = []string{
	`column_values_to_not_be_null {"column":"id"}`,
	`column_values_to_be_between {"column":"temp","min_value":-50,"max_value":60}`,
	`column_values_to_be_between {"column":"count","min_value":0,"max_value":1000000,"strict_max":true}`,
	`column_values_to_be_in_set {"column":"origin","value_set":["JFK","LGA","EWR","SFO","LAX"]}`,
	`column_values_to_not_be_in_set {"column":"code","value_set":[-1,999]}`,
	`column_values_to_match_regex {"column":"ref","regex":"^[A-Z]{3}-\\d+$"}`,
	`column_value_lengths_to_be_between {"column":"note","min_value":1,"max_value":40}`,
	`column_values_to_be_of_type {"column":"flag","type_":"bool"}`,
	`column_values_to_match_strftime_format {"column":"day","strftime_format":"%Y-%m-%d"}`,
	`column_pair_values_a_to_be_greater_than_b {"column_A":"until","column_B":"count","or_equal":true,"ignore_row_if":"either_value_is_missing"}`,
}

// tenColumns are rows that break none of ten; one in fifty values is null.
func tenColumns(rows int) arrow.RecordBatch {
	rnd := rand.New(rand.NewPCG(1, 2))
	f := func(n string, t feature.Type) arrow.Field {
		return arrow.Field{Name: n, Type: t.Arrow(), Nullable: true}
	}
	schema := arrow.NewSchema([]arrow.Field{
		f("id", feature.String), f("temp", feature.Float64), f("count", feature.Int64), f("origin", feature.String), f("code", feature.Int32),
		f("ref", feature.String), f("note", feature.String), f("flag", feature.Bool), f("day", feature.String), f("until", feature.Int64),
	}, nil)
	bld := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	text := func(col int, s string) {
		if b := bld.Field(col).(*array.StringBuilder); col > 0 && rnd.IntN(50) == 0 {
			b.AppendNull()
		} else {
			b.Append(s)
		}
	}
	for i := range rows {
		text(0, fmt.Sprintf("customer-%06d", i))
		if rnd.IntN(50) == 0 {
			bld.Field(1).AppendNull()
		} else {
			bld.Field(1).(*array.Float64Builder).Append(rnd.Float64()*100 - 45)
		}
		n := rnd.Int64N(1_000_000)
		bld.Field(2).(*array.Int64Builder).Append(n)
		text(3, []string{"JFK", "LGA", "EWR", "SFO", "LAX"}[rnd.IntN(5)])
		bld.Field(4).(*array.Int32Builder).Append(rnd.Int32N(900))
		text(5, fmt.Sprintf("ABC-%d", rnd.IntN(100000)))
		text(6, "a note of the usual length"[:1+rnd.IntN(25)])
		bld.Field(7).(*array.BooleanBuilder).Append(rnd.IntN(2) == 0)
		text(8, time.Unix(rnd.Int64N(2_000_000_000), 0).UTC().Format(time.DateOnly))
		bld.Field(9).(*array.Int64Builder).Append(n + rnd.Int64N(10))
	}
	return bld.NewRecordBatch()
}

// BenchmarkTenExpectations reports rows per second of CPU time.
func BenchmarkTenExpectations(b *testing.B) {
	const rows = 8192
	rec := tenColumns(rows)
	s := compiled(b, rec.Schema(), ten...)
	var v validate.Verdict
	if err := s.CheckRecord(rec, &v); err != nil || len(v.Rejected()) > 0 {
		b.Fatal(err, v.Counts())
	}
	b.ReportAllocs()
	from := cpu()
	for b.Loop() {
		if err := s.CheckRecord(rec, &v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/(cpu()-from).Seconds()/1e6, "Mrows/CPU-s")
}

// BenchmarkEach measures the ten rules one by one.
func BenchmarkEach(b *testing.B) {
	const rows = 8192
	rec := tenColumns(rows)
	for _, e := range ten {
		s := compiled(b, rec.Schema(), e)
		b.Run(s.rules[0].Type[7:]+"_"+s.rules[0].Path, func(b *testing.B) {
			var v validate.Verdict
			for b.Loop() {
				if err := s.CheckRecord(rec, &v); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

// TestNoAllocation: a batch that breaks no rule costs no memory.
func TestNoAllocation(t *testing.T) {
	if raceDetector {
		t.Skip("SKIP(race): allocations are not measured under the race detector")
	}
	rec := tenColumns(8192)
	s := compiled(t, rec.Schema(), ten...)
	var v validate.Verdict
	runtime.GC()
	if n := testing.AllocsPerRun(50, func() {
		if s.CheckRecord(rec, &v) != nil || len(v.Rejected()) > 0 {
			t.Fatal(v.Counts())
		}
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
