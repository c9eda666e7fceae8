package expect

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// condition is a row_condition: the rows that a rule is about. Like pandas it knows
// two truths only: to compare with a missing value is false, to differ from one is true.
type condition struct {
	text   string // how it is written
	holds  test
	absent []absent
}

// absent is a column of text that a condition compares with a number: a file of text does
// not tell the type of one that has no value, and only then is it nothing that the rule
// cannot be asked.
type absent struct {
	column int // index in Suite.columns
	why    string
}

// test sets the rows for which something holds and clears the others, of the live rows at least.
type test func(b *batch, out validate.Bitmap)

// What a condition may be, for faults.
const conditionSyntax = `compare columns with values or columns (==, !=, <, <=, >, >=, in [...], not in [...]), ask .isnull() or .notnull(), join with and, or, not`

// The words of condition_parser; they differ only in how a column is named: x or col("x").
var conditionParsers = []string{"pandas", "great_expectations", "great_expectations__experimental__"}

// condition reads row_condition and returns its place among the suite's plus one, 0 without one.
func (a *args) condition() int {
	a.oneOf("condition_parser", conditionParsers...)
	raw, ok := a.get("row_condition")
	if !ok || a.bad {
		return 0
	}
	for i, have := range a.c.out.conds {
		if have.text == string(raw) {
			a.absent = have.absent
			return i + 1
		}
	}
	p := &conditionReader{a: a}
	var holds test
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte(`"`)) {
		var s string
		if !a.decode("row_condition", raw, &s, "text") {
			return 0
		}
		if s == "" {
			return 0 // as in Great Expectations: no condition
		}
		holds, err = p.text(s)
	} else {
		holds, err = p.object(raw, 0)
	}
	if err != nil && err != errUnfit {
		a.fault("row_condition", "%v: %s", err, conditionSyntax)
	}
	if a.bad {
		return 0
	}
	a.c.out.conds = append(a.c.out.conds, condition{string(raw), holds, a.absent})
	return len(a.c.out.conds)
}

// conditionReader makes tests of conditions, whichever way they are written.
type conditionReader struct {
	a *args
}

// operand is one side of a comparison: a column or a value.
type operand struct {
	column int // index in Suite.columns; -1 for a value
	value  json.RawMessage
}

// column finds a column that a condition names.
func (p *conditionReader) column(name string) (int, error) {
	have, named := p.a.cols, p.a.named
	i, ok := p.a.resolve("row_condition", name)
	p.a.cols, p.a.named = have, named // the rule is not about it
	if !ok {
		return 0, errUnfit
	}
	return i, nil
}

// errUnfit stands for a fault that has been reported.
var errUnfit = fmt.Errorf("the condition does not suit the columns")

// object reads a condition as Great Expectations writes one to JSON.
func (p *conditionReader) object(raw json.RawMessage, depth int) (test, error) {
	var c struct {
		Type       string `json:"type"`
		Column     struct{ Name string }
		Operator   string            `json:"operator"`
		Parameter  json.RawMessage   `json:"parameter"`
		IsNull     bool              `json:"is_null"`
		Conditions []json.RawMessage `json:"conditions"`
		Filter     string            `json:"pass_through_filter"`
	}
	if depth > maxConditionDepth {
		return nil, errTooDeep
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("it must be text or a condition object (got %s)", short(raw))
	}
	switch c.Type {
	case "pass_through":
		return p.text(c.Filter)
	case "and", "or":
		if len(c.Conditions) == 0 {
			return nil, fmt.Errorf("%q needs conditions", c.Type)
		}
		var out test
		for _, r := range c.Conditions {
			t, err := p.object(r, depth+1)
			if err != nil {
				return nil, err
			}
			switch {
			case out == nil:
				out = t
			case c.Type == "and":
				out = both(out, t)
			default:
				out = either(out, t)
			}
		}
		return out, nil
	}
	col, err := p.column(c.Column.Name)
	if err != nil {
		return nil, err
	}
	switch c.Type {
	case "nullity":
		return isNull(col, c.IsNull), nil
	case "comparison":
		op := map[string]string{"IN": "in", "NOT_IN": "not in"}[c.Operator]
		if op == "" {
			op = c.Operator
		}
		return p.compare(operand{column: col}, op, operand{column: -1, value: c.Parameter})
	}
	return nil, fmt.Errorf("unknown type %q of a condition: use comparison, nullity, and, or, pass_through", c.Type)
}

