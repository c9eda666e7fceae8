package expect

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// col makes a column of values of one Go type; nil is null.
func col(typ feature.Type, vals ...any) arrow.Array {
	bld := array.NewBuilder(memory.DefaultAllocator, typ.Arrow())
	for _, v := range vals {
		if v == nil {
			bld.AppendNull()
			continue
		}
		switch b := bld.(type) {
		case *array.BooleanBuilder:
			b.Append(v.(bool))
		case *array.Int32Builder:
			b.Append(int32(v.(int)))
		case *array.Int64Builder:
			b.Append(int64(v.(int)))
		case *array.Float32Builder:
			b.Append(float32(v.(float64)))
		case *array.Float64Builder:
			b.Append(v.(float64))
		case *array.StringBuilder:
			b.Append(v.(string))
		case *array.BinaryBuilder:
			b.Append([]byte(v.(string)))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(v.(int)))
		}
	}
	return bld.NewArray()
}

func record(names string, cols ...arrow.Array) arrow.RecordBatch {
	var fields []arrow.Field
	for i, n := range strings.Fields(names) {
		fields = append(fields, arrow.Field{Name: n, Type: cols[i].DataType(), Nullable: true})
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(cols[0].Len()))
}

func suiteOf(t testing.TB, expectations ...string) *feature.Suite {
	t.Helper()
	s := &feature.Suite{Meta: feature.Meta{Name: "s"}}
	for _, e := range expectations {
		typ, kwargs, _ := strings.Cut(e, " ")
		x := feature.Expectation{Type: "expect_" + typ}
		if err := json.Unmarshal([]byte(kwargs), &x.Kwargs); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		s.Expectations = append(s.Expectations, x)
	}
	return s
}

func compiled(t testing.TB, schema *arrow.Schema, expectations ...string) *Suite {
	t.Helper()
	s, faults := Compile(suiteOf(t, expectations...), schema)
	if len(faults) > 0 {
		t.Fatal(feature.JoinFaults(faults))
	}
	return s
}

var (
	nan, inf = math.NaN(), math.Inf(1)
	negZero  = math.Copysign(0, -1)
)

