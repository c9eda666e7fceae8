package expect

import (
	"fmt"
	"math"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// betweenRule: numbers are compared exactly, whatever their types; text by code
// point; timestamps with ISO 8601 limits, UTC where they name no offset.
func betweenRule(a *args) built {
	col, ok := a.column("column")
	strictMin, strictMax := a.bool("strict_min"), a.bool("strict_max")
	minRaw, hasMin := a.get("min_value")
	maxRaw, hasMax := a.get("max_value")
	if !hasMin && !hasMax {
		a.fault("", "min_value, max_value or both are required")
	}
	if !ok || a.bad {
		return built{}
	}
	want := rangeText(hasMin, hasMax, short(minRaw), short(maxRaw), strictMin, strictMax)
	typ := a.typ(col)
	limit := func(name string, has bool, kind scalarKind, what string) *scalar {
		if !has {
			return nil
		}
		v := a.scalar(name, a.raw[name])
		if v != nil && v.kind != kind {
			a.unfits(name, "column %s is %s: %s (got %s)", a.name(col), typ, what, short(a.raw[name]))
			return nil
		}
		return v
	}
	switch typ {
	case feature.String:
		lo := limit("min_value", hasMin, textScalar, "write the limit as text")
		hi := limit("max_value", hasMax, textScalar, "write the limit as text")
		if lo != nil && hi != nil && lo.text > hi.text {
			a.fault("min_value", "must not be above max_value")
		}
		return built{onColumn(col, textRange(lo, hi, strictMin, strictMax)), want}
	case feature.Bytes:
		a.unfits("column", "column %s is bytes, which have no order", a.name(col))
		return built{}
	case feature.Timestamp:
		b := bounds{strictMin: strictMin, strictMax: strictMax}
		if v := limit("min_value", hasMin, textScalar, "write the limit like 2026-01-31T12:00:00Z"); v != nil {
			b.min = a.time("min_value", v.text)
		}
		if v := limit("max_value", hasMax, textScalar, "write the limit like 2026-01-31T12:00:00Z"); v != nil {
			b.max = a.time("max_value", v.text)
		}
		if b.empty() {
			a.fault("min_value", "must not be after max_value")
		}
		lo, hi := b.ints(math.MinInt64, math.MaxInt64)
		return built{onColumn(col, func(c *column, fail validate.Bitmap) { rangeLoop(c.i64, lo, hi, fail) }), want}
	}
	b := bounds{strictMin: strictMin, strictMax: strictMax}
	if v := limit("min_value", hasMin, numberScalar, "write the limit as a number"); v != nil {
		b.min = &v.num
	}
	if v := limit("max_value", hasMax, numberScalar, "write the limit as a number"); v != nil {
		b.max = &v.num
	}
	if b.empty() {
		a.fault("min_value", "must not be above max_value")
	}
	return built{onColumn(col, numberRange(typ, b)), want}
}

// numberRange makes the loop for a column of bool (0 and 1) or numbers.
func numberRange(typ feature.Type, b bounds) func(*column, validate.Bitmap) {
	switch typ {
	case feature.Bool:
		lo, hi := b.ints(0, 1)
		return boolTable(lo > 0 || hi < 0, lo > 1 || hi < 1)
	case feature.Int32:
		lo, hi := b.ints(math.MinInt32, math.MaxInt32)
		return func(c *column, fail validate.Bitmap) { rangeLoop(c.i32, int32(lo), int32(hi), fail) }
	case feature.Int64:
		lo, hi := b.ints(math.MinInt64, math.MaxInt64)
		return func(c *column, fail validate.Bitmap) { rangeLoop(c.i64, lo, hi, fail) }
	case feature.Float32:
		lo, hi := b.float32s()
		return func(c *column, fail validate.Bitmap) { rangeLoop(c.f32, lo, hi, fail) }
	}
	lo, hi := b.floats()
	return func(c *column, fail validate.Bitmap) { rangeLoop(c.f64, lo, hi, fail) }
}

// rangeLoop fails values outside [lo, hi].
func rangeLoop[T int32 | int64 | float32 | float64](vals []T, lo, hi T, fail validate.Bitmap) {
	for w := range fail {
		var bad uint64
		for j, v := range chunk(vals, w) {
			if v < lo || v > hi {
				bad |= 1 << (j & 63)
			}
		}
		fail[w] = bad
	}
}

// boolTable fails false, true, both or neither.
func boolTable(failFalse, failTrue bool) func(*column, validate.Bitmap) {
	return func(c *column, fail validate.Bitmap) {
		for w, word := range c.bools {
			var bad uint64
			if failTrue {
				bad = word
			}
			if failFalse {
				bad |= ^word
			}
			fail[w] = bad
		}
	}
}

func textRange(lo, hi *scalar, strictMin, strictMax bool) func(*column, validate.Bitmap) {
	return textLoop(func(s string) bool {
		if lo != nil && (s < lo.text || strictMin && s == lo.text) {
			return false
		}
		return hi == nil || s < hi.text || !strictMax && s == hi.text
	})
}

// textLoop fails the strings that ok refuses.
func textLoop(ok func(string) bool) func(*column, validate.Bitmap) {
	return func(c *column, fail validate.Bitmap) {
		if c.codes != nil {
			c.codedLoop(ok, fail)
			return
		}
		for w := range fail {
			var bad uint64
			off := c.off[w*64 : min(w*64+65, len(c.off))]
			from := off[0]
			for j, to := range off[1:] {
				if !ok(c.data[from:to]) {
					bad |= 1 << (j & 63)
				}
				from = to
			}
			fail[w] = bad
		}
	}
}

// rangeText is a range for people: "from 0 to below 10".
func rangeText(hasMin, hasMax bool, lo, hi string, strictMin, strictMax bool) string {
	switch {
	case hasMin && hasMax && !strictMin && !strictMax:
		return fmt.Sprintf("between %s and %s", lo, hi)
	case hasMin && hasMax:
		return rangeText(true, false, lo, "", strictMin, false) + " and " + rangeText(false, true, "", hi, false, strictMax)
	case hasMin && strictMin:
		return "above " + lo
	case hasMin:
		return "at least " + lo
	case strictMax:
		return "below " + hi
	}
	return "at most " + hi
}
