package expect

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// TestSuiteOfAViewWithWindows: without windows a view refuses what needs many rows, and says what to add; with windows
// the stream is judged by the rules about single rows, and all of the suite is checked.
func TestSuiteOfAViewWithWindows(t *testing.T) {
	rec := record("temp s", col(feature.Float64, 1.5, nil, 200.0), col(feature.String, "a", "b", "c"))
	v := windowView(t, rec)
	suite := suiteOf(t, `column_values_to_be_between {"column":"temp","max_value":{"$PARAMETER":"most"}}`, `column_mean_to_be_between {"column":"temp","max_value":{"$PARAMETER":"most"}}`,
		`column_values_to_be_unique {"column":"s"}`)
	faults := CheckView(suite, v)
	if len(faults) != 3 || !strings.Contains(faults[0].Msg, "$PARAMETER") || !strings.Contains(faults[1].Msg, "window expectation") || !strings.HasSuffix(faults[2].Msg, "give the view a quality.window, and it is judged per window") {
		t.Errorf("%v", faults)
	}
	v.Quality = &feature.Quality{Window: feature.Window{Size: "1h"}, Parameters: map[string]json.RawMessage{"most": json.RawMessage("100")}}
	if faults := CheckView(suite, v); len(faults) > 0 {
		t.Fatal(faults)
	}
	s, faults := CompileView(suite, v)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var verdict validate.Verdict
	if err := s.CheckRecord(rec, &verdict); err != nil || len(verdict.Rules()) != 1 || len(verdict.Rejected()) != 1 || verdict.Rejected()[0].Index != 2 {
		t.Errorf("%v %v %v", err, verdict.Rules(), verdict.Rejected())
	}
	w, faults := CompileWindow(suite, v)
	if len(faults) > 0 || w.Expectations() != 3 {
		t.Fatal(faults)
	}
	if w, faults = CompileWindow(suite, v, WithParameters(map[string]json.RawMessage{"most": json.RawMessage("1")})); len(faults) > 0 {
		t.Fatal(faults)
	}
	x := w.New()
	w.Fold(x, rec, 0, 3, false)
	if r := w.Judge(x); r.Results[0].Unexpected != 2 || r.Results[1].Success || !r.Results[2].Success {
		t.Errorf("%+v", r)
	}

	for expect, want := range map[string]string{
		`column_mean_to_be_between {"column":"tmp","min_value":1}`:                              `there is no column "tmp"; did you mean temp?`,
		`column_mean_to_be_between {"column":"s","min_value":"x"}`:                              `cannot be compared with "x"`,
		`column_meen_to_be_between {"column":"temp"}`:                                           `unknown expectation type`,
		`table_row_count_to_equal_other_table {"other_table_name":"x"}`:                         `SQL over a whole table`,
		`column_chisquare_test_p_value_to_be_greater_than {"column":"temp"}`:                    `no version of Great Expectations since 1.0 runs it`,
		`column_quantile_values_to_be_between {"column":"temp"}`:                                `quantile_ranges: is required`,
		`column_values_to_be_increasing {"column":"s"}`:                                         `only numbers and times`,
		`column_mean_to_be_between {"column":"temp","max_value":{"$PARAMETER":"least"}}`:        `no value is given for the parameter "least": there are most`,
		`column_max_to_be_between {"column":"temp","max_value":1,"row_condition":"temp >"}`:     `it ends too early`,
		`column_distinct_values_to_be_in_set {"column":"temp","value_set":[1],"mostly":0.5}`:    `no such kwarg`,
		`column_unique_value_count_to_be_between {"column":"temp","min_value":2,"max_value":1}`: `must not be above max_value`,
	} {
		if err := feature.JoinFaults(CheckView(suiteOf(t, expect), v)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", expect, err, want)
		}
	}
	good := suiteOf(t, `column_to_exist {"column":"temp"}`, `column_to_exist {"column":"gone"}`, `table_columns_to_match_set {"column_set":["temp","s"]}`, `column_type_to_be {"column":"s","type_":"string"}`)
	if w, faults = CompileWindow(good, v); len(faults) > 0 {
		t.Fatal(faults)
	}
	if r := w.Judge(w.New()); !r.Results[0].Success || r.Results[1].Success || !r.Results[2].Success || !r.Results[3].Success {
		t.Errorf("%+v", r)
	}
}

