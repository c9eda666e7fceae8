package expect

import (
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// asked is an answer that needs no row.
func asked(fill func(res *Result)) whole {
	return whole{answer: func(_ *Run, _ []metric, res *Result) error {
		fill(res)
		return nil
	}}
}

func (a *args) columnNames() []string {
	names := make([]string, a.c.schema.NumFields())
	for i, f := range a.c.schema.Fields() {
		names[i] = f.Name
	}
	return names
}

func list(names []string) []any {
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
	}
	return out
}

// columnExistsRule: as in Great Expectations, index 0 asks for no place.
func columnExistsRule(a *args) whole {
	name, ok := a.str("column", "the name of a column")
	index := a.number("column_index")
	if !ok || a.bad {
		return whole{}
	}
	names := a.columnNames()
	good := slices.Contains(names, name)
	if index != nil {
		i, whole := index.integer()
		if !whole || !i.IsInt64() {
			a.fault("column_index", "must be a whole number (got %s)", short(a.raw["column_index"]))
			return asked(nil)
		}
		if at := i.Int64(); at != 0 {
			if at < 0 {
				at += int64(len(names)) // from the end, as Python counts
			}
			good = at >= 0 && at < int64(len(names)) && names[at] == name
		}
	}
	return asked(func(res *Result) { res.Success = good })
}

func columnCountRule(a *args) whole {
	within := a.span(0, feature.Float64)
	n := int64(a.c.schema.NumFields())
	return asked(func(res *Result) { res.Observed, res.Success = n, within(n) })
}

func columnCountEqualRule(a *args) whole {
	want := a.number("value")
	if want == nil && !a.bad {
		a.fault("value", "is required: the number of columns")
	}
	n := int64(a.c.schema.NumFields())
	return asked(func(res *Result) { res.Observed, res.Success = n, bounds{min: want, max: want}.hold(n) })
}

// columnsInOrderRule: null asks for nothing.
func columnsInOrderRule(a *args) whole {
	names := a.columnNames()
	want := names
	if _, given := a.get("column_list"); given {
		want, _ = a.strings("column_list", "a list of column names")
	} else if _, there := a.raw["column_list"]; !there {
		a.fault("column_list", "is required: a list of column names")
	}
	return asked(func(res *Result) {
		res.Observed = list(names)
		var wrong []any
		at := func(l []string, i int) any {
			if i < len(l) {
				return l[i]
			}
			return nil
		}
		for i := range max(len(want), len(names)) {
			if w, n := at(want, i), at(names, i); w != n {
				wrong = append(wrong, map[string]any{"Expected Column Position": int64(i), "Expected": w, "Found": n})
			}
		}
		if res.Success = len(wrong) == 0; !res.Success {
			res.Details = map[string]any{"mismatched": wrong}
		}
	})
}

// columnSetRule: null is the empty set.
func columnSetRule(a *args) whole {
	names := slices.Compact(slices.Sorted(slices.Values(a.columnNames())))
	_, said := a.raw["exact_match"]
	exact := a.bool("exact_match") || !said // null is false
	var want []string
	if _, given := a.get("column_set"); given {
		want, _ = a.strings("column_set", "a list of column names")
	} else if _, there := a.raw["column_set"]; !there {
		a.fault("column_set", "is required: a list of column names")
	}
	want = slices.Compact(slices.Sorted(slices.Values(want)))
	without := func(l, other []string) (out []string) {
		for _, n := range l {
			if !slices.Contains(other, n) {
				out = append(out, n)
			}
		}
		return out
	}
	unexpected, missing := without(names, want), without(want, names)
	return asked(func(res *Result) {
		res.Observed = list(names)
		wrong := map[string]any{}
		if len(unexpected) > 0 {
			wrong["unexpected"] = list(unexpected)
		}
		if len(missing) > 0 {
			wrong["missing"] = list(missing)
		}
		if len(wrong) > 0 {
			res.Details = map[string]any{"mismatched": wrong}
		}
		res.Success = len(missing) == 0 && (len(unexpected) == 0 || !exact)
	})
}

// columnTypeRule: the names are those of expect_column_values_to_be_of_type.
func columnTypeRule(a *args) whole {
	col, ok := a.column("column")
	name, named := a.str("type_", "the name of a type, like int64")
	if !ok || !named {
		return whole{}
	}
	types, known := typesNamed(name)
	if !known {
		a.fault("type_", "unknown type name %q%s", name, didYouMean(name, sortedKeys(typeNames)))
	}
	typ := a.typ(col)
	return asked(func(res *Result) {
		res.Observed = strings.ToLower(typ.String())
		res.Success = slices.Contains(types, typ)
	})
}
