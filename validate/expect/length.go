package expect

import (
	"math"
	"unicode/utf8"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// lengthRule counts characters (code points) of text, bytes of bytes, and of
// anything else the characters that Python would print.
func lengthRule(a *args) built {
	col, ok := a.column("column")
	b := bounds{min: a.number("min_value"), max: a.number("max_value")}
	b.strictMin, b.strictMax = a.bool("strict_min"), a.bool("strict_max")
	if b.min == nil && b.max == nil && !a.bad {
		a.fault("", "min_value, max_value or both are required")
	}
	if !ok || a.bad {
		return built{}
	}
	if b.empty() {
		a.fault("min_value", "must not be above max_value")
		return built{}
	}
	lo, hi := b.ints(0, math.MaxInt32)
	want := rangeText(b.min != nil, b.max != nil, short(a.raw["min_value"]), short(a.raw["max_value"]), b.strictMin, b.strictMax) + " characters"
	return built{a.lengths(col, int(lo), int(hi)), want}
}

func lengthEqualRule(a *args) built {
	col, ok := a.column("column")
	n := a.number("value")
	if n == nil && !a.bad {
		a.fault("value", "is required: the number of characters")
	}
	if !ok || a.bad {
		return built{}
	}
	lo, hi := bounds{min: n, max: n}.ints(0, math.MaxInt32)
	return built{a.lengths(col, int(lo), int(hi)), short(a.raw["value"]) + " characters"}
}

func (a *args) lengths(col, lo, hi int) func(*batch, validate.Bitmap) int {
	switch a.typ(col) {
	case feature.Bytes:
		return onColumn(col, textLoop(func(s string) bool { return len(s) >= lo && len(s) <= hi }))
	case feature.Timestamp:
		a.unfits("column", "column %s is a timestamp, which has no length", a.name(col))
		return nil
	}
	return a.onText(col, func(s string) bool {
		// A character is one to four bytes, so that most values need no count.
		switch n := len(s); {
		case n < lo, (n+3)/4 > hi:
			return false
		case (n+3)/4 >= lo && n <= hi:
			return true
		}
		n := utf8.RuneCountInString(s)
		return n >= lo && n <= hi
	})
}

// onText makes a loop over the values as text: of other types than text, what
// Python's str makes of them.
func (a *args) onText(col int, ok func(string) bool) func(*batch, validate.Bitmap) int {
	if a.typ(col) == feature.String {
		return onColumn(col, textLoop(ok))
	}
	return func(b *batch, fail validate.Bitmap) int {
		c := &b.cols[col]
		for row := range c.present.Rows() {
			b.text = c.appendText(b.text[:0], row)
			if !ok(textOf(b.text)) {
				fail.Set(row)
			}
		}
		return c.count
	}
}
