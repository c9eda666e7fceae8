package decode

import (
	"bytes"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// judge marks the rows that the schema, or JSON itself, may refuse.
func (c *Columns) judge(t *Table) {
	for i, a := range t.Values {
		var m *jsonschema.Member
		if c.members != nil {
			m = c.members[i]
		}
		judgeNulls(m, a, t.Doubt)
		switch a := a.(type) {
		case *array.Boolean:
			if m != nil && !(m.Bool(true) && m.Bool(false)) {
				for r := range a.Len() {
					if a.IsValid(r) && !m.Bool(a.Value(r)) {
						t.Doubt[r] = true
					}
				}
			}
		case *array.Int32:
			judgeInts(m, a.Int32Values(), a, t.Doubt)
		case *array.Int64:
			judgeInts(m, a.Int64Values(), a, t.Doubt)
		case *array.Float32:
			// A float32 has a text of its own, shorter than its float64's: what it
			// compares to is near enough to tell by its own bits only with care.
			if m != nil {
				judgeFloat32s(m, a, t.Doubt)
			}
		case *array.Float64:
			if m != nil {
				var long []bool
				if t.Long != nil {
					long = t.Long[i]
				}
				judgeFloats(m, a, long, t.Doubt)
			}
		case *array.String:
			judgeTexts(m, a, t.Doubt)
		case *array.Timestamp:
			for r, v := range a.TimestampValues() {
				if !inRange(int64(v)) && a.IsValid(r) {
					t.Doubt[r] = true // its text is not one of a time
				}
			}
		}
	}
}

func judgeNulls(m *jsonschema.Member, a arrow.Array, doubt []bool) {
	if m == nil || m.Null() || a.NullN() == 0 {
		return
	}
	for r := range doubt {
		if a.IsNull(r) {
			doubt[r] = true
		}
	}
}

func judgeInts[T int32 | int64](m *jsonschema.Member, values []T, a arrow.Array, doubt []bool) {
	if m == nil {
		return
	}
	low, high, plain := m.Range()
	for r, v := range values {
		if ok := int64(v) >= low && int64(v) <= high; ok && plain {
			continue
		} else if ok && m.Int(int64(v)) {
			continue
		}
		if a.IsValid(r) {
			doubt[r] = true
		}
	}
}

func judgeFloats(m *jsonschema.Member, a *array.Float64, long []bool, doubt []bool) {
	low, high := m.Interval()
	for r, v := range a.Float64Values() {
		if v > low && v < high {
			continue
		}
		if !m.Float(v, long != nil && long[r]) && a.IsValid(r) {
			doubt[r] = true
		}
	}
}

// judgeFloat32s judges by the float64 that is nearest to the value's text, which
// has at most 9 digits. Finding it takes a while, and is left out where no float
// near enough to be it would be judged otherwise.
func judgeFloat32s(m *jsonschema.Member, a *array.Float32, doubt []bool) {
	low, high := m.Interval()
	for r, v := range a.Float32Values() {
		w := float64(v)
		if near := math.Abs(w) * 0x1p-22; w-near > low && w+near < high {
			continue
		}
		if a.IsValid(r) && !m.Float(textFloat(v), false) {
			doubt[r] = true
		}
	}
}

func judgeTexts(m *jsonschema.Member, a *array.String, doubt []bool) {
	all := a.ValueBytes()
	sound := utf8.Valid(all) && !splits(a, all)
	free := m == nil || m.Texts()
	if sound && free {
		return
	}
	offsets := a.ValueOffsets()
	nulls := a.NullN() > 0
	var last []byte // values often come in runs
	for r := range a.Len() {
		if nulls && a.IsNull(r) {
			continue
		}
		v := all[offsets[r]-offsets[0] : offsets[r+1]-offsets[0]]
		if last != nil && bytes.Equal(v, last) {
			continue
		}
		last = v
		if !sound && !utf8.Valid(v) || !free && !m.Text(v) {
			doubt[r], last = true, nil
		}
	}
}

// splits reports whether a value of an array whose bytes are UTF-8 as a whole
// begins within a character.
func splits(a *array.String, all []byte) bool {
	offsets := a.ValueOffsets()
	if len(offsets) == 0 {
		return false
	}
	base := offsets[0]
	for _, o := range offsets {
		if at := int(o - base); at < len(all) && !utf8.RuneStart(all[at]) {
			return true
		}
	}
	return false
}

// limit marks rows whose JSON may be too large to be looked at.
func (c *Columns) limit(t *Table) {
	room := c.dec.options.MaxEventBytes
	total := c.fixed
	for _, a := range t.Values {
		total += longest(a)
	}
	if total <= room {
		return
	}
	for r := range t.Doubt {
		total := c.fixed
		for _, a := range t.Values {
			switch a := a.(type) {
			case *array.String:
				total += jsonText(len(a.Value(r)))
			case *array.Binary:
				total += jsonText(len(a.Value(r)))
			default:
				total += jsonNumber
			}
		}
		if total > room {
			t.Doubt[r] = true
		}
	}
}

// longest is the length of a column's longest value in JSON, at most.
func longest(a arrow.Array) int {
	var offsets []int32
	switch a := a.(type) {
	case *array.String:
		offsets = a.ValueOffsets()
	case *array.Binary:
		offsets = a.ValueOffsets()
	default:
		return jsonNumber
	}
	var most, last int32
	for i, o := range offsets {
		if i > 0 {
			most = max(most, o-last)
		}
		last = o
	}
	return jsonText(int(most))
}

// jsonText is the length of a text in JSON, at most.
func jsonText(n int) int { return 6*n + 6 }

const jsonNumber = 40 // the length of any other value, at most

// times reads the rows' times, marking those that the Decoder would refuse.
func (c *Columns) times(t *Table) (event, known []int64) {
	d := c.dec
	n := len(t.Doubt)
	event = make([]int64, n)
	d.event.column(t.Values[c.leaves[d.event.leaf]], event, t.Doubt)
	known = event
	switch {
	case d.created.leaf >= 0:
		known = make([]int64, n)
		d.created.column(t.Values[c.leaves[d.created.leaf]], known, t.Doubt)
	case d.options.Import:
		known = append([]int64(nil), event...) // each slice of a batch is its own
	default:
		known = make([]int64, n)
		for i := range known {
			known[i] = t.Timestamp
		}
	}
	latest := t.Timestamp + d.future
	for r, k := range known {
		if e := event[r]; !inRange(k) || e > k+d.future || k > latest {
			t.Doubt[r] = true
		}
	}
	return event, known
}

// covers reports whether times can be read from a column of this type; from
// others the Decoder reads them, or says what is wrong with all of them.
func (r *timeReader) covers(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.INT32, arrow.INT64:
		return r.kind == number
	case arrow.STRING, arrow.TIMESTAMP:
		return r.kind != number
	}
	return false
}

