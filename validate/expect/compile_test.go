package expect

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

var faultSchema = arrow.NewSchema([]arrow.Field{
	{Name: "temp", Type: feature.Float64.Arrow()}, {Name: "origin", Type: feature.String.Arrow()}, {Name: "at", Type: feature.Timestamp.Arrow()},
	{Name: "n", Type: feature.Int64.Arrow()}, {Name: "raw", Type: feature.Bytes.Arrow()}, {Name: "odd", Type: arrow.PrimitiveTypes.Uint16},
}, nil)

// TestFaults: what is wrong is named where it stands, with a way out.
func TestFaults(t *testing.T) {
	for expect, want := range map[string]string{
		`column_values_to_be_betwen {"column":"temp"}`:                                                  `.type: unknown expectation type "expect_column_values_to_be_betwen"; did you mean expect_column_values_to_be_between?`,
		`column_mean_to_be_between {"column":"temp","min_value":1}`:                                     `.type: unsupported on a stream: expect_column_mean_to_be_between is a window expectation`,
		`column_values_to_be_unique {"column":"temp"}`:                                                  `is a keyed expectation`,
		`column_to_exist {"column":"temp"}`:                                                             `is a schema expectation`,
		`column_values_to_not_be_null {}`:                                                               `.kwargs.column: is required`,
		`column_values_to_not_be_null {"column":"tmp"}`:                                                 `.kwargs.column: there is no column "tmp"; did you mean temp?`,
		`column_values_to_not_be_null {"column":"quite_different"}`:                                     `there are temp, origin, at`,
		`column_values_to_not_be_null {"column":"odd"}`:                                                 `column odd is uint16`,
		`column_values_to_not_be_null {"column":"temp","mostyl":1}`:                                     `.kwargs.mostyl: this expectation has no such kwarg; did you mean mostly?`,
		`column_values_to_not_be_null {"column":"temp","mostly":1.5}`:                                   `.kwargs.mostly: must be between 0 and 1 (got 1.5)`,
		`column_values_to_not_be_null {"column":"temp","mostly":"all"}`:                                 `.kwargs.mostly: must be a number`,
		`column_values_to_not_be_null {"column":"temp","row_condition":"x == 1"}`:                       `.kwargs.row_condition: there is no column "x"`,
		`column_values_to_be_between {"column":"temp"}`:                                                 `.kwargs: min_value, max_value or both are required`,
		`column_values_to_be_between {"column":"temp","min_value":5,"max_value":1}`:                     `must not be above max_value`,
		`column_values_to_be_between {"column":"temp","min_value":"5"}`:                                 `column temp is float64: write the limit as a number (got "5")`,
		`column_values_to_be_between {"column":"temp","min_value":{"$PARAMETER":"x"}}`:                  `.kwargs.min_value: unsupported: $PARAMETER`,
		`column_values_to_be_between {"column":"temp","min_value":1,"strict_min":"yes"}`:                `.kwargs.strict_min: must be true or false`,
		`column_values_to_be_between {"column":"temp","min_value":1,"parse_strings_as_datetimes":true}`: `no such kwarg`,
		`column_values_to_be_between {"column":"origin","min_value":1}`:                                 `write the limit as text`,
		`column_values_to_be_between {"column":"at","min_value":1}`:                                     `write the limit like 2026-01-31T12:00:00Z`,
		`column_values_to_be_between {"column":"at","min_value":"yesterday"}`:                           `must be a time like`,
		`column_values_to_be_between {"column":"raw","min_value":"a"}`:                                  `have no order`,
		`column_values_to_be_in_set {"column":"temp"}`:                                                  `.kwargs.value_set: is required`,
		`column_values_to_be_in_set {"column":"temp","value_set":7}`:                                    `.kwargs.value_set: must be a list of values (got 7)`,
		`column_values_to_be_in_set {"column":"temp","value_set":[1,[2]]}`:                              `.kwargs.value_set[1]: must be a number, text`,
		`column_values_to_be_in_set {"column":"at","value_set":["never"]}`:                              `.kwargs.value_set[0]: must be a time like`,
		`column_values_to_match_regex {"column":"origin","regex":"(?=a)"}`:                              `look-ahead and look-behind are not supported`,
		`column_values_to_match_regex {"column":"origin","regex":"(a)\\1"}`:                             `back-references are not supported`,
		`column_values_to_match_regex {"column":"origin","regex":"["}`:                                  `is not closed`,
		`column_values_to_match_regex {"column":"at","regex":"a"}`:                                      `has no text to match`,
		`column_values_to_match_regex_list {"column":"origin","regex_list":["a","("]}`:                  `.kwargs.regex_list[1]`,
		`column_values_to_match_regex_list {"column":"origin","regex_list":[]}`:                         `at least one pattern`,
		`column_values_to_match_regex_list {"column":"origin","regex_list":["a"],"match_on":"some"}`:    `must be one of any, all`,
		`column_values_to_not_match_regex_list {"column":"origin","regex_list":["a"],"match_on":"any"}`: `no such kwarg`,
		`column_values_to_match_like_pattern {"column":"origin","like_pattern":"a\\"}`:                  `must not end in its escape`,
		`column_values_to_match_like_pattern {"column":"origin","like_pattern":"a","escape":"%"}`:       `not a wildcard`,
		`column_values_to_be_of_type {"column":"origin","type_":"strin"}`:                               `unknown type name "strin"; did you mean string?`,
		`column_value_lengths_to_equal {"column":"origin"}`:                                             `.kwargs.value: is required`,
		`column_value_lengths_to_be_between {"column":"at","min_value":1}`:                              `has no length`,
		`column_values_to_match_strftime_format {"column":"origin","strftime_format":"%Q"}`:             `%Q is not a directive`,
		`column_values_to_match_strftime_format {"column":"at","strftime_format":"%Y"}`:                 `a timestamp has been read already`,
		`column_values_to_match_json_schema {"column":"origin","json_schema":{"type":7}}`:               `.kwargs.json_schema`,
		`column_values_to_be_json_parseable {"column":"n"}`:                                             `the rule needs text`,
		`column_pair_values_to_be_equal {"column_A":"n"}`:                                               `.kwargs.column_B: is required`,
		`column_pair_values_to_be_equal {"column_A":"n","column_B":"temp","ignore_row_if":"never"}`:     `must be one of both_values_are_missing`,
		`column_pair_values_a_to_be_greater_than_b {"column_A":"n","column_B":"origin"}`:                `have no order`,
		`column_pair_values_to_be_in_set {"column_A":"n","column_B":"temp","value_pairs_set":[[1]]}`:    `.kwargs.value_pairs_set[0]: must be a pair`,
		`multicolumn_sum_to_equal {"column_list":["n","origin"],"sum_total":1}`:                         `column origin is string, which cannot be summed`,
		`multicolumn_sum_to_equal {"column_list":["n"]}`:                                                `.kwargs.sum_total: is required`,
		`select_column_values_to_be_unique_within_record {"column_list":["n"]}`:                         `at least 2 columns`,
		`select_column_values_to_be_unique_within_record {"column_list":["n",null]}`:                    `.kwargs.column_list[1]: must be text`,
	} {
		s, faults := Compile(suiteOf(t, expect), faultSchema)
		if s != nil || len(faults) == 0 {
			t.Errorf("%s: accepted", expect)
			continue
		}
		if len(faults) != 1 || !strings.Contains(faults[0].Error(), want) || !strings.HasPrefix(faults[0].Field, "spec.expectations[0]") {
			t.Errorf("%s:\n got %v\nwant %s", expect, faults, want)
		}
	}
}

