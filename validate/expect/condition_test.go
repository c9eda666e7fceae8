package expect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// TestConditions: which rows a condition selects, on a stream as well; null rows included.
func TestConditions(t *testing.T) {
	rec := record("i f s b t k",
		col(feature.Int64, 1, 5, nil, 10, -3), col(feature.Float64, 0.5, nan, nil, 10.0, -3.0), col(feature.String, "a", nil, "b", "it's", "x y"),
		col(feature.Bool, true, false, nil, true, false), col(feature.Timestamp, 0, 1_000_000, nil, -1, 5), col(feature.Int64, 1, 2, 3, 4, 5))
	for cond, want := range map[string][]int{
		`i > 1`:                                {1, 3},
		`i >= 1 and i < 10`:                    {0, 1},
		`1 <= i < 10`:                          {0, 1},
		`i != 5`:                               {0, 2, 3, 4}, // to differ from a missing value is true
		`not i > 1`:                            {0, 2, 4},
		`~(i > 1) & k != 1`:                    {2, 4},
		`i == 5 | i == -3`:                     {1, 4},
		`i == 5 or i == 10 and b`:              {1, 3},
		`(i == 5 or i == 10) and b == True`:    {3},
		`i in [5, 10, 77]`:                     {1, 3},
		`i not in [5, 10]`:                     {0, 2, 4},
		`i == [5, 10]`:                         {1, 3},
		`i in (5,)`:                            {1},
		`f == 0.5`:                             {0},
		`f <= 10`:                              {0, 3, 4},
		`f.isnull()`:                           {1, 2},
		`f.notnull() and f > 0`:                {0, 3},
		`i == f`:                               {3, 4},
		`i != f`:                               {0, 1, 2},
		`k > i`:                                {4},
		`s == "a"`:                             {0},
		`s == 'it\'s'`:                         {3},
		`s >= "b"`:                             {2, 3, 4},
		`s in ["a", "x y"]`:                    {0, 4},
		`b`:                                    {0, 3},
		`not b`:                                {1, 2, 4},
		`t > "1970-01-01"`:                     {1, 4},
		`t <= '1970-01-01T00:00:01Z'`:          {0, 1, 3, 4},
		"`i` == 1":                             {0},
		`col("i") == 1 and col("s").notNull()`: {0},
		`1e0 == i`:                             {0},
		`i < 1_0 and i > -.5`:                  {0, 1},
		`i == 0x`:                              nil,
		`i = 1`:                                nil,
		`i == 1 k == 2`:                        nil,
		`i ==`:                                 nil,
		`i + 1 == 2`:                           nil,
		`s.str.len() > 1`:                      nil,
		`s.isnull`:                             nil,
		`1 == 1`:                               nil,
		`i == "never closed`:                   nil,
		`t > "yesterday"`:                      nil,
		`i == None`:                            nil,
		strings.Repeat("not ", 300) + `b`:      nil,
		strings.Repeat("(", 300) + `b`:         nil,
		strings.Repeat("b and ", 20_000) + `b`: nil,
	} {
		checkCondition(t, rec, mustJSON(cond), want)
	}
	for cond, want := range map[string][]int{
		`{"type":"comparison","column":{"name":"i"},"operator":">","parameter":1}`:                                                                    {1, 3},
		`{"type":"comparison","column":{"name":"s"},"operator":"IN","parameter":["a","b"]}`:                                                           {0, 2},
		`{"type":"comparison","column":{"name":"i"},"operator":"NOT_IN","parameter":[1]}`:                                                             {1, 2, 3, 4},
		`{"type":"nullity","column":{"name":"i"},"is_null":true}`:                                                                                     {2},
		`{"type":"pass_through","pass_through_filter":"i == 1"}`:                                                                                      {0},
		`{"type":"or","conditions":[{"type":"nullity","column":{"name":"i"},"is_null":true},{"type":"pass_through","pass_through_filter":"k == 1"}]}`: {0, 2},
		`{"type":"and","conditions":[]}`:                                                                                                              nil,
		`{"type":"xor","conditions":[]}`:                                                                                                              nil,
		`7`:                                                                                                                                           nil,
	} {
		checkCondition(t, rec, cond, want)
	}
}

// checkCondition has the rows under a condition fail a rule that no row passes.
func checkCondition(t *testing.T, rec arrow.RecordBatch, cond string, want []int) {
	t.Helper()
	suite := suiteOf(t, `column_values_to_not_be_in_set {"column":"k","value_set":[1,2,3,4,5],"row_condition":`+cond+`}`)
	s, faults := Compile(suite, rec.Schema())
	if (len(faults) > 0) != (want == nil) {
		t.Errorf("%.200s: faults %v", cond, faults)
		return
	}
	if want == nil {
		if f := faults[0]; f.Field != "spec.expectations[0].kwargs.row_condition" {
			t.Errorf("%.200s: %v", cond, f)
		}
		return
	}
	var v validate.Verdict
	if err := s.CheckRecord(rec, &v); err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(v.Failures(0).Rows()); !slices.Equal(got, want) || v.Counts()[0].Evaluated != int64(len(want)) {
		t.Errorf("%s: rows %v of %d, want %v", cond, got, v.Counts()[0].Evaluated, want)
	}
}

// TestConditionAndTombstones: a row that is not judged meets no condition either, also
// one that asks for missing values.
func TestConditionAndTombstones(t *testing.T) {
	rec := record("x y", col(feature.Int64, nil, nil, 1), col(feature.Int64, 1, 2, 3))
	s := compiled(t, rec.Schema(), `column_values_to_be_null {"column":"y","row_condition":"x.isnull()"}`, `column_values_to_be_null {"column":"y"}`)
	var v validate.Verdict
	for range 2 {
		if err := s.check(rec, []bool{false, true, false}, &v); err != nil {
			t.Fatal(err)
		}
		if c := v.Counts(); c[0] != (validate.Count{Evaluated: 1, Failed: 1}) || c[1] != (validate.Count{Evaluated: 2, Failed: 2}) {
			t.Errorf("counts %+v", c)
		}
	}
}

// TestParameters: their values stand wherever kwargs name them.
func TestParameters(t *testing.T) {
	rec := record("x", col(feature.Int64, 1, 5, 9))
	suite := suiteOf(t, `column_values_to_be_in_set {"column":{"$PARAMETER":"col"},"value_set":[1,{"$PARAMETER":"five"}],"mostly":{"$PARAMETER":"share"}}`)
	values := map[string]json.RawMessage{"col": json.RawMessage(`"x"`), "five": json.RawMessage(`5`), "share": json.RawMessage(`0.6`)}
	s, faults := Compile(suite, rec.Schema(), WithParameters(values))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var v validate.Verdict
	if err := s.CheckRecord(rec, &v); err != nil || v.Counts()[0].Failed != 1 || !v.Counts()[0].Passed(s.Rules()[0].Mostly) {
		t.Errorf("%v %+v", err, v.Counts())
	}
	report, err := judgeTable(suite, rec, 2, TableOptions{}, WithParameters(values))
	if err != nil || !report.Success || report.Results[0].Unexpected != 1 || string(report.Results[0].Expectation.Kwargs["column"]) != `{"$PARAMETER":"col"}` {
		t.Errorf("%v %+v", err, report)
	}
}