func (r *timeReader) column(a arrow.Array, to []int64, doubt []bool) {
	switch a := a.(type) {
	case *array.Timestamp:
		for i, v := range a.TimestampValues() {
			to[i] = int64(v)
		}
	case *array.Int64:
		copy(to, a.Int64Values())
		r.scale(to, doubt)
	case *array.Int32:
		for i, v := range a.Int32Values() {
			to[i] = int64(v)
		}
		r.scale(to, doubt)
	case *array.String:
		for i := range to {
			if a.IsNull(i) {
				continue
			}
			v, ok := parseTime(bytesOf(a.Value(i)), r.kind == zoned)
			to[i] = v
			if !ok {
				doubt[i] = true
			}
		}
	}
	nulls := a.NullN() > 0
	for i, v := range to {
		if !inRange(v) || nulls && a.IsNull(i) {
			doubt[i] = true
		}
	}
}

// scale turns numbers in the reader's unit into microseconds.
func (r *timeReader) scale(to []int64, doubt []bool) {
	var unit int64 = 1
	switch r.shift {
	case 6:
		unit = 1_000_000
	case 3:
		unit = 1000
	case -3:
		for i, v := range to {
			q := v / 1000
			if v%1000 < 0 {
				q--
			}
			to[i] = q
		}
		return
	default:
		return
	}
	for i, v := range to {
		if v > feature.MaxTime/unit || v < feature.MinTime/unit {
			doubt[i] = true
			continue
		}
		to[i] = v * unit
	}
}