// TestRules: for each rule the rows that break it and how many it judged.
func TestRules(t *testing.T) {
	ints := record("x", col(feature.Int64, 1, 5, nil, 10, -3))
	big := record("x", col(feature.Int64, 1<<53, 1<<53+1, math.MaxInt64, math.MinInt64))
	i32 := record("x", col(feature.Int32, math.MinInt32, -1, 0, math.MaxInt32, nil))
	f64 := record("x", col(feature.Float64, 0.0, negZero, nan, inf, -inf, nil, 0.1, 5e-324))
	f32 := record("x", col(feature.Float32, 0.1, 0.2, nan, nil, 3.4028234e38, inf))
	text := record("x", col(feature.String, "", "abc", "äöü", nil, "日本語", "a\nb", "😀", "ABC"))
	bools := record("x", col(feature.Bool, true, false, nil))
	times := record("x", col(feature.Timestamp, 0, 1_000_000, nil, -1))
	raw := record("x", col(feature.Bytes, "", "äöü", nil, "{}"))
	pair := record("a b", col(feature.Int64, 1, 2, nil, nil, 5), col(feature.Int64, 1, 3, 3, nil, nil))
	mixed := record("a b", col(feature.Int64, 1<<53+1, 1, 2, -1), col(feature.Float64, float64(1<<53), 1.5, 2.0, -inf))
	three := record("a b c", col(feature.Int32, 1, 1, nil, nil, 2), col(feature.Float64, 2.0, 1.0, nil, nan, 0.5), col(feature.Int64, 3, 2, nil, 1, 1))
	wide := record("a b", col(feature.Int64, math.MaxInt64, math.MinInt64, 1), col(feature.Int64, math.MaxInt64, math.MinInt64, -1))
	dates := record("x", col(feature.String, "2026-01-31", "2026-02-30", "", nil, "Jan 5 2020", "20200101"))
	docs := record("x", col(feature.String, `{"a":1}`, `{"a":1`, `NaN`, `[1,2,]`, nil, ``, `{"a":"x"}`, ` 1 `, `-Infinity`, `01`, `"\u00e9"`, "\"a\nb\""))

	for _, c := range []struct {
		rec       arrow.RecordBatch
		expect    string
		fails     []int
		evaluated int
	}{
		{ints, `column_values_to_not_be_null {"column":"x"}`, []int{2}, 5},
		{f64, `column_values_to_not_be_null {"column":"x"}`, []int{2, 5}, 8},
		{ints, `column_values_to_be_null {"column":"x"}`, []int{0, 1, 3, 4}, 5},
		{f64, `column_values_to_be_null {"column":"x"}`, []int{0, 1, 3, 4, 6, 7}, 8},

		{ints, `column_values_to_be_between {"column":"x","min_value":1,"max_value":10}`, []int{4}, 4},
		{ints, `column_values_to_be_between {"column":"x","min_value":1,"max_value":10,"strict_min":true,"strict_max":true}`, []int{0, 3, 4}, 4},
		{ints, `column_values_to_be_between {"column":"x","min_value":0.5,"max_value":9.99}`, []int{3, 4}, 4},
		{ints, `column_values_to_be_between {"column":"x","min_value":null,"max_value":-3.0,"strict_max":true}`, []int{0, 1, 3, 4}, 4},
		{ints, `column_values_to_be_between {"column":"x","max_value":99999999999999999999999}`, nil, 4},
		{ints, `column_values_to_be_between {"column":"x","min_value":99999999999999999999999}`, []int{0, 1, 3, 4}, 4},
		{ints, `column_values_to_be_between {"column":"x","min_value":-1e400,"max_value":1e1500000}`, nil, 4},
		{ints, `column_values_to_be_between {"column":"x","min_value":1e400}`, []int{0, 1, 3, 4}, 4},
		{big, `column_values_to_be_between {"column":"x","max_value":9007199254740992}`, []int{1, 2}, 4},
		{big, `column_values_to_be_between {"column":"x","max_value":9007199254740992.0}`, []int{1, 2}, 4},
		{big, `column_values_to_be_between {"column":"x","min_value":9007199254740993}`, []int{0, 3}, 4},
		{big, `column_values_to_be_between {"column":"x","min_value":9223372036854775807,"strict_min":true}`, []int{0, 1, 2, 3}, 4},
		{big, `column_values_to_be_between {"column":"x","max_value":9223372036854775808.0,"strict_max":true}`, nil, 4},
		{big, `column_values_to_be_between {"column":"x","max_value":-9223372036854775808}`, []int{0, 1, 2}, 4},
		{i32, `column_values_to_be_between {"column":"x","min_value":-2147483648,"strict_min":true,"max_value":2147483647,"strict_max":true}`, []int{0, 3}, 4},
		{i32, `column_values_to_be_between {"column":"x","min_value":2147483648}`, []int{0, 1, 2, 3}, 4},
		{f64, `column_values_to_be_between {"column":"x","min_value":0}`, []int{4}, 6},
		{f64, `column_values_to_be_between {"column":"x","min_value":0,"strict_min":true}`, []int{0, 1, 4}, 6},
		{f64, `column_values_to_be_between {"column":"x","min_value":-0.0,"max_value":0.1}`, []int{3, 4}, 6},
		{f64, `column_values_to_be_between {"column":"x","max_value":1e400,"min_value":-1e400}`, nil, 6},
		{f64, `column_values_to_be_between {"column":"x","max_value":1e400,"strict_max":true}`, []int{3}, 6},
		{f32, `column_values_to_be_between {"column":"x","max_value":0.1}`, []int{1, 4, 5}, 4},
		{f32, `column_values_to_be_between {"column":"x","max_value":0.1,"strict_max":true}`, []int{0, 1, 4, 5}, 4},
		{f32, `column_values_to_be_between {"column":"x","max_value":1e39}`, []int{5}, 4},
		{f32, `column_values_to_be_between {"column":"x","min_value":1e39}`, []int{0, 1, 4}, 4},
		{text, `column_values_to_be_between {"column":"x","min_value":"abc","max_value":"äzz"}`, []int{0, 2, 4, 5, 6, 7}, 7},
		{text, `column_values_to_be_between {"column":"x","min_value":"","strict_min":true,"max_value":"abc","strict_max":true}`, []int{0, 1, 2, 4, 6}, 7},
		{bools, `column_values_to_be_between {"column":"x","min_value":0.5}`, []int{1}, 2},
		{times, `column_values_to_be_between {"column":"x","min_value":"1970-01-01","max_value":"1970-01-01T00:00:01Z"}`, []int{3}, 3},
		{times, `column_values_to_be_between {"column":"x","max_value":"1970-01-01T01:00:00+01:00","strict_max":true}`, []int{0, 1}, 3},

		{ints, `column_values_to_be_in_set {"column":"x","value_set":[1,5.0,"10",-3]}`, []int{3}, 4},
		{ints, `column_values_to_be_in_set {"column":"x","value_set":[]}`, []int{0, 1, 3, 4}, 4},
		{ints, `column_values_to_be_in_set {"column":"x","value_set":null}`, nil, 4},
		{ints, `column_values_to_be_in_set {"column":"x","value_set":[true,null,1.5]}`, []int{1, 3, 4}, 4},
		{ints, `column_values_to_be_in_set {"column":"x","value_set":[1,2,3,4,6,7,8,9,10,11,12]}`, []int{1, 4}, 4},
		{big, `column_values_to_be_in_set {"column":"x","value_set":[9007199254740992.0,9223372036854775807]}`, []int{1, 3}, 4},
		{f64, `column_values_to_be_in_set {"column":"x","value_set":[0,0.1,1e400]}`, []int{4, 7}, 6},
		{f32, `column_values_to_be_in_set {"column":"x","value_set":[0.1,0.2]}`, []int{4, 5}, 4},
		{bools, `column_values_to_be_in_set {"column":"x","value_set":[1]}`, []int{1}, 2},
		{text, `column_values_to_be_in_set {"column":"x","value_set":["","abc","日本語",1]}`, []int{2, 5, 6, 7}, 7},
		{times, `column_values_to_be_in_set {"column":"x","value_set":["1970-01-01","1970-01-01T00:00:01"]}`, []int{3}, 3},
		{text, `column_values_to_not_be_in_set {"column":"x","value_set":["","ABC"]}`, []int{0, 7}, 7},
		{f64, `column_values_to_not_be_in_set {"column":"x","value_set":[0]}`, []int{0, 1}, 6},
		{ints, `column_values_to_not_be_in_set {"column":"x","value_set":[]}`, nil, 4},

		{text, `column_values_to_match_regex {"column":"x","regex":"^[a-z]+$"}`, []int{0, 2, 4, 5, 6, 7}, 7},
		{text, `column_values_to_match_regex {"column":"x","regex":""}`, nil, 7},
		{text, `column_values_to_match_regex {"column":"x","regex":"^\\w{3}$"}`, []int{0, 5, 6}, 7},
		{text, `column_values_to_not_match_regex {"column":"x","regex":"b"}`, []int{1, 5}, 7},
		{ints, `column_values_to_match_regex {"column":"x","regex":"^\\d$"}`, []int{3, 4}, 4},
		{f64, `column_values_to_match_regex {"column":"x","regex":"^-?0\\.0$|inf|e-"}`, []int{6}, 6},
		{bools, `column_values_to_match_regex {"column":"x","regex":"True"}`, []int{1}, 2},
		{text, `column_values_to_match_regex_list {"column":"x","regex_list":["^a","C$"]}`, []int{0, 2, 4, 6}, 7},
		{text, `column_values_to_match_regex_list {"column":"x","regex_list":["^a","c"],"match_on":"all"}`, []int{0, 2, 4, 5, 6, 7}, 7},
		{text, `column_values_to_not_match_regex_list {"column":"x","regex_list":["^a","C$"]}`, []int{1, 5, 7}, 7},
		{text, `column_values_to_match_like_pattern {"column":"x","like_pattern":"a%"}`, []int{0, 2, 4, 6, 7}, 7},
		{text, `column_values_to_match_like_pattern {"column":"x","like_pattern":"___"}`, []int{0, 6}, 7},
		{text, `column_values_to_not_match_like_pattern {"column":"x","like_pattern":"%b%"}`, []int{1, 5}, 7},
		{text, `column_values_to_match_like_pattern_list {"column":"x","like_pattern_list":["a%","%C"]}`, []int{0, 2, 4, 6}, 7},
		{text, `column_values_to_match_like_pattern_list {"column":"x","like_pattern_list":["a%","%c"],"match_on":"all"}`, []int{0, 2, 4, 5, 6, 7}, 7},
		{text, `column_values_to_not_match_like_pattern_list {"column":"x","like_pattern_list":["a%","%C"]}`, []int{1, 5, 7}, 7},

		{ints, `column_values_to_be_of_type {"column":"x","type_":"int"}`, nil, 4},
		{ints, `column_values_to_be_of_type {"column":"x","type_":"BIGINT"}`, nil, 4},
		{i32, `column_values_to_be_of_type {"column":"x","type_":"int64"}`, []int{0, 1, 2, 3}, 4},
		{text, `column_values_to_be_in_type_list {"column":"x","type_list":["int","VARCHAR(20)"]}`, nil, 7},
		{times, `column_values_to_be_in_type_list {"column":"x","type_list":["datetime64[ns]"]}`, nil, 3},
		{f32, `column_values_to_be_in_type_list {"column":"x","type_list":["DOUBLE"]}`, []int{0, 1, 4, 5}, 4},
		{text, `column_values_to_be_in_type_list {"column":"x","type_list":null}`, nil, 7},

		{text, `column_value_lengths_to_be_between {"column":"x","min_value":1,"max_value":2}`, []int{0, 1, 2, 4, 5, 7}, 7},
		{text, `column_value_lengths_to_be_between {"column":"x","min_value":0,"strict_min":true}`, []int{0}, 7},
		{text, `column_value_lengths_to_equal {"column":"x","value":3}`, []int{0, 6}, 7},
		{text, `column_value_lengths_to_equal {"column":"x","value":2.5}`, []int{0, 1, 2, 4, 5, 6, 7}, 7},
		{raw, `column_value_lengths_to_equal {"column":"x","value":6}`, []int{0, 3}, 3},
		{ints, `column_value_lengths_to_equal {"column":"x","value":2}`, []int{0, 1}, 4},

		{dates, `column_values_to_match_strftime_format {"column":"x","strftime_format":"%Y-%m-%d"}`, []int{1, 2, 4, 5}, 5},
		{dates, `column_values_to_be_dateutil_parseable {"column":"x"}`, []int{1, 2}, 5},
		{docs, `column_values_to_be_json_parseable {"column":"x"}`, []int{1, 3, 5, 9, 11}, 11},
		{raw, `column_values_to_be_json_parseable {"column":"x"}`, []int{0, 1}, 3},
		{docs, `column_values_to_match_json_schema {"column":"x","json_schema":{"type":"object","properties":{"a":{"type":"integer"}}}}`, []int{1, 2, 3, 5, 6, 7, 8, 9, 10, 11}, 11},

		{pair, `column_pair_values_to_be_equal {"column_A":"a","column_B":"b"}`, []int{1, 2, 4}, 4},
		{pair, `column_pair_values_to_be_equal {"column_A":"a","column_B":"b","ignore_row_if":"either_value_is_missing"}`, []int{1}, 2},
		{pair, `column_pair_values_to_be_equal {"column_A":"a","column_B":"b","ignore_row_if":"neither"}`, []int{1, 2, 3, 4}, 5},
		{mixed, `column_pair_values_to_be_equal {"column_A":"a","column_B":"b"}`, []int{0, 1, 3}, 4},
		{pair, `column_pair_values_a_to_be_greater_than_b {"column_A":"b","column_B":"a"}`, []int{0, 2, 4}, 4},
		{pair, `column_pair_values_a_to_be_greater_than_b {"column_A":"b","column_B":"a","or_equal":true,"ignore_row_if":"either_value_is_missing"}`, nil, 2},
		{mixed, `column_pair_values_A_to_be_greater_than_B {"column_A":"a","column_B":"b"}`, []int{1, 2}, 4},
		{pair, `column_pair_values_to_be_in_set {"column_A":"a","column_B":"b","value_pairs_set":[[1,1.0],[null,3]]}`, []int{1, 4}, 4},
		{pair, `column_pair_values_to_be_in_set {"column_A":"a","column_B":"b","value_pairs_set":null}`, nil, 4},

		{three, `multicolumn_sum_to_equal {"column_list":["a","b"],"sum_total":3}`, []int{1, 4}, 3},
		{three, `multicolumn_sum_to_equal {"column_list":["a","b","c"],"sum_total":3.5,"ignore_row_if":"any_value_is_missing"}`, []int{0, 1}, 3},
		{three, `multicolumn_sum_to_equal {"column_list":["a","b","c"],"sum_total":6,"ignore_row_if":"never"}`, []int{1, 2, 3, 4}, 5},
		{wide, `multicolumn_sum_to_equal {"column_list":["a","b"],"sum_total":18446744073709551614}`, []int{1, 2}, 3},
		{wide, `multicolumn_sum_to_equal {"column_list":["a","b"],"sum_total":-18446744073709551616}`, []int{0, 2}, 3},
		{wide, `multicolumn_sum_to_equal {"column_list":["a","b"],"sum_total":0.5}`, []int{0, 1, 2}, 3},
		{three, `select_column_values_to_be_unique_within_record {"column_list":["a","b","c"]}`, []int{1, 3}, 4},
		{three, `select_column_values_to_be_unique_within_record {"column_list":["a","b","c"],"ignore_row_if":"never"}`, []int{1, 2, 3}, 5},
		{three, `multicolumn_values_to_be_equal {"column_list":["a","b"],"ignore_row_if":"never"}`, []int{0, 4}, 5},
	} {
		s := compiled(t, c.rec.Schema(), c.expect)
		var v validate.Verdict
		if err := s.CheckRecord(c.rec, &v); err != nil {
			t.Errorf("%s: %v", c.expect, err)
			continue
		}
		if got := slices.Collect(v.Failures(0).Rows()); !slices.Equal(got, c.fails) {
			t.Errorf("%s: rows %v fail, want %v", c.expect, got, c.fails)
		}
		if got := v.Counts()[0]; got.Evaluated != int64(c.evaluated) || got.Failed != int64(len(c.fails)) {
			t.Errorf("%s: counts %+v, want %d judged", c.expect, got, c.evaluated)
		}
		if len(v.Rejected()) != len(c.fails) {
			t.Errorf("%s: %d rejected", c.expect, len(v.Rejected()))
		}
		for _, r := range v.Rejected() {
			if e := r.Reasons[0].Expected; e == "" || r.Reasons[0].Path == "" {
				t.Errorf("%s: reason %+v says too little", c.expect, r.Reasons[0])
			}
		}
	}
}

