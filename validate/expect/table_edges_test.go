package expect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// edgeTable has columns of each kind, and one of text, one of times without a value.
func edgeTable(t *testing.T) arrow.RecordBatch {
	t.Helper()
	fields := []arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "none", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "never", Type: feature.Timestamp.Arrow(), Nullable: true}, {Name: "at", Type: feature.Timestamp.Arrow()},
	}
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, arrow.NewSchema(fields, nil), strings.NewReader(
		`[{"i":1,"b":true,"s":"a","at":1795132800000000},{"i":2,"b":false,"s":null,"at":1795132800000000},{"i":3,"b":true,"s":"c","at":1795132800000000}]`))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestTableEdges: what Great Expectations 1.24 says of the same, each found where it was said otherwise.
func TestTableEdges(t *testing.T) {
	rec := edgeTable(t)
	for _, c := range []struct {
		expectation, kwargs string
		success             bool
		exception           string
	}{
		// A column that is not there fails its expectation, whatever else is asked of it.
		{"expect_column_max_to_be_between", `{"column":"nope","min_value":1,"strict_min":true}`, false, "no column"},
		{"expect_column_distinct_values_to_be_in_set", `{"column":"nope","value_set":[1]}`, false, "no column"},
		{"expect_column_stdev_to_be_between", `{"column":"nope","min_value":1}`, false, "no column"},
		{"expect_column_values_to_be_in_type_list", `{"column":"nope","type_list":null}`, false, "no column"},
		// No value has to be of a type: files of text do not tell that of a column without any.
		{"expect_column_values_to_be_between", `{"column":"none","min_value":1}`, true, ""},
		{"expect_column_values_to_be_between", `{"column":"s","min_value":1}`, false, "write the limit as text"},
		{"expect_column_values_to_be_between", `{"column":"s","min_value":1,"row_condition":"i == 2","condition_parser":"pandas"}`, true, ""},
		{"expect_column_values_to_be_increasing", `{"column":"none"}`, true, ""},
		{"expect_column_values_to_be_increasing", `{"column":"s"}`, false, "only numbers and times"},
		{"expect_column_value_z_scores_to_be_less_than", `{"column":"none","threshold":1,"double_sided":true}`, true, ""},
		{"expect_column_values_to_not_be_outliers", `{"column":"none","method":"std"}`, true, ""},
		{"expect_column_values_to_not_be_outliers", `{"column":"none","method":"iqr"}`, true, ""},
		{"expect_column_pair_values_a_to_be_greater_than_b", `{"column_A":"i","column_B":"none","ignore_row_if":"either_value_is_missing"}`, true, ""},
		{"expect_column_pair_values_a_to_be_greater_than_b", `{"column_A":"i","column_B":"s"}`, false, "no order"},
		{"expect_multicolumn_sum_to_equal", `{"column_list":["i","none"],"sum_total":5,"ignore_row_if":"any_value_is_missing"}`, true, ""},
		{"expect_column_values_to_be_json_parseable", `{"column":"never"}`, true, ""},
		{"expect_column_value_lengths_to_equal", `{"column":"never","value":1}`, true, ""},
		{"expect_column_sum_to_be_between", `{"column":"none","min_value":0,"max_value":0}`, true, ""},
		{"expect_column_mean_to_be_between", `{"column":"none","min_value":0}`, false, ""},
		// Python's Infinity in a range, and null for false.
		{"expect_column_quantile_values_to_be_between", `{"column":"i","quantile_ranges":{"quantiles":[0.5],"value_ranges":[[-1e999999,1e999999]]}}`, true, ""},
		{"expect_column_quantile_values_to_be_between", `{"column":"b","quantile_ranges":{"quantiles":[0.5],"value_ranges":[[1,1]]}}`, true, ""},
		{"expect_column_quantile_values_to_be_between", `{"column":"b","quantile_ranges":{"quantiles":[0.5],"value_ranges":[[1,1]]},"allow_relative_error":"linear"}`, false, "no quantiles"},
		{"expect_table_columns_to_match_set", `{"column_set":["i","b"],"exact_match":null}`, true, ""},
		{"expect_table_columns_to_match_set", `{"column_set":["i","b"]}`, false, ""},
		// A condition on a column without values leaves no row.
		{"expect_column_values_to_be_in_set", `{"column":"i","value_set":[9],"row_condition":"none > 0","condition_parser":"pandas"}`, true, ""},
		{"expect_column_values_to_be_in_set", `{"column":"i","value_set":[9],"row_condition":"s > 0","condition_parser":"pandas"}`, false, "no order"},
		{"expect_column_min_to_be_between", `{"column":"i","min_value":1,"row_condition":"not (none > 0)","condition_parser":"pandas"}`, true, ""},
		// The type of a column does not depend on its rows.
		{"expect_column_values_to_be_of_type", `{"column":"i","type_":"str","mostly":0}`, false, ""},
		{"expect_column_values_to_be_of_type", `{"column":"i","type_":"str","row_condition":"i > 7","condition_parser":"pandas"}`, false, ""},
		{"expect_column_values_to_be_of_type", `{"column":"never","type_":"int64"}`, false, ""},
		{"expect_column_values_to_be_of_type", `{"column":"never","type_":"datetime64[ns]"}`, true, ""},
		{"expect_column_values_to_be_in_type_list", `{"column":"i","type_list":null}`, true, ""},
		// Kwargs that are wrong for this column or with one another fail where they are, and a set may have what no time equals.
		{"expect_column_kl_divergence_to_be_less_than", `{"column":"i","threshold":1,"partition_object":{"values":[1,2,3],"weights":[0.5,0.25,0.25]},"internal_weight_holdout":0.1}`, false, "internal_weight_holdout cannot be used with values"},
		{"expect_column_kl_divergence_to_be_less_than", `{"column":"i","threshold":1,"partition_object":{"bins":[0,2,4],"weights":[0.4,0.4],"tail_weights":[0.1,0.1]},"tail_weight_holdout":0.1}`, false, "tail_weight_holdout must be 0"},
		{"expect_column_kl_divergence_to_be_less_than", `{"column":"i","threshold":1,"partition_object":{"bins":[-1e999999,2,1e999999],"weights":[0.5,0.5]},"tail_weight_holdout":0.1}`, false, "tail_weight_holdout must be 0"},
		{"expect_column_kl_divergence_to_be_less_than", `{"column":"i","threshold":1,"partition_object":{"bins":[0,2,4],"weights":[0.5,0.5]},"bucketize_data":false}`, false, "bucketize_data must be true"},
		{"expect_column_values_to_not_be_in_set", `{"column":"at","value_set":["never",1]}`, true, ""},
		{"expect_column_values_to_be_in_set", `{"column":"at","value_set":["never","2026-11-20"]}`, true, ""},
		{"expect_column_distinct_values_to_contain_set", `{"column":"at","value_set":["never"]}`, false, ""},
		{"expect_column_pair_values_to_be_in_set", `{"column_A":"at","column_B":"i","value_pairs_set":[["never",1]]}`, false, ""},
		{"expect_column_values_to_be_between", `{"column":"at","min_value":"never"}`, false, "min_value must be a time like"},
		{"expect_column_max_to_be_between", `{"column":"at","max_value":"never"}`, false, "max_value must be a time like"},
		// One bin that is open at both ends.
		{"expect_column_kl_divergence_to_be_less_than", `{"column":"i","threshold":0.1,"partition_object":{"bins":[-1e999999,1e999999],"weights":[1]}}`, true, ""},
	} {
		suite := &feature.Suite{Expectations: []feature.Expectation{{Type: c.expectation}}}
		if err := json.Unmarshal([]byte(c.kwargs), &suite.Expectations[0].Kwargs); err != nil {
			t.Fatal(c.kwargs, err)
		}
		report, err := judgeTable(suite, rec, 2, TableOptions{})
		if err != nil {
			t.Errorf("%s %s: %v", c.expectation, c.kwargs, err)
			continue
		}
		if r := report.Results[0]; r.Success != c.success || !strings.Contains(r.Exception, c.exception) || (r.Exception == "") != (c.exception == "") {
			t.Errorf("%s %s: %s", c.expectation, c.kwargs, fmt.Sprint(r.Success, " ", r.Exception))
		}
	}
}
