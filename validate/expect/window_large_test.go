package expect

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// manyRows are so many rows that windows cannot know all values: ids are all different but for twice of them,
// words are 5,000, few are ten.
func manyRows(rnd *rand.Rand, rows, twice int) (names string, ids, words, few []any, nums []any, sorted []float64) {
	for i := range rows {
		id := fmt.Sprintf("order-%08d", i)
		if i < twice {
			id = fmt.Sprintf("order-%08d", rows-1-i)
		}
		ids = append(ids, id)
		words = append(words, rnd.IntN(5000))
		few = append(few, fmt.Sprint("word ", min(9, int(rnd.ExpFloat64()*2))))
		n := rnd.NormFloat64()*10 + 50
		nums, sorted = append(nums, n), append(sorted, n)
	}
	slices.Sort(sorted)
	return "id word few num", ids, words, few, nums, sorted
}

// TestLargeWindows: beyond what is known one by one, numbers are within the declared error, what can be exact is,
// and no answer takes more memory than it may.
func TestLargeWindows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testseed.For(t), 3))
	const rows = 40_000
	names, ids, words, few, nums, sorted := manyRows(rnd, rows, 400)
	rec := record(names, col(feature.String, ids...), col(feature.Int64, words...), col(feature.String, few...), col(feature.Float64, nums...))
	rules := []string{
		`column_values_to_be_unique {"column":"id"}`,
		`column_values_to_be_unique {"column":"id","mostly":0.5}`,
		`compound_columns_to_be_unique {"column_list":["id","num"]}`,
		`column_unique_value_count_to_be_between {"column":"id","min_value":39599,"max_value":39601}`,
		`column_unique_value_count_to_be_between {"column":"word","min_value":9000}`,
		`column_proportion_of_unique_values_to_be_between {"column":"word","max_value":0.13}`,
		`column_distinct_values_to_be_in_set {"column":"word","value_set":[1,2,3]}`,
		`column_distinct_values_to_contain_set {"column":"word","value_set":[1,2,3,4000]}`,
		`column_distinct_values_to_contain_set {"column":"word","value_set":[1,2,3,-4000]}`,
		`column_distinct_values_to_equal_set {"column":"few","value_set":["word 0","word 1","word 2","word 3","word 4","word 5","word 6","word 7","word 8","word 9"]}`,
		`column_most_common_value_to_be_in_set {"column":"few","value_set":["word 0"]}`,
		`column_most_common_value_to_be_in_set {"column":"few","value_set":["word 9"]}`,
		`column_median_to_be_between {"column":"num","min_value":49.8,"max_value":50.2}`,
		`column_median_to_be_between {"column":"num","min_value":55}`,
		`column_quantile_values_to_be_between {"column":"num","quantile_ranges":{"quantiles":[0,0.1,0.9,1],"value_ranges":[[null,30],[36,38],[62,64],[70,null]]}}`,
		`column_quantile_values_to_be_between {"column":"num","quantile_ranges":{"quantiles":[0.1],"value_ranges":[[40,50]]}}`,
		`column_mean_to_be_between {"column":"num","min_value":49.5,"max_value":50.5}`,
		`column_stdev_to_be_between {"column":"num","min_value":9.7,"max_value":10.3}`,
		`column_max_to_be_between {"column":"num","max_value":60}`,
		`column_value_z_scores_to_be_less_than {"column":"num","threshold":10}`,
		`column_value_z_scores_to_be_less_than {"column":"num","threshold":2,"mostly":0.8}`,
		`column_value_z_scores_to_be_less_than {"column":"num","threshold":1,"mostly":0.9}`,
		`column_values_to_not_be_outliers {"column":"num","mostly":0.95}`,
		`column_values_to_not_be_outliers {"column":"num","method":"std","multiplier":1,"mostly":0.99}`,
		`column_kl_divergence_to_be_less_than {"column":"num","partition_object":{"bins":[-1e999,40,60,1e999],"weights":[0.16,0.68,0.16]},"threshold":0.01}`,
		`column_kl_divergence_to_be_less_than {"column":"word","partition_object":{"values":[1,2],"weights":[0.5,0.5]},"threshold":1}`,
		`column_kl_divergence_to_be_less_than {"column":"word","partition_object":{"values":[1,2],"weights":[0.5,0.5]},"tail_weight_holdout":0.999,"threshold":10}`,
		`column_values_to_be_increasing {"column":"num","mostly":0.4}`,
		`column_values_to_be_decreasing {"column":"num","mostly":0.6}`,
		`column_values_to_be_in_set {"column":"few","value_set":["word 0"],"mostly":0.9}`,
		`table_row_count_to_equal {"value":40000}`,
		`column_values_to_be_between {"column":"num","max_value":51}`,
	}
	suite := suiteOf(t, rules...)
	table, err := judgeTable(suite, rec, rows, TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := windowSuite(t, rec, rules...)
	tally := inParts(t, rnd, s, rec, 30)
	window := s.Judge(tally)
	sketched := 0
	for i := range rules {
		w, x := &window.Results[i], &table.Results[i]
		if w.Success != x.Success {
			t.Errorf("%s: success %v (observed %v, %s), want %v (%v)", rules[i], w.Success, w.Observed, w.Error, x.Success, x.Observed)
		}
		if w.Error == "" {
			if why := sameResult(w, x); why != "" {
				t.Errorf("%s: %s: %v, want %v", rules[i], why, w, x)
			}
			continue
		}
		sketched++
		switch v := w.Observed.(type) {
		case int64, float64:
			if strings.Contains(rules[i], "kl_divergence") {
				break
			}
			f, _ := numberValue(v)
			g, _ := numberValue(x.Observed)
			got, _ := f.float64()
			want, _ := g.float64()
			within := 0.03 * want
			if strings.Contains(rules[i], "median") {
				within = sorted[rows/2+600] - want
			}
			if math.Abs(got-want) > within {
				t.Errorf("%s: observed %v, want %v: %s", rules[i], got, want, w.Error)
			}
		case map[string]any:
			for k, q := range v["quantiles"].([]any) {
				at, _ := slices.BinarySearch(sorted, v["values"].([]any)[k].(float64))
				if off := math.Abs(float64(at)/rows - q.(float64)); off > 0.0134 {
					t.Errorf("%s: quantile %v is %v off", rules[i], q, off)
				}
			}
		}
		if w.Map && (w.Elements != x.Elements || w.Missing != x.Missing || math.Abs(float64(w.Unexpected-x.Unexpected)) > max(0.3*float64(x.Unexpected), 2*0.0134*rows)) {
			t.Errorf("%s: %d of %d unexpected, want %d: %s", rules[i], w.Unexpected, w.Elements, x.Unexpected, w.Error)
		}
	}
	if sketched < 18 {
		t.Errorf("only %d answers have an error", sketched)
	}
	for i := range tally.parts {
		st := tally.parts[i].state
		most := map[byte]int64{rowsKind: 16 << 10, counterKind: 64, momentsKind: 1 << 10, extremesKind: 3 << 10, ranksKind: 8 << 10,
			valuesKind: 64 << 10, frequentKind: 64 << 10, histogramKind: 1 << 10, orderKind: 24 << 10}[st.kind()]
		memory := most
		if st.kind() == ranksKind { // its levels have room for more than they hold
			memory = 32 << 10
		}
		if st.size() > memory || int64(len(st.append(nil))) > most {
			t.Errorf("a state of kind %d takes %d bytes and %d stored, more than %d and %d", st.kind(), st.size(), len(st.append(nil)), memory, most)
		}
	}
	if n := tally.Size(); n > 600<<10 {
		t.Errorf("the tally takes %d bytes", n)
	}
}