// TestAllFaultsAtOnce: one of an expectation does not hide those of another.
func TestAllFaultsAtOnce(t *testing.T) {
	_, faults := Compile(suiteOf(t,
		`column_values_to_be_between {"column":"temp","min_value":"a","max_value":"b"}`,
		`column_values_to_not_be_null {"column":"n"}`,
		`nonsense {}`,
		`column_values_to_match_regex {"column":"nowhere","regex":7,"mostly":2,"row_condition":"x"}`), faultSchema)
	var at []string
	for _, f := range faults {
		at = append(at, f.Field)
	}
	want := []string{"spec.expectations[0].kwargs.min_value", "spec.expectations[0].kwargs.max_value", "spec.expectations[2].type",
		"spec.expectations[3].kwargs.row_condition", "spec.expectations[3].kwargs.mostly", "spec.expectations[3].kwargs.column", "spec.expectations[3].kwargs.regex"}
	if !slices.Equal(at, want) {
		t.Errorf("got %v", at)
	}
}

func TestWarnings(t *testing.T) {
	s := compiled(t, faultSchema,
		`column_values_to_be_of_type {"column":"n","type_":"str"}`,
		`column_values_to_be_in_set {"column":"n","value_set":[1,"2",2.5]}`,
		`column_pair_values_to_be_equal {"column_A":"n","column_B":"origin"}`)
	var at []string
	for _, w := range s.Warnings() {
		at = append(at, w.Field)
	}
	want := []string{"spec.expectations[0].kwargs.type_", "spec.expectations[1].kwargs.value_set[1]", "spec.expectations[1].kwargs.value_set[2]", "spec.expectations[2].kwargs.column_B"}
	if !slices.Equal(at, want) {
		t.Errorf("got %v", s.Warnings())
	}
}

