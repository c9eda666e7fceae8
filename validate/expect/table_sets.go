package expect

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/registry/feature"
)

const (
	// maxObserved is how many different values an answer lists; of more it has none.
	maxObserved = 1000
	// maxDifferences is how many values it lists that are not as they should be.
	maxDifferences = 20
)

// wanted are the values of a value_set, to be found by those of a column.
type wanted struct {
	values []any // as Result has values, each once
	words  map[uint64]int
	texts  map[string]int
}

// valueSet reads value_set for the values of a column.
func (a *args) valueSet(col int) *wanted {
	l, ok := a.list("value_set", "a list of values")
	if !ok {
		return nil
	}
	w := &wanted{words: map[uint64]int{}, texts: map[string]int{}}
	typ := a.typ(col)
	if typ.Variable() && typ != feature.String {
		a.unfits("column", "column %s is %s, which JSON values cannot equal", a.name(col), typ)
		return nil
	}
	seen := map[string]bool{}
	for i, r := range l {
		at := fmt.Sprintf("value_set[%d]", i)
		v := a.scalar(at, r)
		if v == nil {
			return nil
		}
		var c cell
		fits := false
		if v.kind != nullScalar {
			c, fits = a.cellOf(at, typ, *v)
		}
		switch {
		case a.bad:
			return nil
		case !fits:
			if !seen[string(r)] {
				seen[string(r)] = true
				w.values = append(w.values, v.plainValue())
			}
		case typ == feature.String:
			if _, dup := w.texts[c.s]; !dup {
				w.texts[c.s] = len(w.values)
				w.texts[sketch.Label(c.s)] = len(w.values) // as windows keep it
				w.values = append(w.values, c.s)
			}
		default:
			if _, dup := w.words[c.word(typ)]; !dup {
				w.words[c.word(typ)] = len(w.values)
				w.values = append(w.values, c.valueOf(typ))
			}
		}
	}
	return w
}

// word is a cell as column.word has values of the type.
func (c cell) word(t feature.Type) uint64 {
	if t == feature.Float32 || t == feature.Float64 {
		return math.Float64bits(c.float())
	}
	return uint64(c.i)
}

// plainValue is a JSON value as Result has values.
func (v *scalar) plainValue() any {
	switch v.kind {
	case boolScalar:
		return v.yes
	case numberScalar:
		return v.num.plainValue()
	case textScalar:
		return v.text
	}
	return nil
}

// find is the place in values of what entry e of t is, -1 when it is not among them.
func (w *wanted) find(t *groups, e *group) int {
	if t.fixed {
		if i, ok := w.words[e.key]; ok {
			return i
		}
		return -1
	}
	if i, ok := w.texts[string(t.text(e))]; ok {
		return i
	}
	return -1
}

var (
	distinctInSetRule   = distinctRuleOf(true, false)
	distinctContainRule = distinctRuleOf(false, true)
	distinctEqualRule   = distinctRuleOf(true, true)
)

// distinctRuleOf compares the values of a column, each once, with a set: none may
// be outside (in), or none of the set be absent (all).
func distinctRuleOf(in, all bool) func(*args) whole {
	return func(a *args) whole {
		col, ok := a.column("column")
		if !ok {
			return whole{}
		}
		set := a.valueSet(col)
		if a.bad {
			return whole{}
		}
		w := whole{metrics: []metricSpec{a.groupsOf(col, false)}, answer: func(_ *Run, ms []metric, res *Result) error {
			found := make([]bool, len(set.values))
			var observed, outside smallest
			observed.most, outside.most = maxObserved, maxDifferences
			if err := ms[0].(*groups).each(false, func(t *groups, e *group) error {
				if i := set.find(t, e); i >= 0 {
					found[i] = true
				} else {
					outside.add(t, e)
				}
				observed.add(t, e)
				return nil
			}); err != nil {
				return err
			}
			absent := []any{}
			for i, f := range found {
				if !f {
					absent = append(absent, set.values[i])
				}
			}
			if observed.n <= maxObserved {
				res.Observed = observed.values
			}
			res.More = map[string]any{}
			if in {
				res.More["unexpected_count"], res.More["partial_unexpected_list"] = outside.n, outside.values
			}
			if all {
				res.More["missing_count"], res.More["partial_missing_list"] = int64(len(absent)), absent[:min(len(absent), maxDifferences)]
			}
			res.Success = (!in || outside.n == 0) && (!all || len(absent) == 0)
			return nil
		}}
		w.window = a.nearSet(col, set, in, all, w.answer)
		return w
	}
}

// smallest keeps the smallest of many different values, in order, and counts all.
type smallest struct {
	most   int
	n      int64
	values []any
}

func (s *smallest) add(t *groups, e *group) {
	s.n++
	if s.values == nil {
		s.values = []any{}
	}
	v := t.value(e)
	if len(s.values) == s.most && compareValues(v, s.values[s.most-1]) > 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(s.values, v, compareValues)
	s.values = slices.Insert(s.values, i, v)
	if len(s.values) > s.most {
		s.values = s.values[:s.most]
	}
}

// mostCommonRule: the most frequent value, or with ties_okay one of those, is in the set.
func mostCommonRule(a *args) whole {
	col, ok := a.column("column")
	ties := a.bool("ties_okay")
	if !ok {
		return whole{}
	}
	if r, there := a.raw["value_set"]; there && string(r) == "null" {
		a.raw = withKwarg(a.raw, "value_set", `[]`)
	}
	set := a.valueSet(col)
	if a.bad {
		return whole{}
	}
	w := whole{metrics: []metricSpec{a.groupsOf(col, false)}, answer: func(_ *Run, ms []metric, res *Result) error {
		g := ms[0].(*groups)
		var most int64
		if err := g.each(false, func(t *groups, e *group) error {
			most = max(most, e.count)
			return nil
		}); err != nil {
			return err
		}
		common := smallest{most: maxObserved, values: []any{}}
		inSet := 0
		if err := g.each(false, func(t *groups, e *group) error {
			if e.count == most {
				common.add(t, e)
				if set.find(t, e) >= 0 {
					inSet++
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if common.n <= maxObserved {
			res.Observed = common.values
		}
		res.Success = inSet > 0 && (ties || common.n == 1)
		return nil
	}}
	w.window = a.nearCommon(col, set, ties, w.answer)
	return w
}

// withKwarg is a copy of kwargs with one of another value.
func withKwarg(kwargs map[string]json.RawMessage, name, value string) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(kwargs))
	for k, v := range kwargs {
		out[k] = v
	}
	out[name] = json.RawMessage(value)
	return out
}