// TestOrderAcrossParts: parts of each partition are compared at their ends, whichever comes first.
func TestOrderAcrossParts(t *testing.T) {
	rising := record("n", col(feature.Int64, 1, 2, 3, 4, 5, 6))
	s := windowSuite(t, rising, `column_values_to_be_increasing {"column":"n","strictly":true}`)
	// Partition 0 rises, partition 1 falls between its two parts.
	fold := func(partition int32, first int64, from, to int) *WindowTally {
		w := s.New()
		s.FoldBatch(w, batchOf(rising, partition, first), from, to, false)
		return w
	}
	parts := []*WindowTally{fold(0, 0, 0, 2), fold(0, 0, 2, 6), fold(1, 100, 3, 6), fold(1, 200, 0, 3)}
	var want []byte
	for range 20 {
		rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		w := s.New()
		for _, p := range parts {
			w.Merge(p)
		}
		b := mustMarshal(t, w)
		if want == nil {
			want = b
		}
		r := s.Judge(stored(t, w)).Results[0]
		if !bytes.Equal(b, want) || r.Unexpected != 1 || r.Elements != 12 || r.Success || r.Error != "" {
			t.Fatalf("%+v", r)
		}
	}
	// More parts than are kept apart, in order: nothing is lost.
	vals := make([]any, 1000)
	for i := range vals {
		vals[i] = i
	}
	vals[500] = 0
	rec := record("n", col(feature.Int64, vals...))
	w, b := s.New(), batchOf(rec, 3, 7)
	for i := range vals {
		s.FoldBatch(w, b, i, i+1, false)
	}
	if r := s.Judge(w).Results[0]; r.Unexpected != 1 || r.Error != "" || r.Elements != 1000 {
		t.Errorf("%+v", r)
	}
	s.FoldBatch(w, b, 10, 20, false) // again, as a replay may bring rows of before
	if r := s.Judge(w).Results[0]; !strings.Contains(r.Error, "1 stretches of rows came out of order") {
		t.Errorf("%+v", r)
	}
	if n := w.Size(); n > 24<<10 {
		t.Errorf("%d bytes", n)
	}
}