// FuzzCompile: no kwargs make Compile panic, and what it accepts runs.
func FuzzCompile(f *testing.F) {
	types := slices.Concat(slices.Sorted(maps.Keys(rules)), slices.Sorted(maps.Keys(refused)))
	for i := range types {
		f.Add(uint8(i), `{"column":"temp","min_value":1,"max_value":1e999,"value_set":[1,null,"a"],"type_":"int","type_list":["str"],"mostly":0.5}`)
		f.Add(uint8(i), `{"column":"origin","regex":"^a$","regex_list":["b"],"like_pattern":"%a_","like_pattern_list":["x"],"value":3,"strftime_format":"%Y","json_schema":{}}`)
		f.Add(uint8(i), `{"column_A":"n","column_B":"temp","column_list":["n","temp","n"],"sum_total":-1,"value_pairs_set":[[1,2]],"ignore_row_if":null}`)
	}
	rec := record("temp origin at n raw",
		col(feature.Float64, 1.5, nil, nan), col(feature.String, "a", "", nil), col(feature.Timestamp, 0, nil, 5), col(feature.Int64, 1, 2, nil), col(feature.Bytes, "{}", nil, "\xff"))
	f.Fuzz(func(t *testing.T, which uint8, kwargs string) {
		e := feature.Expectation{Type: types[int(which)%len(types)]}
		if json.Unmarshal([]byte(kwargs), &e.Kwargs) != nil {
			e.Kwargs = map[string]json.RawMessage{"column": json.RawMessage(kwargs)}
		}
		s, faults := Compile(&feature.Suite{Expectations: []feature.Expectation{e}}, rec.Schema())
		if (s == nil) == (len(faults) == 0) {
			t.Fatalf("suite %v and faults %v", s, faults)
		}
		if s == nil {
			return
		}
		var v validate.Verdict
		if err := s.CheckRecord(rec, &v); err != nil {
			t.Fatal(err)
		}
		if c := v.Counts()[0]; c.Failed > c.Evaluated || c.Evaluated > 3 {
			t.Fatalf("counts %+v", c)
		}
	})
}

// TestRenamedColumn: a suite that names a column of before is told what it is called now.
func TestRenamedColumn(t *testing.T) {
	view := &feature.View{Features: []feature.Field{{Name: "temp", RenamedFrom: "tmp", Path: "tmp"}, {Name: "origin"}}}
	suite := func(column string) *feature.Suite {
		return &feature.Suite{Expectations: []feature.Expectation{{Type: "expect_column_values_to_not_be_null", Kwargs: map[string]json.RawMessage{"column": json.RawMessage(`"` + column + `"`)}}}}
	}
	_, faults := Compile(suite("tmp"), faultSchema, WithRenamed(view.NowCalled))
	require.Len(t, faults, 1)
	require.Equal(t, `there is no column "tmp": it is called temp now`, faults[0].Msg)
	_, faults = Compile(suite("tepm"), faultSchema, WithRenamed(view.NowCalled))
	require.Len(t, faults, 1)
	require.Contains(t, faults[0].Msg, "did you mean temp?")
	_, faults = Compile(suite("temp"), faultSchema, WithRenamed(view.NowCalled))
	require.Empty(t, faults)
}
