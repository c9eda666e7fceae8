package expect

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// randomWhole is a random expectation of tableRules for the columns of propertySchema.
func randomWhole(rnd *rand.Rand) string {
	number := pickOf(rnd, []string{"b", "i", "j", "f", "d", "e", "k"})
	order := pickOf(rnd, []string{"i", "j", "f", "d", "t"})
	all := pickOf(rnd, []string{"b", "i", "j", "f", "d", "s", "u", "t", "e", "k"})
	extra := ""
	if rnd.IntN(3) == 0 {
		extra = `,"row_condition":` + mustJSON(pickOf(rnd, []string{"i > 0", "not (d <= 1)", `s == "a" or s.isnull()`, "j in [0, 1, 7] & b", "i < k", "e != 2", `t >= "1970-01-01"`}))
	}
	mostly := pickOf(rnd, []string{"", "", `,"mostly":0.5`})
	one := func(typ, col, more string) string {
		return fmt.Sprintf(`column_%s {"column":"%s"%s%s}`, typ, col, more, extra)
	}
	limits := fmt.Sprintf(`,"min_value":%d,"max_value":%d`, rnd.IntN(5)-5, rnd.IntN(50))
	sets := map[string]string{"s": `["a","b","abc","",null]`, "u": `["ab","zz"]`, "t": `["1970-01-01"]`}
	set := sets[all]
	if set == "" {
		set = `[0,1,-1,2,3.0,0.5,1e39]`
	}
	switch rnd.IntN(15) {
	case 0:
		return one("values_to_be_unique", all, mostly)
	case 1:
		l := pickOf(rnd, [][]string{{"b", "s"}, {"i", "t"}, {"s", "u", "b"}, {"d", "e"}, {"j"}})
		return fmt.Sprintf(`compound_columns_to_be_unique {"column_list":%s,"ignore_row_if":"%s"%s%s}`, mustJSON(l), pickOf(rnd, []string{"never", "any_value_is_missing", "all_values_are_missing"}), mostly, extra)
	case 2:
		return one(pickOf(rnd, []string{"min", "max"})+"_to_be_between", number, limits)
	case 3:
		return one(pickOf(rnd, []string{"mean", "stdev", "sum", "median"})+"_to_be_between", number, limits)
	case 4:
		return one("quantile_values_to_be_between", pickOf(rnd, []string{"i", "j", "d", "e", "k"}), fmt.Sprintf(`,"quantile_ranges":{"quantiles":[0,0.1,0.5,0.99],"value_ranges":[[null,1],[-5,5],[0,null],[1,9]]},"allow_relative_error":"%s"`,
			pickOf(rnd, []string{"nearest", "linear", "lower", "higher", "midpoint"})))
	case 5:
		return one(pickOf(rnd, []string{"unique_value_count", "proportion_of_unique_values", "proportion_of_non_null_values"})+"_to_be_between", all, limits)
	case 6:
		return one("distinct_values_to_"+pickOf(rnd, []string{"be_in_set", "contain_set", "equal_set"}), all, `,"value_set":`+set)
	case 7:
		return one("most_common_value_to_be_in_set", all, `,"ties_okay":true,"value_set":`+set)
	case 8:
		return one("values_to_be_"+pickOf(rnd, []string{"increasing", "decreasing"}), order, mostly)
	case 9:
		return one("value_z_scores_to_be_less_than", number, `,"threshold":1`+mostly)
	case 10:
		return one("values_to_not_be_outliers", number, fmt.Sprintf(`,"method":"%s"`, pickOf(rnd, []string{"iqr", "std"}))+mostly)
	case 11:
		return fmt.Sprintf(`table_row_count_to_be_between {"min_value":%d%s}`, rnd.IntN(100), extra)
	case 12:
		return one("kl_divergence_to_be_less_than", pickOf(rnd, []string{"i", "j", "b"}), `,"partition_object":{"values":[0,1,2],"weights":[0.5,0.3,0.2]},"tail_weight_holdout":0.1,"threshold":1`)
	case 13:
		return one("kl_divergence_to_be_less_than", number, pickOf(rnd, []string{"", `,"partition_object":{"bins":[-1e999,0,2,1e999],"weights":[0.5,0.3,0.2]},"internal_weight_holdout":0.01,"threshold":1`}))
	}
	r, _ := randomRule(rnd)
	return r
}

