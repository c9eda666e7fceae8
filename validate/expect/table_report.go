package expect

import "github.com/weir-ml/weir/registry/feature"

// Report is what a suite says about one table.
type Report struct {
	Success bool  // every result is
	Rows    int64 // rows judged
	Results []Result
}

// Result is what one expectation says, in the words of Great Expectations.
//
// Values are nil, bool, int64, float64, string, time.Time (UTC) or []byte; lists
// are []any, objects map[string]any.
type Result struct {
	Expectation feature.Expectation // as it is written in the suite
	Success     bool
	// Observed is the observed_value; nil for expectations judged row by row.
	Observed any
	Details  any // details, where there are any
	// More are further entries of Great Expectations' result, by their names:
	// unexpected_count, partial_unexpected_list, missing_count and
	// partial_missing_list of the expectations about distinct values.
	More map[string]any

	// Map tells an expectation judged row by row; what follows is about those.
	Map      bool
	Elements int64 // element_count: rows that meet row_condition
	// Missing is missing_count: the rows among them that were left out, because
	// they are null or by ignore_row_if; -1 for the rules about null itself.
	Missing    int64
	Unexpected int64 // unexpected_count
	// Examples are the first unexpected rows, in row order; all of them with
	// TableOptions.Complete. A window has different values; see WindowSuite.Judge.
	Examples []Example
	// Counts are the most frequent unexpected values, most frequent first
	// (partial_unexpected_counts). Values first met after maxCounted others are not among them.
	Counts []ValueCount

	// Error is the declared error of an answer that is not exact, like "rank error
	// <= 0.6 %", or what the answer is not about. Of tables it is empty.
	Error string
	// Exception is why the expectation could not be evaluated, which fails it.
	Exception string
}

// Example is an unexpected row.
type Example struct {
	// Row is from 0, in the order of Add. Of a window it is the offset in the Partition, -1
	// where that is not known.
	Row       int64
	Partition int32
	// Value is the row's value in the column; for a pair a []any of two; for rules
	// of several columns a map[string]any by their names.
	Value any
}

// ValueCount is a value and how often it was unexpected. Values of several
// columns are a []any.
type ValueCount struct {
	Value any
	Count int64
}
