package expect

import "github.com/weir-ml/weir/registry/feature"

// tableRules are the expectations that need a whole table, or rows in their order.
var tableRules = map[string]func(*args) whole{
	"expect_column_min_to_be_between":                           extremeRule(false),
	"expect_column_max_to_be_between":                           extremeRule(true),
	"expect_column_mean_to_be_between":                          meanRule,
	"expect_column_median_to_be_between":                        medianRule,
	"expect_column_stdev_to_be_between":                         stdevRule,
	"expect_column_sum_to_be_between":                           sumOfRule,
	"expect_column_quantile_values_to_be_between":               quantileRule,
	"expect_column_unique_value_count_to_be_between":            uniqueCountRule,
	"expect_column_proportion_of_unique_values_to_be_between":   uniqueShareRule,
	"expect_column_proportion_of_non_null_values_to_be_between": presentShareRule,
	"expect_column_distinct_values_to_be_in_set":                distinctInSetRule,
	"expect_column_distinct_values_to_contain_set":              distinctContainRule,
	"expect_column_distinct_values_to_equal_set":                distinctEqualRule,
	"expect_column_most_common_value_to_be_in_set":              mostCommonRule,
	"expect_column_kl_divergence_to_be_less_than":               divergenceRule,
	"expect_column_values_to_be_unique":                         uniqueRule,
	"expect_compound_columns_to_be_unique":                      compoundRule,
	"expect_column_values_to_be_increasing":                     orderRule(1),
	"expect_column_values_to_be_decreasing":                     orderRule(-1),
	"expect_column_value_z_scores_to_be_less_than":              zScoreRule,
	"expect_column_values_to_not_be_outliers":                   outlierRule,
	"expect_table_row_count_to_be_between":                      rowCountRule,
	"expect_table_row_count_to_equal":                           rowCountEqualRule,
	"expect_table_column_count_to_be_between":                   columnCountRule,
	"expect_table_column_count_to_equal":                        columnCountEqualRule,
	"expect_table_columns_to_match_ordered_list":                columnsInOrderRule,
	"expect_table_columns_to_match_set":                         columnSetRule,
	"expect_column_to_exist":                                    columnExistsRule,
	"expect_column_type_to_be":                                  columnTypeRule,
}

// rowsWanted are those among them that have mostly, because their answer is about rows.
var rowsWanted = map[string]bool{
	"expect_column_values_to_be_unique":            true,
	"expect_compound_columns_to_be_unique":         true,
	"expect_column_values_to_be_increasing":        true,
	"expect_column_values_to_be_decreasing":        true,
	"expect_column_value_z_scores_to_be_less_than": true,
	"expect_column_values_to_not_be_outliers":      true,
}

// whole is what the maker of such a rule returns.
type whole struct {
	metrics []metricSpec
	answer  answer
	rows    func() loop // a rule that is judged row by row, in order
	window  *windowed   // how windows answer it, nil where they do as tables do
}

// entry begins the entry of an expectation; its kwargs have been read.
func (c *compiler) entry(a *args, e *feature.Expectation, under int, mostly float64) (*entry, bool) {
	if a.bad && a.unfit == "" || len(a.wrong) > 0 {
		return nil, false
	}
	c.table.entries = append(c.table.entries, entry{written: *e, under: under, mostly: mostly, columns: a.named, exception: a.unfit})
	out := &c.table.entries[len(c.table.entries)-1]
	if _, perRow := rules[e.Type]; a.unfit != "" && !a.lacks && (perRow || rowsWanted[e.Type]) {
		out.exception, out.unfit = "", a.unfit
		out.rows = a.asked
	}
	for _, x := range a.absent {
		out.absent = append(out.absent, absent{c.metric(a.rowsAnd(x.column)), x.why})
	}
	for _, col := range a.named {
		out.names = append(out.names, a.name(col))
	}
	out.kwargs = a.text()
	return out, a.unfit == ""
}

// asked makes the loop of an expectation that the columns' types do not suit: it only
// counts rows. A file of text does not tell the type of a column without values, and
// one that no row asks holds.
func (a *args) asked() loop {
	cols := a.named
	every := string(a.raw["ignore_row_if"])
	judged := func(b *batch, w int) uint64 {
		var some, all uint64 = 0, ^uint64(0)
		for _, c := range cols {
			some |= b.cols[c].present[w]
			all &= b.cols[c].present[w]
		}
		switch every {
		case `"either_value_is_missing"`, `"any_value_is_missing"`:
			return all
		case `"neither"`, `"never"`:
			return b.live[w]
		}
		return some
	}
	return onRows(judged, func(*batch, int) bool { return true })
}

// tableRows adds a rule that looks at one row at a time.
func (c *compiler) tableRows(a *args, e *feature.Expectation, b built, under int, mostly float64) {
	out, ok := c.entry(a, e, under, mostly)
	if !ok {
		return
	}
	out.rows = func() loop { return b.run }
	out.setShape(a)
	switch e.Type {
	case "expect_column_values_to_be_null", "expect_column_values_to_not_be_null":
		out.nulls = true
	case "expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list":
		typ := a.typ(a.cols[0])
		if out.observed = numpyName(typ); !typ.Variable() && c.window == nil {
			out.ofType(a.typeFits)
		}
	}
}

// ofType makes the answer about the type of a column that is not of objects to numpy: it
// is the same for however many rows, and for none.
func (e *entry) ofType(fits bool) {
	observed := e.observed
	e.rows, e.whole = nil, func(_ *Run, _ []metric, res *Result) error {
		res.Observed, res.Success = observed, fits
		return nil
	}
}

// numpyName is what Great Expectations shows as the type of a column.
func numpyName(t feature.Type) string {
	switch t {
	case feature.Bool:
		return "bool_"
	case feature.Timestamp:
		return "datetime64"
	case feature.Int32, feature.Int64, feature.Float32, feature.Float64:
		return t.String()
	}
	return "object_"
}

// setShape decides how an unexpected row is shown.
func (e *entry) setShape(a *args) {
	switch {
	case a.raw["column_list"] != nil:
		e.shape = rowOfValues
	case a.raw["column_A"] != nil:
		e.shape = pairOfValues
	}
}

// compileWhole compiles an expectation of tableRules.
func (c *compiler) compileWhole(a *args, e *feature.Expectation, build func(*args) whole) {
	a.parameters()
	under := a.condition()
	mostly := 1.0
	if rowsWanted[e.Type] {
		mostly = a.mostly()
	}
	a.share = mostly
	w := build(a)
	a.finish()
	out, ok := c.entry(a, e, under, mostly)
	if !ok {
		return
	}
	out.setShape(a)
	metrics := w.metrics
	if c.window != nil && w.window != nil {
		metrics, out.near = w.window.metrics, w.window.answer
	} else {
		out.whole, out.rows = w.answer, w.rows
	}
	for _, m := range metrics {
		m.under = under
		out.metrics = append(out.metrics, c.metric(m))
	}
}

// metric returns the place of a metric, adding it when no other expectation has asked for it.
func (c *compiler) metric(m metricSpec) int {
	for i, have := range c.table.metrics {
		if have.key == m.key && have.under == m.under {
			c.table.metrics[i].more = have.more || m.more
			return i
		}
	}
	c.table.metrics = append(c.table.metrics, m)
	return len(c.table.metrics) - 1
}
