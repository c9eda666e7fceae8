package expect

// metric is something about all rows of a table, that one or more expectations ask.
type metric interface {
	// add takes the rows of b that are live; row is the number of its first one.
	add(b *batch, row int64) error
	// bytes is about how much memory it holds, spill gives it up.
	bytes() int64
	spill() error
	close() error
}

// metricSpec is a metric of a compiled suite. Expectations with the same key share it.
type metricSpec struct {
	key   string
	name  string // the same in every version of a suite
	kept  *keptAs
	under int  // as entry.under
	more  bool // some expectation wants what not all do: of groups the rows, of moments the variance
	begin func(o *TableOptions, more bool) metric
}

// answer makes a result of the metrics that an expectation asked for.
type answer func(r *Run, ms []metric, res *Result) error