// TestCutsAndSpills: a table is judged alike however it comes in batches and however
// little memory there is.
func TestCutsAndSpills(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 60
	}
	exceptions, failures := 0, 0
	for seed := range testseed.Each(t, rounds) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rec := randomRecord(rnd)
		var rules []string
		for range 1 + rnd.IntN(5) {
			rules = append(rules, randomWhole(rnd))
		}
		suite := suiteOf(t, rules...)
		o := TableOptions{Examples: 1 + rnd.IntN(30), Complete: rnd.IntN(3) == 0}
		want, err := judgeTable(suite, rec, max(rec.NumRows(), 1), o)
		if err != nil {
			t.Fatalf("%q: %v", rules, err)
		}
		for _, r := range want.Results {
			if r.Exception != "" {
				exceptions++
			}
			if !r.Success {
				failures++
			}
		}
		o.Temp = t.TempDir()
		for _, memory := range []int64{0, 1} {
			o.Memory = memory
			got, err := judgeTable(suite, rec, 1+rnd.Int64N(70), o)
			if err != nil {
				t.Fatalf("%q: %v", rules, err)
			}
			if why := differentReport(want, got); why != "" {
				t.Fatalf("memory %d: %s\nof %q\n%v", memory, why, rules, rec)
			}
		}
	}
	t.Logf("%d failures, of these %d exceptions", failures, exceptions)
}

func differentReport(want, got *Report) string {
	if want.Success != got.Success || want.Rows != got.Rows {
		return fmt.Sprintf("success %v of %d rows, want %v of %d", got.Success, got.Rows, want.Success, want.Rows)
	}
	for i := range want.Results {
		if !reflect.DeepEqual(want.Results[i], got.Results[i]) {
			return fmt.Sprintf("result %d:\n got %+v\nwant %+v", i, got.Results[i], want.Results[i])
		}
	}
	return ""
}

