package expect

import (
	"cmp"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// exampleShape is how the value of an unexpected row is shown.
type exampleShape uint8

const (
	oneValue exampleShape = iota
	pairOfValues
	rowOfValues
)

// maxCounted is how many different unexpected values a rule counts.
const maxCounted = 10_000

// ruleState is what a run knows of one rule that is judged row by row.
type ruleState struct {
	e                               *entry
	run                             loop
	most                            int // examples to keep, -1 for all
	elements, evaluated, unexpected int64
	examples                        []Example
	counts                          valueCounts
}

func newRuleState(e *entry, o *TableOptions) *ruleState {
	st := &ruleState{e: e, run: e.rows(), most: o.Examples}
	if o.Complete {
		st.most = -1
	}
	return st
}

// add counts a batch and reports whether it has unexpected rows.
func (st *ruleState) add(b *batch, fail validate.Bitmap, evaluated int, row int64) bool {
	st.elements += int64(b.liveCount)
	st.evaluated += int64(evaluated)
	n := fail.Count()
	if n == 0 {
		return false
	}
	st.unexpected += int64(n)
	for i := range fail.Rows() {
		st.show(b, i, row+int64(i))
	}
	return true
}

// show keeps an unexpected row as an example and counts its value.
func (st *ruleState) show(b *batch, i int, row int64) {
	if st.most < 0 || len(st.examples) < st.most {
		st.examples = append(st.examples, Example{Row: row, Value: st.value(b, i)})
	}
	st.counts.add(b, st.e.columns, i)
}

func (st *ruleState) value(b *batch, i int) any {
	switch st.e.shape {
	case pairOfValues:
		return valuesAt(b, st.e.columns, i)
	case rowOfValues:
		m := make(map[string]any, len(st.e.columns))
		for k, c := range st.e.columns {
			m[st.e.names[k]] = b.cols[c].value(i)
		}
		return m
	}
	return b.cols[st.e.columns[0]].value(i)
}

// result fills the part of a result that is about rows.
func (st *ruleState) result(res *Result) {
	rowResult(res, st.unexpected, st.elements, st.evaluated)
	res.Examples, res.Counts = st.examples, st.counts.top(max(st.most, defaultExamples))
}

// rowResult fills the counts of a result; mostly decides later.
func rowResult(res *Result, unexpected, elements, evaluated int64) {
	res.Map = true
	res.Elements, res.Missing, res.Unexpected = elements, elements-evaluated, unexpected
}

// valuesAt are the values of a row in several columns.
func valuesAt(b *batch, cols []int, i int) []any {
	vs := make([]any, len(cols))
	for k, c := range cols {
		vs[k] = b.cols[c].value(i)
	}
	return vs
}

// value is a row's value as Result has it, nil where it is missing. It is a copy.
func (c *column) value(i int) any {
	if !c.present.Get(i) {
		return nil
	}
	switch c.typ {
	case feature.Bool:
		return c.bools.Get(i)
	case feature.Int32:
		return int64(c.i32[i])
	case feature.Int64:
		return c.i64[i]
	case feature.Float32:
		return float64(c.f32[i])
	case feature.Float64:
		return c.f64[i]
	case feature.Timestamp:
		return feature.Time(c.i64[i])
	case feature.String:
		return string([]byte(c.str(i)))
	}
	if c.typ.IsArray() {
		return feature.ArrayText(c.typ, []byte(c.str(i)))
	}
	return []byte(c.str(i))
}

// valueCounts counts values, each met among the first maxCounted different ones.
type valueCounts struct {
	at   map[string]int // index in list
	list []ValueCount
	key  []byte
}

func (v *valueCounts) add(b *batch, cols []int, i int) {
	v.key = v.key[:0]
	for _, c := range cols {
		v.key = b.cols[c].appendKey(v.key, i)
	}
	if k, ok := v.at[string(v.key)]; ok {
		v.list[k].Count++
		return
	}
	if len(v.list) >= maxCounted {
		return
	}
	if v.at == nil {
		v.at = map[string]int{}
	}
	v.at[string(v.key)] = len(v.list)
	var val any
	if len(cols) == 1 {
		val = b.cols[cols[0]].value(i)
	} else {
		val = valuesAt(b, cols, i)
	}
	v.list = append(v.list, ValueCount{val, 1})
}

// top are the n most frequent values; of equals, those met first.
func (v *valueCounts) top(n int) []ValueCount {
	l := slices.Clone(v.list)
	slices.SortStableFunc(l, func(a, b ValueCount) int { return cmp.Compare(b.Count, a.Count) })
	l = l[:min(n, len(l))]
	sortCounts(l)
	return l
}

// sortCounts puts the most frequent value first, and equals in the order of the values.
func sortCounts(l []ValueCount) {
	slices.SortStableFunc(l, func(a, b ValueCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), compareValues(a.Value, b.Value))
	})
}