// TestEveryFailedRule: a rejected row names all it broke, with their severities;
// a row that broke only rules that do not reject stays.
func TestEveryFailedRule(t *testing.T) {
	rec := record("x y", col(feature.Int64, -1, 500, 7, 5), col(feature.String, "bad", nil, "ok", "hm"))
	suite := suiteOf(t,
		`column_values_to_be_between {"column":"x","min_value":0}`,
		`column_values_to_not_be_null {"column":"y"}`,
		`column_values_to_be_between {"column":"x","max_value":100}`,
		`column_values_to_match_regex {"column":"y","regex":"^ok$"}`,
		`column_values_to_be_in_set {"column":"x","value_set":[7],"mostly":0.5}`)
	suite.Expectations[3].Severity = feature.Warning
	s, faults := Compile(suite, rec.Schema())
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if w := s.Warnings(); len(w) != 1 || w[0].Field != "spec.expectations[4].kwargs.mostly" {
		t.Errorf("warnings %v", w)
	}
	var v validate.Verdict
	if err := s.CheckRecord(rec, &v); err != nil {
		t.Fatal(err)
	}
	rejected := v.Rejected()
	if len(rejected) != 2 || rejected[0].Index != 0 || rejected[1].Index != 1 {
		t.Fatalf("rejected %+v", rejected)
	}
	want := []feature.Reason{
		{Rule: "expect_column_values_to_be_between", Path: "x", Value: "-1", Expected: "at least 0", Severity: feature.Critical},
		{Rule: "expect_column_values_to_match_regex", Path: "y", Value: "bad", Expected: "match of ^ok$", Severity: feature.Warning},
		{Rule: "expect_column_values_to_be_in_set", Path: "x", Value: "-1", Expected: "one of 7", Severity: feature.Critical},
	}
	if !slices.Equal(rejected[0].Reasons, want) {
		t.Errorf("row 0: %+v", rejected[0].Reasons)
	}
	if r := rejected[1].Reasons; len(r) != 3 || r[0].Value != "null" || r[1].Value != "500" {
		t.Errorf("row 1: %+v", r)
	}
	if v.FailedBy(feature.Warning) != 2 || v.FailedBy(feature.Critical) != 6 {
		t.Errorf("counts %+v", v.Counts())
	}
	// The verdict is used again for a batch without failures.
	fine := record("x y", col(feature.Int64, 7), col(feature.String, "ok"))
	if err := s.CheckRecord(fine, &v); err != nil || len(v.Rejected()) != 0 || v.FailedBy(feature.Critical) != 0 {
		t.Errorf("second batch: %v %+v", err, v.Rejected())
	}
}