// compare makes the test of one comparison.
func (p *conditionReader) compare(x operand, op string, y operand) (test, error) {
	if x.column < 0 && y.column < 0 {
		return nil, fmt.Errorf("it compares two values")
	}
	if x.column < 0 {
		swapped, ok := map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
		if !ok {
			return nil, fmt.Errorf("%q needs a column on its left", op)
		}
		x, op, y = y, swapped, x
	}
	if y.column >= 0 {
		return p.compareColumns(x.column, op, y.column)
	}
	list := bytes.HasPrefix(bytes.TrimSpace(y.value), []byte("["))
	switch {
	case op == "in" || op == "==" && list: // to pandas a list is equal when it has the value
		return p.member(x.column, y.value, true)
	case op == "not in" || op == "!=" && list:
		return p.member(x.column, y.value, false)
	case op == "==":
		return p.member(x.column, oneOfList(y.value), true)
	case op == "!=":
		return p.member(x.column, oneOfList(y.value), false)
	}
	return p.ordered(x.column, op, y.value)
}

func oneOfList(v json.RawMessage) json.RawMessage {
	return append(append(json.RawMessage("["), v...), ']')
}

// member tests whether a column's value is one of a list; in negates.
func (p *conditionReader) member(col int, raw json.RawMessage, in bool) (test, error) {
	var l []json.RawMessage
	if json.Unmarshal(raw, &l) != nil {
		return nil, fmt.Errorf("it needs a list of values (got %s)", short(raw))
	}
	a := p.a
	var vals []scalar
	for _, r := range l {
		v := a.scalar("row_condition", r)
		if v == nil {
			return nil, errUnfit
		}
		if v.kind == nullScalar {
			return nil, fmt.Errorf("nothing is equal to null")
		}
		if a.typ(col) == feature.Timestamp && v.kind == textScalar && a.time("row_condition", v.text) == nil {
			return nil, errUnfit
		}
		vals = append(vals, *v)
	}
	warnings := len(a.c.out.warnings)
	outside := a.setTest(col, vals, true)
	a.c.out.warnings = a.c.out.warnings[:warnings]
	if outside == nil {
		return nil, errUnfit
	}
	return present(col, outside, in), nil
}

// present turns a loop that sets the rows with a wrong value into a test: the rows
// that are there and right, or with want false all others.
func present(col int, wrong func(*column, validate.Bitmap), want bool) test {
	return func(b *batch, out validate.Bitmap) {
		c := &b.cols[col]
		clear(out)
		if c.count > 0 {
			wrong(c, out)
			for w := range out {
				out[w] = c.present[w] &^ out[w]
			}
		}
		if !want {
			invert(out)
		}
	}
}

func invert(out validate.Bitmap) {
	for w := range out {
		out[w] = ^out[w]
	}
}

// misfit is a comparison that the type of a column forbids. Where that is text in a
// table, it holds for no row if it turns out that the column has no value.
func (p *conditionReader) misfit(col int, format string, v ...any) (test, error) {
	if c := p.a.c; c.table == nil || c.window != nil || p.a.typ(col) != feature.String {
		p.a.unfits("row_condition", format, v...)
		return nil, errUnfit
	}
	p.a.absent = append(p.a.absent, absent{col, fmt.Sprintf(format, v...)})
	return func(_ *batch, out validate.Bitmap) { clear(out) }, nil
}

