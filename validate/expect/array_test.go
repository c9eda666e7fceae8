package expect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
)

func arrayView() *feature.View {
	return &feature.View{Meta: feature.Meta{Name: "v"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64}}, Features: []feature.Field{
		{Name: "tags", Type: feature.Array(feature.String)}, {Name: "prices", Type: feature.Array(feature.Float64)}, {Name: "raw", Type: feature.Bytes}, {Name: "n", Type: feature.Int64},
	}}
}

// arrayBatch has tags [], null, ["a", "b"] and a tombstone, with prices [1.5] beside them.
func arrayBatch(v *feature.View) *feature.Batch {
	tags := feature.AppendElementText(feature.AppendElementText(nil, "a"), "b")
	price := feature.AppendElement(nil, &feature.Vector{Type: feature.Float64, Float64: []float64{1.5}}, 0)
	b := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	for i, t := range [][]byte{{}, nil, tags, nil} {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.BinaryBuilder).Append(t)
		if t == nil {
			b.Field(1).(*array.BinaryBuilder).SetNull(i)
		}
		b.Field(2).(*array.BinaryBuilder).Append(price)
		b.Field(3).(*array.BinaryBuilder).Append([]byte("x"))
		b.Field(4).AppendNull()
	}
	return &feature.Batch{View: v, Rows: b.NewRecordBatch(), Offsets: make([]int64, 4), EventTime: make([]int64, 4), KnownTime: make([]int64, 4), Tombstone: []bool{3: true}}
}

func suiteOf(typ, kwargs string) *feature.Suite {
	e := feature.Expectation{Type: "expect_" + typ}
	if err := json.Unmarshal([]byte(kwargs), &e.Kwargs); err != nil {
		panic(err)
	}
	return &feature.Suite{Meta: feature.Meta{Name: "s"}, Expectations: []feature.Expectation{e}}
}

func TestArrays(t *testing.T) {
	v := arrayView()
	b := arrayBatch(v)
	for _, c := range []struct {
		typ, kwargs string
		evaluated   int64
		failed      []int
		value       string
	}{
		{"column_values_to_not_be_null", `{"column":"tags"}`, 3, []int{1}, "null"},
		{"column_values_to_be_null", `{"column":"tags"}`, 3, []int{0, 2}, "[]"},
		{"column_values_to_be_null", `{"column":"prices"}`, 3, []int{0, 1, 2}, "[1.5]"},
		{"column_values_to_be_of_type", `{"column":"tags","type_":"list"}`, 2, nil, ""},
		{"column_values_to_be_of_type", `{"column":"tags","type_":"ArrayType"}`, 2, nil, ""},
		{"column_values_to_be_of_type", `{"column":"tags","type_":"array<string>"}`, 2, nil, ""},
		{"column_values_to_be_of_type", `{"column":"tags","type_":"VARCHAR[]"}`, 2, nil, ""},
		{"column_values_to_be_of_type", `{"column":"prices","type_":"list<double>"}`, 3, nil, ""},
		{"column_values_to_be_of_type", `{"column":"prices","type_":"array<string>"}`, 3, []int{0, 1, 2}, "[1.5]"},
		{"column_values_to_be_of_type", `{"column":"tags","type_":"string"}`, 2, []int{0, 2}, "[]"},
		{"column_values_to_be_of_type", `{"column":"tags","type_":"bytes"}`, 2, []int{0, 2}, "[]"},
		{"column_values_to_be_in_type_list", `{"column":"tags","type_list":["bytes","array"]}`, 2, nil, ""},
		{"column_values_to_be_of_type", `{"column":"raw","type_":"array"}`, 3, []int{0, 1, 2}, "x"},
		{"column_values_to_be_of_type", `{"column":"raw","type_":"bytes"}`, 3, nil, ""},
	} {
		s, faults := expect.CompileView(suiteOf(c.typ, c.kwargs), v)
		if len(faults) > 0 {
			t.Errorf("%s %s: %v", c.typ, c.kwargs, faults)
			continue
		}
		var verdict validate.Verdict
		if err := s.Check(b, &verdict); err != nil {
			t.Fatal(err)
		}
		var failed []int
		for _, r := range verdict.Rejected() {
			failed = append(failed, r.Index)
		}
		if n := verdict.Counts()[0].Evaluated; n != c.evaluated || fmt.Sprint(failed) != fmt.Sprint(c.failed) {
			t.Errorf("%s %s: %d evaluated, rows %v fail", c.typ, c.kwargs, n, failed)
		} else if len(failed) > 0 {
			if got := verdict.Rejected()[0].Reasons[0].Value; got != c.value {
				t.Errorf("%s %s: the value is told as %s", c.typ, c.kwargs, got)
			}
		}
	}
}