// TestHeldRows: rows that the suite holds back count for the rules about single rows, and for nothing else;
// tombstones count for nothing.
func TestHeldRows(t *testing.T) {
	rec := record("n", col(feature.Int64, 1, 2, 3, 4))
	bad := record("n", col(feature.Int64, 100, nil))
	s := windowSuite(t, rec, `column_values_to_be_between {"column":"n","max_value":10,"mostly":0.5}`, `column_max_to_be_between {"column":"n","max_value":10}`, `table_row_count_to_equal {"value":3}`, `column_values_to_not_be_null {"column":"n"}`)
	b := batchOf(rec, 2, 40)
	b.Tombstone = []bool{false, true, false, false}
	b.Held = &feature.Held{Rows: bad, Offsets: []int64{50, 60}}
	x := s.New()
	s.FoldBatch(x, b, 0, 4, false)
	s.FoldBatch(x, b, 0, 2, true)
	r := s.Judge(stored(t, x))
	if x.Count() != 5 || x.Held() != 2 || r.Rows != 5 {
		t.Errorf("%d %d %d", x.Count(), x.Held(), r.Rows)
	}
	first := r.Results[0]
	if !first.Success || first.Elements != 5 || first.Missing != 1 || first.Unexpected != 1 || first.Examples[0].Row != 50 || first.Examples[0].Partition != 2 || first.Examples[0].Value != int64(100) {
		t.Errorf("%+v", first)
	}
	if r.Results[1].Observed != int64(4) || r.Results[2].Observed != int64(3) || r.Results[3].Unexpected != 1 || r.Results[3].Missing != -1 {
		t.Errorf("%+v", r.Results)
	}
	for _, x := range r.Results {
		if x.Error != "" {
			t.Error(x.Error)
		}
	}
}

// TestSuiteChangedWithinAWindow: what both versions ask goes on; of what is new it is said how many rows it has not seen.
func TestSuiteChangedWithinAWindow(t *testing.T) {
	rec := record("n s", col(feature.Int64, 1, 2, 3, 4), col(feature.String, "a", "a", "b", "c"))
	before := windowSuite(t, rec, `column_max_to_be_between {"column":"n","max_value":2}`, `column_values_to_be_in_set {"column":"s","value_set":["a"]}`)
	after := windowSuite(t, rec, `column_values_to_be_unique {"column":"s"}`, `column_max_to_be_between {"column":"n","max_value":20}`, `column_values_to_be_in_set {"column":"s","value_set":["b"]}`)
	x := before.New()
	before.Fold(x, rec, 0, 3, false)
	y := after.New()
	after.Fold(y, rec, 3, 4, false)
	z := stored(t, x)
	z.Merge(y)
	after.Fold(x, rec, 3, 4, false) // into one of before
	for _, x := range []*WindowTally{z, x} {
		r := after.Judge(stored(t, x)).Results
		if r[1].Error != "" || r[1].Observed != int64(4) {
			t.Errorf("%+v", r[1])
		}
		const want = "without 3 of 4 rows, which were counted before the suite was changed"
		if r[0].Error != want || r[0].Elements != 1 || r[2].Error != want || r[2].Unexpected != 1 {
			t.Errorf("%+v\n%+v", r[0], r[2])
		}
		if r := before.Judge(x).Results; r[1].Unexpected != 1 || r[1].Error != "without 1 of 4 rows, which were counted before the suite was changed" {
			t.Errorf("%+v", r)
		}
	}
}

// TestWindowExamples: of many unexpected values the same ones are kept in whatever order they come, counted exactly, and
// long ones are cut.
func TestWindowExamples(t *testing.T) {
	var vals []any
	for i := range 500 {
		vals = append(vals, strings.Repeat(fmt.Sprint("wert ", i%50, " ä"), 1+i%50*20))
	}
	rec := record("s u", col(feature.String, vals...), col(feature.String, vals...))
	s := windowSuite(t, rec, `column_values_to_be_in_set {"column":"s","value_set":["x"]}`, `column_pair_values_to_be_in_set {"column_A":"s","column_B":"u","value_pairs_set":[["a","b"]]}`,
		`select_column_values_to_be_unique_within_record {"column_list":["s","u"]}`)
	x := s.New()
	s.Fold(x, rec, 0, 500, false)
	r := s.Judge(stored(t, x))
	for i, res := range r.Results {
		if res.Unexpected != 500 || len(res.Examples) != windowExamples || len(res.Counts) != windowExamples || res.More["partial_unexpected_values"] != int64(windowExamples) {
			t.Errorf("%d: %+v", i, res)
		}
		for _, c := range res.Counts {
			if c.Count != 10 {
				t.Errorf("%d: %+v", i, c)
			}
		}
		if !slices.IsSortedFunc(res.Examples, func(a, b Example) int { return int(a.Row - b.Row) }) || res.Examples[0].Row > 49 {
			t.Errorf("%d: %+v", i, res.Examples)
		}
	}
	if m, ok := r.Results[2].Examples[0].Value.(map[string]any); !ok || len(m) != 2 {
		t.Errorf("%+v", r.Results[2].Examples[0])
	}
	if v, ok := r.Results[1].Examples[0].Value.([]any); !ok || len(v) != 2 {
		t.Errorf("%+v", r.Results[1].Examples[0])
	}
	for _, p := range x.parts {
		if n := p.state.size(); n > 16<<10 {
			t.Errorf("%d bytes", n)
		}
	}
	other := s.New()
	for i := 499; i >= 0; i-- {
		part := s.New()
		s.FoldBatch(part, batchOf(rec, 0, 0), i, i+1, false)
		other.Merge(part)
	}
	whole := s.New()
	s.FoldBatch(whole, batchOf(rec, 0, 0), 0, 500, false)
	if string(mustMarshal(t, other)) != string(mustMarshal(t, whole)) {
		t.Error("other examples in another order")
	}
}