// ordered compares a column's value with a limit.
func (p *conditionReader) ordered(col int, op string, raw json.RawMessage) (test, error) {
	a := p.a
	v := a.scalar("row_condition", raw)
	if v == nil {
		return nil, errUnfit
	}
	typ := a.typ(col)
	misfit := func() (test, error) {
		return p.misfit(col, "column %s is %s, which has no order with %s", a.name(col), typ, short(raw))
	}
	limit := func(n *number) (bounds, bool) {
		switch op {
		case "<", "<=":
			return bounds{max: n, strictMax: op == "<"}, true
		case ">", ">=":
			return bounds{min: n, strictMin: op == ">"}, true
		}
		return bounds{}, false
	}
	switch typ {
	case feature.String:
		if v.kind != textScalar {
			return misfit()
		}
		b, ok := limit(nil)
		if !ok {
			return nil, fmt.Errorf("unknown comparison %q", op)
		}
		if op[0] == '<' {
			return present(col, textRange(nil, v, false, b.strictMax), true), nil
		}
		return present(col, textRange(v, nil, b.strictMin, false), true), nil
	case feature.Timestamp:
		if v.kind != textScalar {
			return misfit()
		}
		t := a.time("row_condition", v.text)
		if t == nil {
			return nil, errUnfit
		}
		b, ok := limit(t)
		if !ok {
			return nil, fmt.Errorf("unknown comparison %q", op)
		}
		lo, hi := b.ints(minInt, maxInt)
		return present(col, func(c *column, fail validate.Bitmap) { rangeLoop(c.i64, lo, hi, fail) }, true), nil
	case feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64:
		n := v.num
		switch v.kind {
		case numberScalar:
		case boolScalar:
			n = numberOf(v.yes)
		default:
			return misfit()
		}
		b, ok := limit(&n)
		if !ok {
			return nil, fmt.Errorf("unknown comparison %q", op)
		}
		return present(col, numberRange(typ, b), true), nil
	}
	return misfit()
}

// compareColumns compares two columns row by row.
func (p *conditionReader) compareColumns(x int, op string, y int) (test, error) {
	a := p.a
	like := kinship(a.typ(x), a.typ(y))
	var right func(c, d cell) bool
	switch op {
	case "==", "!=":
		right = func(c, d cell) bool { return c == d }
	case "<":
		right = func(c, d cell) bool { return c.compare(d) < 0 }
	case "<=":
		right = func(c, d cell) bool { return c.compare(d) <= 0 }
	case ">":
		right = func(c, d cell) bool { return c.compare(d) > 0 }
	case ">=":
		right = func(c, d cell) bool { return c.compare(d) >= 0 }
	default:
		return nil, fmt.Errorf("%q needs a list of values on its right", op)
	}
	if op[0] != '=' && op[0] != '!' && (!like || a.typ(x) == feature.Bytes) {
		text := x
		if a.typ(y) == feature.String {
			text = y
		}
		return p.misfit(text, "column %s is %s and column %s is %s, which have no order", a.name(x), a.typ(x), a.name(y), a.typ(y))
	}
	return func(b *batch, out validate.Bitmap) {
		clear(out)
		cx, cy := &b.cols[x], &b.cols[y]
		for i := range cx.present.Rows() {
			if cy.present.Get(i) && right(cx.at(i), cy.at(i)) {
				out.Set(i)
			}
		}
		if op == "!=" {
			invert(out)
		}
	}, nil
}

// isNull tests whether a column's value is missing.
func isNull(col int, want bool) test {
	return func(b *batch, out validate.Bitmap) {
		copy(out, b.cols[col].present)
		if want {
			invert(out)
		}
	}
}

// isTrue tests a column of bool.
func (p *conditionReader) isTrue(col int) (test, error) {
	if t := p.a.typ(col); t != feature.Bool {
		p.a.unfits("row_condition", "column %s is %s: only a column of bool is a condition by itself", p.a.name(col), t)
		return nil, errUnfit
	}
	return present(col, boolTable(true, false), true), nil
}

func both(s, t test) test {
	return func(b *batch, out validate.Bitmap) {
		s(b, out)
		more := b.borrow()
		t(b, more)
		and(out, more)
		b.giveBack(more)
	}
}

func either(s, t test) test {
	return func(b *batch, out validate.Bitmap) {
		s(b, out)
		more := b.borrow()
		t(b, more)
		for w := range out {
			out[w] |= more[w]
		}
		b.giveBack(more)
	}
}

func not(s test) test {
	return func(b *batch, out validate.Bitmap) {
		s(b, out)
		invert(out)
	}
}

// borrow returns a bitmap of any content for the batch's rows.
func (b *batch) borrow() validate.Bitmap {
	if n := len(b.spare); n > 0 {
		m := resize(b.spare[n-1], b.rows)
		b.spare = b.spare[:n-1]
		return m
	}
	return make(validate.Bitmap, validate.Words(b.rows))
}

func (b *batch) giveBack(m validate.Bitmap) { b.spare = append(b.spare, m) }
