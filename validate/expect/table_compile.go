package expect

import "github.com/weir-ml/weir/registry/feature"

// tableRules are the expectations that only a whole table can be judged by.
var tableRules = map[string]func(*args) whole{}

// whole is what the maker of such a rule returns.
type whole struct {
	metrics []metricSpec
	answer  answer
	rows    func() loop // a rule that is judged row by row, in order
}

// entry begins the entry of an expectation; its kwargs have been read.
func (c *compiler) entry(a *args, e *feature.Expectation, under int, mostly float64) (*entry, bool) {
	if a.bad && a.unfit == "" || len(a.wrong) > 0 {
		return nil, false
	}
	c.table.entries = append(c.table.entries, entry{written: *e, under: under, mostly: mostly, columns: a.named, exception: a.unfit})
	out := &c.table.entries[len(c.table.entries)-1]
	for _, col := range a.named {
		out.names = append(out.names, a.name(col))
	}
	return out, a.unfit == ""
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
	}
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
	w := build(a)
	a.finish()
	mostly := 1.0
	if w.rows != nil {
		mostly = a.mostly()
	}
	out, ok := c.entry(a, e, under, mostly)
	if !ok {
		return
	}
	out.whole, out.rows = w.answer, w.rows
	out.setShape(a)
	for _, m := range w.metrics {
		m.under = under
		out.metrics = append(out.metrics, c.metric(m))
	}
}

// metric returns the place of a metric, adding it when no other expectation has asked for it.
func (c *compiler) metric(m metricSpec) int {
	for i, have := range c.table.metrics {
		if have.key == m.key && have.under == m.under {
			return i
		}
	}
	c.table.metrics = append(c.table.metrics, m)
	return len(c.table.metrics) - 1
}
