package expect

import "github.com/weir-ml/weir/validate"

// condition is a row_condition: the rows that a rule is about.
type condition struct {
	text  string // how it is written
	holds func(b *batch, out validate.Bitmap)
}

// condition reads row_condition and returns its place among the suite's plus one, 0 without one.
func (a *args) condition() int {
	if _, ok := a.get("row_condition"); ok {
		a.fault("row_condition", "unsupported: rules apply to all rows; leave row_condition out")
	}
	return 0
}
