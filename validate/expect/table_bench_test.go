package expect

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// tenOfTables are ten expectations that suites of tables have most, on eight of ten columns.
var tenOfTables = []string{
	`column_values_to_not_be_null {"column":"id"}`,
	`column_values_to_be_unique {"column":"number"}`,
	`column_values_to_be_between {"column":"temp","min_value":-50,"max_value":60}`,
	`column_values_to_be_in_set {"column":"origin","value_set":["JFK","LGA","EWR","SFO","LAX"]}`,
	`column_values_to_match_regex {"column":"ref","regex":"^[A-Z]{3}-\\d+$"}`,
	`column_value_lengths_to_be_between {"column":"note","min_value":1,"max_value":40}`,
	`column_mean_to_be_between {"column":"count","min_value":0,"max_value":1000000}`,
	`column_quantile_values_to_be_between {"column":"temp","quantile_ranges":{"quantiles":[0.05,0.5,0.95],"value_ranges":[[-50,0],[0,20],[40,60]]}}`,
	`column_max_to_be_between {"column":"until","min_value":0,"max_value":2000000}`,
	`table_row_count_to_be_between {"min_value":1,"max_value":10000000}`,
}

// tableColumns are tenColumns with a column of different numbers in place of day.
func tableColumns(rows int) arrow.RecordBatch {
	rec := tenColumns(rows)
	bld := array.NewInt64Builder(memory.DefaultAllocator)
	for i := range rows {
		bld.Append(int64(i)*7919%int64(rows) + 1_000_000_000)
	}
	fields, cols := rec.Schema().Fields(), rec.Columns()
	fields[8] = arrow.Field{Name: "number", Type: arrow.PrimitiveTypes.Int64}
	cols = append([]arrow.Array{}, cols...)
	cols[8] = bld.NewArray()
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(rows))
}

// BenchmarkTable judges a table of 1M rows and 10 columns by ten expectations and by
// each alone, and reports rows per second of CPU time.
func BenchmarkTable(b *testing.B) {
	const rows = 1_000_000
	rec := tableColumns(rows)
	bench := func(name string, expectations ...string) {
		b.Run(name, func(b *testing.B) {
			suite := suiteOf(b, expectations...)
			from := cpu()
			for b.Loop() {
				report, err := judgeTable(suite, rec, rows, TableOptions{})
				if err != nil || !report.Success {
					b.Fatal(err, report)
				}
			}
			took := cpu() - from
			b.ReportMetric(float64(b.N)*rows/took.Seconds()/1e6, "Mrows/CPU-s")
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
	bench("ten", tenOfTables...)
	bench("text_unique", `column_values_to_be_unique {"column":"id"}`)
	for _, e := range tenOfTables {
		bench(e[:30], e)
	}
}
