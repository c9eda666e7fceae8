package expect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// TestGreatExpectationsCases runs every recorded case as the judging of a whole
// table: the verdict, the unexpected rows and values, and the observed value.
func TestGreatExpectationsCases(t *testing.T) {
	f, err := os.Open(shared(t, "conformance", "gx_cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ran, values, mixed := 0, 0, 0
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<22)
	for in.Scan() {
		var c gxCase
		if err := json.Unmarshal(PythonJSON(in.Bytes()), &c); err != nil {
			t.Fatal(err)
		}
		ran++
		observed, err := c.runTable()
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		if observed {
			values++
		}
		if c.mixed {
			mixed++
			t.Logf("%s: verdict only, a column mixes text and numbers and is all text here", c.ID)
		}
	}
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
	t.Logf("%d cases, of %d the observed value too; of %d the rows cannot be compared", ran, values, mixed)
	if ran < 265 {
		t.Errorf("only %d cases", ran)
	}
}

// judgeTable compiles and runs a suite over records, each of them cut into pieces of rows rows.
func judgeTable(suite *feature.Suite, rec arrow.RecordBatch, rows int64, o TableOptions, opts ...Option) (*Report, error) {
	s, faults := CompileTable(suite, rec.Schema(), opts...)
	if len(faults) > 0 {
		return nil, feature.JoinFaults(faults)
	}
	r := s.Begin(o)
	defer func() { _ = r.Close() }()
	for from := int64(0); from < rec.NumRows(); from += rows {
		piece := rec.NewSlice(from, min(from+rows, rec.NumRows()))
		err := r.Add(piece)
		piece.Release()
		if err != nil {
			return nil, err
		}
	}
	return r.Finish()
}

// runTable reports whether an observed value was compared.
func (c *gxCase) runTable() (observed bool, err error) {
	rec := c.record()
	defer rec.Release()
	report, err := judgeTable(&feature.Suite{Expectations: []feature.Expectation{{Type: c.Expectation, Kwargs: c.Kwargs}}}, rec, 3, TableOptions{Complete: true})
	if err != nil {
		return false, err
	}
	res := report.Results[0]
	if res.Success != c.Success || report.Success != c.Success {
		return false, fmt.Errorf("got %+v, want success %v", res, c.Success)
	}
	if c.mixed {
		return false, nil
	}
	if want := c.Expect.UnexpectedList; want != nil {
		if len(want) != int(res.Unexpected) || len(want) != len(res.Examples) {
			return false, fmt.Errorf("got %d unexpected values, want %s", res.Unexpected, want)
		}
		for i, w := range want {
			if !sameValue(w, res.Examples[i].Value, 0) {
				return false, fmt.Errorf("unexpected value %d is %v, want %s", i, res.Examples[i].Value, w)
			}
		}
	}
	for i, row := range c.Expect.UnexpectedIndexList {
		if !sameValue(row["pk_index"], res.Examples[i].Row, 0) {
			return false, fmt.Errorf("unexpected row %d is %v, want %s", i, res.Examples[i].Row, row["pk_index"])
		}
	}
	if c.Expect.ObservedValue == nil {
		return false, nil
	}
	var tolerance float64
	if c.Tolerance != nil {
		tolerance = *c.Tolerance
	}
	if !sameValue(*c.Expect.ObservedValue, res.Observed, tolerance) {
		return false, fmt.Errorf("observed %v, want %s", res.Observed, *c.Expect.ObservedValue)
	}
	return true, nil
}

// sameValue compares a recorded JSON value with one of a result. Numbers may differ by
// the last digits.
func sameValue(want json.RawMessage, got any, tolerance float64) bool {
	want = bytes.TrimSpace(want)
	switch got := got.(type) {
	case nil:
		return string(want) == "null"
	case bool:
		return string(want) == fmt.Sprint(got)
	case string:
		var s string
		return json.Unmarshal(want, &s) == nil && s == got
	case time.Time:
		var s string
		return json.Unmarshal(want, &s) == nil && mustTime(s).Equal(got)
	case int64:
		return sameValue(want, float64(got), tolerance)
	case float64:
		var f float64
		return json.Unmarshal(want, &f) == nil && math.Abs(f-got) <= max(tolerance, 1e-12*math.Abs(f))
	case []any:
		var l []json.RawMessage
		if json.Unmarshal(want, &l) != nil || len(l) != len(got) {
			return false
		}
		for i := range l {
			if !sameValue(l[i], got[i], tolerance) {
				return false
			}
		}
		return true
	case map[string]any:
		var m map[string]json.RawMessage
		if json.Unmarshal(want, &m) != nil || len(m) != len(got) {
			return false
		}
		for k := range m {
			if v, ok := got[k]; !ok || !sameValue(m[k], v, tolerance) {
				return false
			}
		}
		return true
	}
	return false
}