// TestOneSuiteManyWorkers: goroutines share a suite, each with a tally of its own.
func TestOneSuiteManyWorkers(t *testing.T) {
	rec := tableColumns(4000)
	s := windowSuite(t, rec, append(slices.Clone(tenOfWindows), `column_values_to_be_in_set {"column":"origin","value_set":["JFK"],"row_condition":"count > 500000"}`, `column_distinct_values_to_be_in_set {"column":"origin","value_set":["JFK"]}`)...)
	whole := s.New()
	s.Fold(whole, rec, 0, 4000, false)
	parts := make([]*WindowTally, 8)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			parts[i] = s.New()
			for from := i * 500; from < i*500+500; from += 50 {
				s.FoldBatch(parts[i], batchOf(rec, 0, 0), from, from+50, false)
			}
		})
	}
	wg.Wait()
	for _, p := range parts[1:] {
		parts[0].Merge(p)
	}
	got, want := s.Judge(parts[0]), s.Judge(whole)
	for i := range got.Results {
		if w := &want.Results[i]; w.Error == "" {
			if why := sameResult(&got.Results[i], w); why != "" {
				t.Errorf("%s: %+v, want %+v", why, got.Results[i], w)
			}
		}
	}
}

// tenOfWindows are tenOfTables as windows have them.
var tenOfWindows = tenOfTables

// TestWindowsWithoutAllocation: rows that break no rule cost no memory once a window is under way.
func TestWindowsWithoutAllocation(t *testing.T) {
	if raceDetector {
		t.Skip("SKIP(race): allocations are not measured under the race detector")
	}
	rec := tableColumns(8192)
	s := windowSuite(t, rec, slices.Concat(tenOfWindows, ten[:8])...)
	x := s.New()
	for range 200 {
		s.Fold(x, rec, 0, 8192, false)
	}
	runtime.GC()
	if n := testing.AllocsPerRun(30, func() { s.Fold(x, rec, 0, 8192, false) }); n > 2 { // a compaction of the ranks at times
		t.Errorf("%v allocations a batch", n)
	}
}

// BenchmarkWindow reports what a row costs in a window of ten expectations, and of each alone.
func BenchmarkWindow(b *testing.B) {
	const rows = 1_000_000
	rec := tableColumns(rows)
	bench := func(name string, rec arrow.RecordBatch, expectations ...string) {
		b.Run(name, func(b *testing.B) {
			s := windowSuite(b, rec, expectations...)
			b.ReportAllocs()
			from := cpu()
			for b.Loop() {
				x := s.New()
				for i := 0; i < rows; i += 8192 {
					s.Fold(x, rec, i, min(i+8192, rows), false)
				}
				if !s.Judge(x).Success {
					b.Fatal(s.Judge(x))
				}
			}
			b.ReportMetric(float64((cpu()-from).Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
	bench("ten", rec, tenOfWindows...)
	bench("ten_of_streams", tenColumns(rows), ten...)
	bench("text_unique", rec, `column_values_to_be_unique {"column":"id"}`)
	bench("distinct_set", rec, `column_distinct_values_to_be_in_set {"column":"origin","value_set":["JFK","LGA","EWR","SFO","LAX"]}`)
	bench("most_common", rec, `column_most_common_value_to_be_in_set {"column":"origin","ties_okay":true,"value_set":["JFK","LGA","EWR","SFO","LAX"]}`)
	bench("unique_count", rec, `column_unique_value_count_to_be_between {"column":"number","min_value":1}`)
	bench("increasing", rec, `column_values_to_be_increasing {"column":"number","mostly":0.1}`)
	bench("stdev", rec, `column_stdev_to_be_between {"column":"temp","min_value":1}`)
	for _, e := range tenOfWindows {
		bench(e[:30], rec, e)
	}
}