// TestSpilledLarge: many values, most of them in files, against a count by map and by sorting.
func TestSpilledLarge(t *testing.T) {
	if raceDetector {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	rnd := rand.New(rand.NewPCG(testseed.For(t), 2))
	const rows = 30_000
	texts, numbers := make([]any, rows), make([]any, rows)
	counts := map[string]int64{}
	var sorted []int
	for i := range rows {
		s := fmt.Sprintf("value %d", rnd.IntN(rows))
		n := rnd.IntN(1 << 40)
		texts[i], numbers[i] = s, n
		counts[s]++
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	rec := record("s n", col(feature.String, texts...), col(feature.Int64, numbers...))
	var twice, most int64
	for _, n := range counts {
		if most = max(most, n); n > 1 {
			twice += n
		}
	}
	var first []int64 // the first rows whose text is there again
	for i := range rows {
		if counts[texts[i].(string)] > 1 && len(first) < 20 {
			first = append(first, int64(i))
		}
	}
	var common []string
	for s, n := range counts {
		if n == most {
			common = append(common, s)
		}
	}
	suite := suiteOf(t, `column_values_to_be_unique {"column":"s"}`, `column_unique_value_count_to_be_between {"column":"s","min_value":1}`,
		`column_most_common_value_to_be_in_set {"column":"s","value_set":[`+mustJSON(common[0])+`],"ties_okay":true}`,
		`column_median_to_be_between {"column":"n","min_value":0}`, `column_quantile_values_to_be_between {"column":"n","quantile_ranges":{"quantiles":[0.25],"value_ranges":[[0,null]]},"allow_relative_error":"lower"}`,
		`column_value_z_scores_to_be_less_than {"column":"n","threshold":1.5}`)
	for _, memory := range []int64{0, 300 << 10, 1} {
		got, err := judgeTable(suite, rec, 9999, TableOptions{Memory: memory, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		r := got.Results
		if r[0].Unexpected != twice || r[0].Success {
			t.Errorf("memory %d: %d unexpected, want %d", memory, r[0].Unexpected, twice)
		}
		for i, e := range r[0].Examples {
			if e.Row != first[i] || e.Value != texts[first[i]] {
				t.Errorf("memory %d: example %d is %v, want row %d", memory, i, e, first[i])
			}
		}
		if r[0].Counts[0].Count != most || r[1].Observed != int64(len(counts)) || !r[2].Success || len(r[2].Observed.([]any)) != len(common) {
			t.Errorf("memory %d: %+v, %+v, %+v", memory, r[0].Counts[0], r[1].Observed, r[2])
		}
		if want := float64(sorted[rows/2-1])/2 + float64(sorted[rows/2])/2; r[3].Observed != want {
			t.Errorf("memory %d: median %v, want %v", memory, r[3].Observed, want)
		}
		if v := r[4].Observed.(map[string]any)["values"].([]any)[0]; v != int64(sorted[(rows-1)/4]) {
			t.Errorf("memory %d: quantile %v, want %v", memory, v, sorted[(rows-1)/4])
		}
		if memory == 0 && r[5].Unexpected == 0 || r[5].Unexpected > rows/4 {
			t.Errorf("memory %d: %d z-scores", memory, r[5].Unexpected)
		}
	}
}

// TestFailFast: the first wrong row decides, and the report is about what was seen.
func TestFailFast(t *testing.T) {
	rec := record("n", col(feature.Int64, 1, 2, nil, 4))
	s, faults := CompileTable(suiteOf(t, `column_values_to_not_be_null {"column":"n"}`), rec.Schema())
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := s.Begin(TableOptions{FailFast: true})
	defer func() { _ = r.Close() }()
	if err := r.Add(rec.NewSlice(0, 2)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Add(rec.NewSlice(2, 4)); err != ErrDecided {
			t.Fatal(err)
		}
	}
	report, err := r.Finish()
	if err == nil {
		if err = r.Close(); err == nil {
			_, late := r.Finish()
			if late == nil || r.Close() != nil {
				t.Error("a closed run has no report, and may be closed again")
			}
		}
	}
	if err != nil || report.Success || report.Rows != 4 || report.Results[0].Unexpected != 1 || report.Results[0].Examples[0].Row != 2 || report.Results[0].Missing != -1 {
		t.Errorf("%v %+v", err, report)
	}
}

// TestUnfitTable: what this table's columns forbid fails one result and says why; what
// is wrong in the suite itself is a fault.
func TestUnfitTable(t *testing.T) {
	rec := record("temp s at raw", col(feature.Float64, 1.5), col(feature.String, "a"), col(feature.Timestamp, 1), col(feature.Bytes, "x"))
	for expect, want := range map[string]string{
		`column_mean_to_be_between {"column":"tmp","min_value":1}`:                                `there is no column "tmp"; did you mean temp?`,
		`column_mean_to_be_between {"column":"s","min_value":1}`:                                  `column s is text, which has no mean`,
		`column_sum_to_be_between {"column":"at","min_value":1}`:                                  `column at is timestamp, which has no sum`,
		`column_values_to_be_between {"column":"s","min_value":1}`:                                `write the limit as text`,
		`column_max_to_be_between {"column":"s","min_value":1}`:                                   `cannot be compared with 1`,
		`column_values_to_be_increasing {"column":"s"}`:                                           `only numbers and times`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"x > 1"}`:                  `there is no column "x"`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"s > 1"}`:                  `which has no order with 1`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"s"}`:                      `only a column of bool`,
		`column_kl_divergence_to_be_less_than {"column":"s","threshold":1,"bucketize_data":true}`: `which has no histogram`,
		`column_kl_divergence_to_be_less_than {"column":"raw","bucketize_data":false}`:            `which has no distribution`,
		`column_max_to_be_between {"column":"raw"}`:                                               `which has no order`,
		`column_distinct_values_to_be_in_set {"column":"raw","value_set":["x"]}`:                  `JSON values cannot equal`,
	} {
		got, err := judgeTable(suiteOf(t, expect, `column_to_exist {"column":"temp"}`), rec, 1, TableOptions{})
		if err != nil {
			t.Errorf("%s: %v", expect, err)
			continue
		}
		if r := got.Results; got.Success || r[0].Success || !strings.Contains(r[0].Exception, want) || !r[1].Success || r[1].Exception != "" {
			t.Errorf("%s: %+v", expect, got)
		}
	}
	for expect, want := range map[string]string{
		`column_mean_to_be_betwen {"column":"temp"}`:                                              `did you mean expect_column_mean_to_be_between?`,
		`column_mean_to_be_between {"column":"temp","mostly":0.5}`:                                `no such kwarg`,
		`column_mean_to_be_between {"column":"temp","min_value":2,"max_value":1}`:                 `must not be above max_value`,
		`column_mean_to_be_between {"column":"temp","min_value":{"$PARAMETER":"lo"}}`:             `no value is given for the parameter "lo": there are hi`,
		`column_quantile_values_to_be_between {"column":"temp"}`:                                  `quantile_ranges: is required`,
		`column_kl_divergence_to_be_less_than {"column":"temp","partition_object":{"bins":[1]}}`:  `partition_object`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"temp >"}`:                 `it ends too early`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"temp ** 2"}`:              `compare columns with values`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"abs(temp)"}`:              `row_condition`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"1","condition_parser":1}`: `must be one of pandas`,
		`column_chisquare_test_p_value_to_be_greater_than {"column":"temp"}`:                      `no version of Great Expectations since 1.0 runs it`,
		`table_row_count_to_equal_other_table {"other_table_name":"x"}`:                           `SQL`,
	} {
		_, err := judgeTable(suiteOf(t, expect), rec, 1, TableOptions{}, WithParameters(map[string]json.RawMessage{"hi": json.RawMessage("7")}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", expect, err, want)
		}
	}
}

// FuzzCompileTable: no kwargs make CompileTable panic, and what it accepts runs to its
// end, with the same report in one piece and in three.
func FuzzCompileTable(f *testing.F) {
	types := slices.Sorted(maps.Keys(tableRules))
	for i := range types {
		f.Add(uint8(i), `{"column":"temp","min_value":1,"max_value":1e999,"value_set":[1,null,"a"],"mostly":0.5,"threshold":2,"value":3,"column_set":["n"],"column_index":1}`)
		f.Add(uint8(i), `{"column":"n","row_condition":"n > 0 and temp.notnull()","quantile_ranges":{"quantiles":[0,0.5],"value_ranges":[[null,1],[2,3]]},"type_":"int"}`)
		f.Add(uint8(i), `{"column":"origin","column_list":["n","origin"],"partition_object":{"values":["a","b"],"weights":[0.5,0.5]},"ties_okay":true,"strictly":true}`)
		f.Add(uint8(i), `{"column":"n","partition_object":{"bins":[0,1,2],"weights":[0.5,0.5],"tail_weights":[0,0]},"double_sided":false,"method":"std","multiplier":1}`)
	}
	rec := record("temp origin at n raw",
		col(feature.Float64, 1.5, nil, nan), col(feature.String, "a", "", nil), col(feature.Timestamp, 0, nil, 5), col(feature.Int64, 1, 2, nil), col(feature.Bytes, "{}", nil, "\xff"))
	f.Fuzz(func(t *testing.T, which uint8, kwargs string) {
		e := feature.Expectation{Type: types[int(which)%len(types)]}
		if json.Unmarshal([]byte(kwargs), &e.Kwargs) != nil {
			e.Kwargs = map[string]json.RawMessage{"row_condition": json.RawMessage(kwargs)}
		}
		runBothWays(t, e, rec)
	})
}

func runBothWays(t *testing.T, e feature.Expectation, rec arrow.RecordBatch) {
	suite := &feature.Suite{Expectations: []feature.Expectation{e}}
	whole, err := judgeTable(suite, rec, rec.NumRows(), TableOptions{})
	if err != nil {
		return // a fault
	}
	cut, err := judgeTable(suite, rec, 1, TableOptions{Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	if why := differentReport(whole, cut); why != "" {
		t.Fatal(why)
	}
}

// FuzzCondition: no condition makes the parser panic or hang, and what it reads selects rows.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{"n > 0", `col("n") == 1 and not (temp <= 1.5)`, "0 < n <= 2 | origin in ['a', \"b\"]", "~(`n` != -1)", "n.isnull() & temp.notnull()", `at >= "1970-01-01"`, "n in (1,)",
		"((((n == 1))))", "n == 1_000", "n == 0x1f", "n == [1, 2]", "temp > 1e999", "temp == -1e-5", "1 < 2", "not", "n not in [", "origin == 'it\\'s'", strings.Repeat("(", 200), "n == n == n"} {
		f.Add(s)
	}
	rec := record("temp origin at n raw",
		col(feature.Float64, 1.5, nil, nan), col(feature.String, "a", "", nil), col(feature.Timestamp, 0, nil, 5), col(feature.Int64, 1, 2, nil), col(feature.Bytes, "{}", nil, "\xff"))
	f.Fuzz(func(t *testing.T, s string) {
		raw, err := json.Marshal(s)
		if err != nil {
			return
		}
		runBothWays(t, feature.Expectation{Type: "expect_column_values_to_not_be_null", Kwargs: map[string]json.RawMessage{"column": json.RawMessage(`"n"`), "row_condition": raw}}, rec)
	})
}

// TestTemporaryFiles: they are gone when the run is closed, and a folder that takes none is
// an error, not another verdict.
func TestTemporaryFiles(t *testing.T) {
	vals := make([]any, 20_000)
	for i := range vals {
		vals[i] = i
	}
	rec := record("n", col(feature.Int64, vals...))
	suite := suiteOf(t, `column_values_to_be_unique {"column":"n"}`, `column_median_to_be_between {"column":"n","min_value":0}`, `column_value_z_scores_to_be_less_than {"column":"n","threshold":9}`)
	dir := t.TempDir()
	report, err := judgeTable(suite, rec, 5000, TableOptions{Memory: 1, Temp: dir})
	if err != nil || !report.Success {
		t.Fatal(err, report)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := judgeTable(suite, rec, 5000, TableOptions{Memory: 1, Temp: filepath.Join(dir, "absent")}); feature.KindOf(err) != feature.Exhausted {
		t.Errorf("got %v", err)
	}
}
