package expect

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// decodeSeeds are stored tallies with all kinds of states: of no row, of a few, of so many that summaries are sketches.
func decodeSeeds(t testing.TB) (s *WindowSuite, rec arrow.RecordBatch, seeds [][]byte) {
	rec = record("n d s t", col(feature.Int64, 1, nil, 3, 3), col(feature.Float64, 1.0, nan, 0.5, 2.0), col(feature.String, "a", "b", nil, "a"), col(feature.Timestamp, 1, 2, 3, 4))
	s = windowSuite(t, rec, `column_values_to_be_unique {"column":"s"}`, `column_values_to_be_increasing {"column":"n"}`, `column_mean_to_be_between {"column":"d","max_value":9}`, `column_sum_to_be_between {"column":"n","max_value":9}`,
		`column_median_to_be_between {"column":"d","max_value":9}`, `column_max_to_be_between {"column":"s","max_value":"z"}`, `column_min_to_be_between {"column":"t","min_value":"1960-01-01"}`, `column_most_common_value_to_be_in_set {"column":"s","value_set":["a"]}`,
		`column_kl_divergence_to_be_less_than {"column":"d","partition_object":{"bins":[0,1,2],"weights":[0.5,0.5]},"threshold":1}`, `column_kl_divergence_to_be_less_than {"column":"s","partition_object":{"values":["a"],"weights":[1]},"threshold":1,"tail_weight_holdout":0.1}`,
		`compound_columns_to_be_unique {"column_list":["n","s"]}`, `column_value_z_scores_to_be_less_than {"column":"d","threshold":1}`, `column_values_to_not_be_outliers {"column":"n"}`, `column_values_to_be_in_set {"column":"n","value_set":[1]}`,
		`column_quantile_values_to_be_between {"column":"n","quantile_ranges":{"quantiles":[0.5],"value_ranges":[[0,9]]}}`, `column_distinct_values_to_equal_set {"column":"n","value_set":[1]}`, `table_row_count_to_equal {"value":4}`)
	empty := s.New()
	seeds = append(seeds, mustMarshal(t, empty))
	s.Fold(empty, rec, 0, 4, false)
	seeds = append(seeds, mustMarshal(t, empty))
	for range 200 {
		empty.Merge(s.New())
		s.Fold(empty, rec, 0, 4, false)
	}
	seeds = append(seeds, mustMarshal(t, empty))
	return s, rec, seeds
}

// TestDamagedTallies: a tally with a few bytes changed is refused, or can be used.
func TestDamagedTallies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(testseed.For(t), 1))
	s, rec, seeds := decodeSeeds(t)
	rounds, used := 120, 0
	if raceDetector {
		rounds = 40
	}
	for range rounds {
		b := append([]byte(nil), seeds[1+rnd.IntN(len(seeds)-1)]...)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] = byte(rnd.IntN(256) >> rnd.IntN(8))
		}
		if useTally(t, s, rec, seeds[1], b) {
			used++
		}
	}
	if used < rounds/20 {
		t.Errorf("only %d of %d were read", used, rounds)
	}
}

// FuzzDecodeWindow: whatever bytes are read make a tally that merges, is judged, and is stored alike again.
func FuzzDecodeWindow(f *testing.F) {
	s, rec, seeds := decodeSeeds(f)
	for _, b := range seeds {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { useTally(t, s, rec, seeds[1], b) })
}

// useTally does with a tally of any bytes all that is done with one; it reports whether they were read.
func useTally(t *testing.T, s *WindowSuite, rec arrow.RecordBatch, few, b []byte) bool {
	x, err := DecodeWindow(b)
	if err != nil {
		if feature.KindOf(err) != feature.Internal {
			t.Fatal(err)
		}
		return false
	}
	s.Judge(x)
	y, err := DecodeWindow(mustMarshal(t, x))
	if err != nil {
		t.Fatal(err)
	}
	other, err := DecodeWindow(few)
	if err != nil {
		t.Fatal(err)
	}
	y.Merge(other)
	other.Merge(x)
	s.Fold(y, rec, 0, 4, false)
	s.Judge(y)
	s.Judge(other)
	return true
}
