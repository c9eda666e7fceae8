package expect

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// WithWindows has Compile leave to windows what is not about single rows (CompileWindow),
// in place of refusing it.
func WithWindows() Option { return func(c *compiler) { c.windows = true } }

// CheckView gives every fault that a suite has for a view: as its batches are judged, and
// where the view has quality.window, as its windows are.
func CheckView(suite *feature.Suite, v *feature.View) []feature.Fault {
	_, faults := CompileView(suite, v)
	if !v.Quality.Windowed() {
		return faults
	}
	_, more := CompileWindow(suite, v)
	for _, f := range more {
		if !slices.ContainsFunc(faults, func(have feature.Fault) bool { return have.Field == f.Field }) {
			faults = append(faults, f)
		}
	}
	return faults
}

// text is the kwargs as they are used, in one form.
func (a *args) text() string {
	b, err := json.Marshal(a.raw) // keys are sorted
	if err != nil {
		return fmt.Sprint(a.raw)
	}
	return string(b)
}

// called names a metric of columns alike in every version of a suite.
func (a *args) called(what string, cols ...int) string {
	var b strings.Builder
	b.WriteString(what)
	for _, c := range cols {
		fmt.Fprintf(&b, " %q %s", a.name(c), a.typ(c))
	}
	return b.String()
}

// membersOf counts the values of a set, each for itself, and all others together.
func (a *args) membersOf(col int, set *wanted) metricSpec {
	typ := a.typ(col)
	name := a.called("members", col) + a.text()
	return metricSpec{key: name, name: name, kept: &keptAs{
		begin: func(bool) state { return &histogramState{counts: make([]int64, len(set.values))} },
		fold: func(st state, _ *folder, b *batch) {
			x, c := st.(*histogramState), &b.cols[col]
			if len(x.counts) != len(set.values) {
				return // read from bytes that are not of this suite
			}
			for i := range c.present.Rows() {
				var k int
				var ok bool
				if typ == feature.String {
					k, ok = set.texts[c.str(i)]
				} else {
					k, ok = set.words[c.word(i)]
				}
				if ok {
					x.counts[k]++
				} else {
					x.above++
				}
			}
		},
	}}
}

// frequentOf knows the most frequent values of a column.
func (a *args) frequentOf(col int) metricSpec {
	name := a.called("frequent", col)
	return metricSpec{key: name, name: name, kept: keepFrequent(col, a.typ(col))}
}

// nearOrder judges the order of the values within partitions.
func (a *args) nearOrder(col, up, least int) *windowed {
	name := fmt.Sprint(a.called("order", col), up, least)
	mostly := a.share
	return &windowed{metrics: []metricSpec{{key: name, name: name, kept: keepOrder(col, up, least)}}, answer: func(ms []state, res *Result) error {
		x := ms[0].(*orderState)
		n := x.joined()
		rowResult(res, n, x.live, x.rows)
		res.Success = passed(n, x.rows, mostly)
		if x.late > 0 {
			res.Error = fmt.Sprintf("%d stretches of rows came out of order and are not compared with their neighbours", x.late)
		}
		return nil
	}}
}

func passed(unexpected, evaluated int64, mostly float64) bool {
	return validate.Count{Evaluated: evaluated, Failed: unexpected}.Passed(mostly)
}

// nearRows judges numbers by what is known of all of them: by their ranks.
func (a *args) nearRows(col int, metrics []metricSpec, fences func(lo, hi float64) func(v float64) bool, right func([]metric) (func(v float64) bool, error)) *windowed {
	typ, mostly, live := a.typ(col), a.share, a.rowsAnd(col)
	metrics = append([]metricSpec{live, a.bagOf(col)}, metrics...)
	return &windowed{metrics: metrics, answer: func(ms []state, res *Result) error {
		rows, x := ms[0].(*counterState), ms[1].(*ranksState)
		fail := func(unexpected, least int64) {
			rowResult(res, unexpected, rows.c.rows, x.n)
			res.Success = passed(least, x.n, mostly)
			if res.Success && !passed(unexpected, x.n, mostly) {
				res.Error += doubtful
			}
		}
		var ofMetrics []metric
		if fences == nil {
			ofMetrics = []metric{ms[2].(*momentsState).copied()}
		}
		if x.exact() {
			if fences != nil {
				ofMetrics = []metric{x.bag(typ)}
			}
			test, err := right(ofMetrics)
			if err != nil {
				return err
			}
			n := x.unexpectedOf(test, typ, res)
			fail(n, n)
			return nil
		}
		r, e := x.read(), x.rankError()
		var test, wide func(v float64) bool
		if fences != nil {
			test, wide = fences(r.at(0.25), r.at(0.75)), fences(r.at(0.25-e), r.at(0.75+e))
		} else {
			var err error
			if test, err = right(ofMetrics); err != nil {
				return err
			}
			wide = test
		}
		n, _ := r.outside(test)
		surely, ends := r.outside(wide)
		slackRows := 2 * e * float64(x.n)
		least := max(int64(math.Floor(surely-slackRows)), ends)
		unexpected := max(int64(math.Round(n)), ends)
		if unexpected > 0 {
			res.Error = fmt.Sprintf("%s: %d to %d rows %s", rankErrorText(e), least, min(x.n, int64(math.Ceil(n+slackRows))), confidence)
		}
		if fences != nil && unexpected == 0 {
			res.Error = rankErrorText(e) + " of the quarters"
		}
		fail(unexpected, least)
		return nil
	}}
}

// unexpectedOf counts the values that a test does not let pass, while all are known.
func (x *ranksState) unexpectedOf(test func(v float64) bool, typ feature.Type, res *Result) int64 {
	if test == nil {
		return 0
	}
	g := x.bag(typ)
	var n int64
	words := slices.Sorted(slices.Values(g.words[0]))
	for _, u := range words {
		if test(g.float(u)) {
			continue
		}
		n++
		v := g.value(u)
		if k := len(res.Counts); k > 0 && compareValues(res.Counts[k-1].Value, v) == 0 {
			res.Counts[k-1].Count++
		} else {
			res.Counts = append(res.Counts, ValueCount{v, 1})
		}
	}
	sortCounts(res.Counts)
	res.Counts = res.Counts[:min(len(res.Counts), windowExamples)]
	for _, c := range res.Counts {
		res.Examples = append(res.Examples, Example{Row: -1, Value: c.Value})
	}
	return n
}

// outside is about how many values a test does not let pass, and how many it does not for sure: the
// least and the greatest are known.
func (r ranks) outside(test func(v float64) bool) (n float64, surely int64) {
	if test == nil {
		return 0, 0
	}
	before := 0.0
	for i, v := range r.d.At {
		if !test(v) {
			n += r.d.Cum[i] - before
		}
		before = r.d.Cum[i]
	}
	if r.x.down > 0 && !test(math.Inf(-1)) {
		n += float64(r.x.down)
		surely += r.x.down
	}
	if r.x.up > 0 && !test(math.Inf(1)) {
		n += float64(r.x.up)
		surely += r.x.up
	}
	if r.x.kll.N() > 0 {
		if !test(r.x.lo) {
			surely++
		}
		if r.x.hi > r.x.lo && !test(r.x.hi) {
			surely++
		}
	}
	return max(n, float64(surely)), surely
}

// singleValue is a value of one column, of a valuesState.
func singleValue(t feature.Type, hash uint64, text []byte) any {
	switch {
	case !t.Variable():
		return wordValue(t, sketch.Unmix(hash))
	case t == feature.String:
		return string(text)
	}
	return slices.Clone(text)
}
