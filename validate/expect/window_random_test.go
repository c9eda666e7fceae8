package expect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/testseed"
)

// wideRecord is randomRecord with more rows and more different values than are known one by one.
func wideRecord(rnd *rand.Rand) arrow.RecordBatch {
	rows := 2000 + rnd.IntN(4000)
	var names []string
	var cols []arrow.Array
	for _, c := range propertySchema {
		spread := math.Exp(rnd.Float64() * 9)
		shift := rnd.Float64()*40 - 5
		vals := make([]any, rows)
		for i := range vals {
			f := rnd.NormFloat64()*spread + shift
			switch c.name {
			case "b":
				vals[i] = f > 0
			case "i", "j", "k", "t":
				vals[i] = int(f)
			case "s", "u":
				vals[i] = fmt.Sprintf("%c%d", 'a'+rune(rnd.IntN(3)), int(f))
				if rnd.IntN(4) == 0 {
					vals[i] = pickOf(rnd, someTexts)
				}
			default:
				vals[i] = f
				if rnd.IntN(500) == 0 {
					vals[i] = pickOf(rnd, []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0})
				}
			}
			if rnd.IntN(20) == 0 {
				vals[i] = nil
			}
		}
		names, cols = append(names, c.name), append(cols, col(c.typ, vals...))
	}
	return record(strings.Join(names, " "), cols...)
}

// TestWideWindowsAgainstTables: an answer without an error is the table's, and one with an error does not fail where the
// table passes, but as often as its confidence allows.
func TestWideWindowsAgainstTables(t *testing.T) {
	rounds := 8
	if raceDetector || testing.Short() {
		rounds = 4
	}
	exact, near, wrong, lenient := 0, 0, 0, 0
	for seed := range testseed.Each(t, rounds) {
		rnd := rand.New(rand.NewPCG(seed, 6))
		rec := wideRecord(rnd)
		var rules []string
		for range 12 {
			rules = append(rules, strings.Replace(randomWhole(rnd), `"threshold":1`, `"threshold":1.01`, 1))
		}
		want, err := judgeTable(suiteOf(t, rules...), rec, rec.NumRows(), TableOptions{})
		if err != nil {
			t.Fatalf("%q: %v", rules, err)
		}
		s := windowSuite(t, rec, rules...)
		got := s.Judge(inParts(t, rnd, s, rec, 1+rnd.IntN(6)))
		for i := range got.Results {
			w, x := &got.Results[i], &want.Results[i]
			if w.Error == "" {
				exact++
				if why := sameResult(w, x); why != "" {
					t.Errorf("%s: %s\n got %+v\nwant %+v", rules[i], why, w, x)
				}
				continue
			}
			near++
			switch {
			case !w.Success && x.Success:
				wrong++
				t.Logf("%s: fails, observed %v of %v, %d of %d: %s", rules[i], w.Observed, x.Observed, w.Unexpected, x.Unexpected, w.Error)
			case w.Success && !x.Success:
				lenient++
			}
			if w.Elements != x.Elements || w.Missing != x.Missing {
				t.Errorf("%s: %d rows, %d missing, want %d and %d", rules[i], w.Elements, w.Missing, x.Elements, x.Missing)
			}
		}
	}
	t.Logf("%d exact, %d with an error: %d of them fail where tables pass, %d pass where tables fail", exact, near, wrong, lenient)
	if near < 2*rounds || wrong > 1+near/50 {
		t.Errorf("%d of %d fail where tables pass", wrong, near)
	}
}