// TestTombstonesAreNotJudged: their features are null by definition.
func TestTombstonesAreNotJudged(t *testing.T) {
	rec := record("k x", col(feature.String, "a", "b", "c"), col(feature.Float64, nil, nil, 1.0))
	s := compiled(t, rec.Schema(), `column_values_to_not_be_null {"column":"x"}`, `column_pair_values_to_be_equal {"column_A":"k","column_B":"k","ignore_row_if":"neither"}`)
	var v validate.Verdict
	b := &feature.Batch{Rows: rec, Offsets: []int64{1, 2, 3}, Tombstone: []bool{true, false, false}}
	if err := s.Check(b, &v); err != nil {
		t.Fatal(err)
	}
	if r := v.Rejected(); len(r) != 1 || r[0].Index != 1 {
		t.Errorf("rejected %+v", r)
	}
	if c := v.Counts(); c[0].Evaluated != 2 || c[1].Evaluated != 2 {
		t.Errorf("counts %+v", c)
	}
}

func TestBatchThatDoesNotFit(t *testing.T) {
	s := compiled(t, record("x", col(feature.Int64, 1)).Schema(), `column_values_to_not_be_null {"column":"x"}`)
	var v validate.Verdict
	err := s.CheckRecord(record("x", col(feature.String, "1")), &v)
	if feature.KindOf(err) != feature.Invalid {
		t.Errorf("got %v", err)
	}
	if err := s.CheckRecord(record("x", col(feature.Int64)), &v); err != nil || v.Rows() != 0 {
		t.Errorf("empty batch: %v", err)
	}
}
