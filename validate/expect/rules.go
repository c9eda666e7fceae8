package expect

// rules are the expectations that look at one row at a time, by their type.
// Each reads its kwargs and makes its loop.
var rules = map[string]func(*args) built{
	"expect_column_values_to_be_null":                        nullRule(true),
	"expect_column_values_to_not_be_null":                    nullRule(false),
	"expect_column_values_to_be_between":                     betweenRule,
	"expect_column_values_to_be_in_set":                      setRule(true),
	"expect_column_values_to_not_be_in_set":                  setRule(false),
	"expect_column_values_to_match_regex":                    regexRule(true),
	"expect_column_values_to_not_match_regex":                regexRule(false),
	"expect_column_values_to_match_regex_list":               regexListRule(true),
	"expect_column_values_to_not_match_regex_list":           regexListRule(false),
	"expect_column_values_to_match_like_pattern":             likeRule(true),
	"expect_column_values_to_not_match_like_pattern":         likeRule(false),
	"expect_column_values_to_match_like_pattern_list":        likeListRule(true),
	"expect_column_values_to_not_match_like_pattern_list":    likeListRule(false),
	"expect_column_values_to_be_of_type":                     typeRule,
	"expect_column_values_to_be_in_type_list":                typeListRule,
	"expect_column_value_lengths_to_be_between":              lengthRule,
	"expect_column_value_lengths_to_equal":                   lengthEqualRule,
	"expect_column_values_to_match_strftime_format":          strftimeRule,
	"expect_column_values_to_be_dateutil_parseable":          dateutilRule,
	"expect_column_values_to_be_json_parseable":              jsonRule,
	"expect_column_values_to_match_json_schema":              jsonSchemaRule,
	"expect_column_pair_values_to_be_equal":                  pairEqualRule,
	"expect_column_pair_values_a_to_be_greater_than_b":       pairGreaterRule,
	"expect_column_pair_values_A_to_be_greater_than_B":       pairGreaterRule, // the name before 1.0
	"expect_column_pair_values_to_be_in_set":                 pairSetRule,
	"expect_multicolumn_sum_to_equal":                        sumRule,
	"expect_multicolumn_values_to_be_equal":                  sameRule,
	"expect_select_column_values_to_be_unique_within_record": distinctRule,
	"expect_multicolumn_values_to_be_unique":                 distinctRule, // its older name
}

// refusal says why an expectation cannot be decided row by row.
type refusal struct{ kind, why string }

var (
	window = refusal{"window", "it is one answer about many rows and says nothing about a single one"}
	keyed  = refusal{"keyed", "it needs memory of earlier rows"}
	schema = refusal{"schema", "it asks about the columns, which the view's definition already fixes"}
	query  = refusal{"query", "it is SQL over a whole table"}
	unmade = refusal{"statistical", "and no version of Great Expectations since 1.0 runs it"}
)

// refused are the other expectations of Great Expectations 1.x.
var refused = map[string]refusal{
	"expect_column_distinct_values_to_be_in_set":                                  window,
	"expect_column_distinct_values_to_contain_set":                                window,
	"expect_column_distinct_values_to_equal_set":                                  window,
	"expect_column_kl_divergence_to_be_less_than":                                 window,
	"expect_column_max_to_be_between":                                             window,
	"expect_column_mean_to_be_between":                                            window,
	"expect_column_median_to_be_between":                                          window,
	"expect_column_min_to_be_between":                                             window,
	"expect_column_most_common_value_to_be_in_set":                                window,
	"expect_column_proportion_of_non_null_values_to_be_between":                   window,
	"expect_column_proportion_of_unique_values_to_be_between":                     window,
	"expect_column_quantile_values_to_be_between":                                 window,
	"expect_column_stdev_to_be_between":                                           window,
	"expect_column_sum_to_be_between":                                             window,
	"expect_column_unique_value_count_to_be_between":                              window,
	"expect_column_bootstrapped_ks_test_p_value_to_be_greater_than":               unmade,
	"expect_column_chisquare_test_p_value_to_be_greater_than":                     unmade,
	"expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than": unmade,
	"expect_column_pair_cramers_phi_value_to_be_less_than":                        unmade,
	"expect_column_values_to_not_be_outliers":                                     window,
	"expect_table_row_count_to_be_between":                                        window,
	"expect_table_row_count_to_equal":                                             window,
	"expect_column_value_z_scores_to_be_less_than":                                keyed,
	"expect_column_values_to_be_unique":                                           keyed,
	"expect_compound_columns_to_be_unique":                                        keyed,
	"expect_column_values_to_be_increasing":                                       keyed,
	"expect_column_values_to_be_decreasing":                                       keyed,
	"expect_column_to_exist":                                                      schema,
	"expect_column_type_to_be":                                                    schema,
	"expect_table_column_count_to_be_between":                                     schema,
	"expect_table_column_count_to_equal":                                          schema,
	"expect_table_columns_to_match_ordered_list":                                  schema,
	"expect_table_columns_to_match_set":                                           schema,
	"expect_table_row_count_to_equal_other_table":                                 query,
	"expect_query_results_to_match_comparison":                                    query,
	"unexpected_rows_expectation":                                                 query,
}
