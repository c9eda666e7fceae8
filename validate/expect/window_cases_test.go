package expect

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestGreatExpectationsInWindows runs the recorded cases as windows that were counted
// in parts: the verdict, how many rows are unexpected and the observed value.
func TestGreatExpectationsInWindows(t *testing.T) {
	f, err := os.Open(shared(t, "conformance", "gx_cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rnd := rand.New(rand.NewPCG(testseed.For(t), 1))
	total, taken, values := 0, 0, 0
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<22)
	for in.Scan() {
		var c gxCase
		if err := json.Unmarshal(PythonJSON(in.Bytes()), &c); err != nil {
			t.Fatal(err)
		}
		total++
		observed, refused, err := c.runWindow(t, rnd)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.ID, err)
		case refused != nil:
			t.Errorf("%s: refused: %v", c.ID, refused)
		default:
			taken++
		}
		if observed {
			values++
		}
	}
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
	t.Logf("%d cases: windows take %d, of %d the observed value is compared too", total, taken, values)
	if taken < 265 || total < 265 {
		t.Errorf("only %d of %d cases", taken, total)
	}
}

func (c *gxCase) runWindow(t *testing.T, rnd *rand.Rand) (observed bool, refused, err error) {
	rec := c.record()
	defer rec.Release()
	s, faults := CompileWindow(&feature.Suite{Expectations: []feature.Expectation{{Type: c.Expectation, Kwargs: c.Kwargs}}}, windowView(t, rec))
	if len(faults) > 0 {
		return false, feature.JoinFaults(faults), nil
	}
	report := s.Judge(inParts(t, rnd, s, rec, 3))
	res := report.Results[0]
	if res.Success != c.Success || report.Success != c.Success {
		return false, nil, fmt.Errorf("got %+v, want success %v", res, c.Success)
	}
	if c.mixed {
		return false, nil, nil
	}
	if want := c.Expect.UnexpectedList; want != nil && len(want) != int(res.Unexpected) {
		return false, nil, fmt.Errorf("got %d unexpected values, want %s", res.Unexpected, want)
	}
	if c.Expect.ObservedValue == nil || res.Error != "" {
		return false, nil, nil
	}
	tolerance := 0.0
	if c.Tolerance != nil {
		tolerance = *c.Tolerance
	}
	if !sameValue(*c.Expect.ObservedValue, res.Observed, tolerance) {
		return false, nil, fmt.Errorf("observed %v, want %s", res.Observed, *c.Expect.ObservedValue)
	}
	return true, nil, nil
}
