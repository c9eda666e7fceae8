package expect

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// windowView is a view whose features are the columns of a record.
func windowView(t testing.TB, rec arrow.RecordBatch) *feature.View {
	t.Helper()
	v := &feature.View{Meta: feature.Meta{Name: "v", Project: "p"}}
	for _, f := range rec.Schema().Fields() {
		v.Features = append(v.Features, feature.Field{Name: f.Name, Type: typeOf(f.Type)})
	}
	if got := v.Schema().NumFields(); got != int(rec.NumCols()) {
		t.Fatalf("the view has %d columns", got)
	}
	return v
}

// batchOf is a record as a batch of one partition, with offsets from first on.
func batchOf(rec arrow.RecordBatch, partition int32, first int64) *feature.Batch {
	b := &feature.Batch{Rows: rec, Origin: feature.Origin{Partition: partition}}
	for i := range rec.NumRows() {
		b.Offsets = append(b.Offsets, first+i)
	}
	return b
}

func windowSuite(t testing.TB, rec arrow.RecordBatch, expectations ...string) *WindowSuite {
	t.Helper()
	s, faults := CompileWindow(suiteOf(t, expectations...), windowView(t, rec))
	if len(faults) > 0 {
		t.Fatalf("%q: %v", expectations, feature.JoinFaults(faults))
	}
	return s
}

// inParts folds a record cut into parts, some of them stored and read again, and merges those in random order.
func inParts(t testing.TB, rnd *rand.Rand, s *WindowSuite, rec arrow.RecordBatch, parts int) *WindowTally {
	t.Helper()
	b := batchOf(rec, 0, 0)
	var tallies []*WindowTally
	cuts := []int{0}
	for range parts - 1 {
		cuts = append(cuts, rnd.IntN(int(rec.NumRows())+1))
	}
	cuts = append(cuts, int(rec.NumRows()))
	for i := 1; i < len(cuts); i++ {
		for j := i; j > 0 && cuts[j] < cuts[j-1]; j-- {
			cuts[j], cuts[j-1] = cuts[j-1], cuts[j]
		}
	}
	for i := 1; i < len(cuts); i++ {
		t2 := s.New()
		s.FoldBatch(t2, b, cuts[i-1], cuts[i], false)
		if rnd.IntN(3) == 0 {
			t2 = stored(t, t2)
		}
		tallies = append(tallies, t2)
	}
	rnd.Shuffle(len(tallies), func(i, j int) { tallies[i], tallies[j] = tallies[j], tallies[i] })
	for len(tallies) > 1 {
		i := 1 + rnd.IntN(len(tallies)-1)
		before := mustMarshal(t, tallies[i])
		tallies[0].Merge(tallies[i])
		if !bytes.Equal(before, mustMarshal(t, tallies[i])) {
			t.Fatal("merging has changed what was merged")
		}
		tallies = append(tallies[:i], tallies[i+1:]...)
	}
	return tallies[0]
}

func mustMarshal(t testing.TB, x *WindowTally) []byte {
	t.Helper()
	b, err := x.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stored is a tally as it comes back from where it was stored.
func stored(t testing.TB, x *WindowTally) *WindowTally {
	t.Helper()
	b := mustMarshal(t, x)
	y, err := DecodeWindow(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustMarshal(t, y); !bytes.Equal(b, again) {
		t.Fatal("what was read is stored otherwise")
	}
	if y.Count() != x.Count() || y.Held() != x.Held() {
		t.Fatal("the counts differ")
	}
	return y
}

// sameResult compares a window's result with a table's. Sums of floats may differ in the last digits.
func sameResult(window, table *Result) string {
	switch {
	case window.Success != table.Success || (window.Exception == "") != (table.Exception == ""):
		return fmt.Sprintf("success %v (%s %s), want %v (%s)", window.Success, window.Exception, window.Error, table.Success, table.Exception)
	case window.Map != table.Map || window.Elements != table.Elements || window.Missing != table.Missing || window.Unexpected != table.Unexpected:
		return "the counts differ"
	case !alike(window.Observed, table.Observed):
		return "the observed values differ"
	}
	return ""
}

func alike(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y), 1e-3))
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !alike(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			if !alike(x[k], y[k]) {
				return false
			}
		}
		return true
	}
	return compareValues(a, b) == 0 && (a == nil) == (b == nil)
}

// TestWindowsAgainstTables: as long as all values are known one by one, a window that
// was counted in parts says what a table says.
func TestWindowsAgainstTables(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 80
	}
	judged, failures := 0, 0
	for seed := range testseed.Each(t, rounds) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		rec := randomRecord(rnd)
		var rules []string
		for range 1 + rnd.IntN(6) {
			// Of three values two are often one standard deviation away to the last bit, which tells them apart or does not.
			rules = append(rules, strings.Replace(randomWhole(rnd), `"threshold":1`, `"threshold":1.01`, 1))
		}
		suite := suiteOf(t, rules...)
		want, err := judgeTable(suite, rec, max(rec.NumRows(), 1), TableOptions{})
		if err != nil {
			t.Fatalf("%q: %v", rules, err)
		}
		s := windowSuite(t, rec, rules...)
		tally := inParts(t, rnd, s, rec, 1+rnd.IntN(5))
		got := s.Judge(tally)
		if got.Rows != want.Rows || len(got.Results) != len(want.Results) {
			t.Fatalf("%d rows, want %d", got.Rows, want.Rows)
		}
		for i := range got.Results {
			if why := sameResult(&got.Results[i], &want.Results[i]); why != "" {
				t.Fatalf("%s: %s\n got %+v\nwant %+v\n%v", rules[i], why, got.Results[i], want.Results[i], rec)
			}
			if got.Results[i].Error != "" {
				t.Errorf("%s: an error of %s with %d rows", rules[i], got.Results[i].Error, got.Rows)
			}
			judged++
			if !got.Results[i].Success {
				failures++
			}
		}
		if other := inParts(t, rnd, s, rec, 1+rnd.IntN(5)); !floats(rules) && !bytes.Equal(mustMarshal(t, tally), mustMarshal(t, other)) {
			t.Fatalf("%q: other bytes in another order", rules)
		}
	}
	t.Logf("%d results alike, %d of them failures", judged, failures)
}

// floats tells whether rules keep what depends on how rows were cut: sums of floats, and the ends of stretches.
func floats(rules []string) bool {
	all := strings.Join(rules, " ")
	for _, s := range []string{"_mean_", "_stdev_", "_sum_", "z_scores", "outliers", "creasing"} {
		if strings.Contains(all, s) {
			return true
		}
	}
	return false
}