// Whatever would look at the packed bytes is refused when the suite is compiled.
func TestArraysRefused(t *testing.T) {
	v := arrayView()
	for _, c := range []string{
		`column_values_to_be_between {"column":"prices","min_value":0}`,
		`column_values_to_be_in_set {"column":"tags","value_set":["a"]}`,
		`column_values_to_not_be_in_set {"column":"tags","value_set":["a"]}`,
		`column_values_to_match_regex {"column":"tags","regex":"a"}`,
		`column_values_to_not_match_regex {"column":"tags","regex":"a"}`,
		`column_values_to_match_regex_list {"column":"tags","regex_list":["a"]}`,
		`column_values_to_not_match_regex_list {"column":"tags","regex_list":["a"]}`,
		`column_values_to_match_like_pattern {"column":"tags","like_pattern":"a"}`,
		`column_values_to_not_match_like_pattern {"column":"tags","like_pattern":"a"}`,
		`column_values_to_match_like_pattern_list {"column":"tags","like_pattern_list":["a"]}`,
		`column_value_lengths_to_be_between {"column":"tags","min_value":1}`,
		`column_value_lengths_to_equal {"column":"tags","value":1}`,
		`column_values_to_match_strftime_format {"column":"tags","strftime_format":"%Y"}`,
		`column_values_to_be_dateutil_parseable {"column":"tags"}`,
		`column_values_to_be_json_parseable {"column":"tags"}`,
		`column_values_to_match_json_schema {"column":"tags","json_schema":{}}`,
		`column_pair_values_to_be_equal {"column_A":"tags","column_B":"raw"}`,
		`column_pair_values_a_to_be_greater_than_b {"column_A":"n","column_B":"tags"}`,
		`column_pair_values_to_be_in_set {"column_A":"tags","column_B":"raw","value_pairs_set":[["a","b"]]}`,
		`multicolumn_sum_to_equal {"column_list":["n","prices"],"sum_total":1}`,
		`multicolumn_values_to_be_equal {"column_list":["raw","tags"]}`,
		`select_column_values_to_be_unique_within_record {"column_list":["raw","tags"]}`,
		`column_values_to_not_be_null {"column":"n","row_condition":"tags==\"a\"","condition_parser":"pandas"}`,
		`column_values_to_not_be_null {"column":"n","row_condition":"col(\"tags\").notNull()","condition_parser":"great_expectations"}`,
	} {
		typ, kwargs, _ := strings.Cut(c, " ")
		_, faults := expect.CompileView(suiteOf(typ, kwargs), v)
		if len(faults) != 1 || !strings.Contains(faults[0].Msg, "this is no rule for arrays") {
			t.Errorf("%s: %v", c, faults)
		}
		plain := arrayView()
		for i := range plain.Features {
			plain.Features[i].Type = feature.String
		}
		if _, faults := expect.CompileView(suiteOf(typ, kwargs), plain); len(faults) > 0 && strings.Contains(faults[0].Msg, "arrays") {
			t.Errorf("%s of texts: %v", c, faults)
		}
	}
}
