package profile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Rule is a proposed expectation with what speaks for it.
type Rule struct {
	Column   string // "" for one about the table
	Type     string
	Kwargs   []Kwarg
	Severity feature.Severity
	Evidence string
	// Whole tells that it is about a whole table: no single row can break it.
	Whole bool
}

// Kwarg is an argument of a rule, in the order in which people read them.
type Kwarg struct {
	Name  string
	Value any
}

// Expectation is the rule as a suite has it.
func (r *Rule) Expectation() (feature.Expectation, error) {
	e := feature.Expectation{Type: r.Type, Severity: r.Severity, Kwargs: map[string]json.RawMessage{}}
	for _, k := range r.Kwargs {
		b, err := encode(k.Value)
		if err != nil {
			return e, err
		}
		e.Kwargs[k.Name] = b
	}
	return e, nil
}

// Proposal is what a profile makes of a table.
type Proposal struct {
	Rows    int64
	Rules   []Rule
	Columns []ColumnProposal
}

// ColumnProposal is what is said of a column for its own sake.
type ColumnProposal struct {
	Name  string
	About string // its type, its nulls, its values
	Notes []string
}

// mostSet is how many values a proposed set has at most, and leastOfSet how many
// rows there are of each at least, on average: else they are a sample of more.
const (
	mostSet    = 24
	leastOfSet = 10
)

// Propose makes the proposal. What it says holds for all rows seen.
func (p *Profiler) Propose() *Proposal {
	out := &Proposal{Rows: p.rows}
	names := make([]string, len(p.cols))
	for i, c := range p.cols {
		names[i] = c.name
	}
	out.Rules = append(out.Rules,
		Rule{Type: "expect_table_columns_to_match_ordered_list", Kwargs: []Kwarg{{"column_list", names}}, Whole: true, Evidence: plural(int64(len(names)), "column")},
		Rule{Type: "expect_table_row_count_to_be_between", Kwargs: []Kwarg{{"min_value", min(1, p.rows)}}, Whole: true, Evidence: plural(p.rows, "row")})
	for _, c := range p.cols {
		out.Columns = append(out.Columns, c.about(p.rows))
		out.Rules = append(out.Rules, c.rules(p.rows)...)
	}
	out.Rules = append(out.Rules, p.order.rules(p.cols)...)
	out.Rules = append(out.Rules, p.pairs.rules(p.cols)...)
	return out
}

// about says in a line what a column is.
func (c *column) about(rows int64) ColumnProposal {
	out := ColumnProposal{Name: c.name}
	parts := []string{c.typ.String()}
	switch {
	case c.nulls == 0:
		parts = append(parts, "never null")
	case c.present == 0:
		parts = append(parts, "always null")
	default:
		parts = append(parts, fmt.Sprintf("null in %s of %s", plural(c.nulls, "row"), count(rows)))
	}
	switch {
	case c.values == nil || c.present == 0:
	case c.few():
		parts = append(parts, plural(int64(len(c.values.list)), "different value"))
	case c.values.unique():
		parts = append(parts, "all different")
	case c.values.lost:
		parts = append(parts, "too many values to tell whether all differ")
	default:
		parts = append(parts, fmt.Sprintf("more than %d different values", maxValues))
	}
	switch {
	case c.present == 0 || c.values == nil:
	case c.typ == feature.Timestamp:
		parts = append(parts, stamp(c.lo)+" to "+stamp(c.hi))
	case c.typ.Numeric():
		parts = append(parts, fmt.Sprintf("%s to %s, mean %.4g, standard deviation %.4g", number(c.min), number(c.max), c.mean, c.stdev()))
	}
	if t := c.text; t != nil && t.seen {
		if t.shortest == t.longest {
			parts = append(parts, plural(int64(t.longest), "character"))
		} else {
			parts = append(parts, fmt.Sprintf("%d to %d characters", t.shortest, t.longest))
		}
		if t.example != "" && !c.few() {
			parts = append(parts, "like "+quote(t.example))
		}
		if t.blank {
			out.Notes = append(out.Notes, "some values are only spaces: if those mean null, read it with --null ' '")
		}
		if t.empty {
			out.Notes = append(out.Notes, "some values are empty texts")
		}
	}
	out.About = strings.Join(parts, ", ")
	return out
}

func (c *column) rule(typ string, evidence string, kwargs ...Kwarg) Rule {
	return Rule{Column: c.name, Type: typ, Kwargs: append([]Kwarg{{"column", c.name}}, kwargs...), Evidence: evidence}
}

func (c *column) rules(rows int64) (out []Rule) {
	add := func(r Rule) { out = append(out, r) }
	whole := func(r Rule) { r.Whole = true; out = append(out, r) }
	switch {
	case rows == 0:
		return nil
	case c.present == 0:
		add(c.rule("expect_column_values_to_be_null", "no value was seen"))
		return out
	case c.nulls == 0:
		add(c.rule("expect_column_values_to_not_be_null", ""))
	default:
		share := float64(c.present) / float64(rows)
		add(c.rule("expect_column_values_to_not_be_null", fmt.Sprintf("%.2f %% are there", 100*share), Kwarg{"mostly", math.Floor(share*0.95*100) / 100}))
	}
	if c.typ != feature.String && c.typ != feature.Bytes && !c.typ.IsArray() {
		add(c.rule("expect_column_values_to_be_of_type", "", Kwarg{"type_", c.typ.String()}))
	}
	if c.values == nil {
		return out
	}
	set := c.few() && len(c.values.list) <= mostSet && c.present >= leastOfSet*int64(len(c.values.list)) && c.typ != feature.Float32 && c.typ != feature.Float64 && c.typ != feature.Timestamp
	switch {
	case set && c.typ != feature.Bool:
		add(c.setRule())
	case c.typ.Numeric() || c.typ == feature.Timestamp:
		out = append(out, c.ranges()...)
	case c.text != nil:
		out = append(out, c.textRules()...)
	}
	if c.values.unique() && c.present >= leastOfSet && c.typ != feature.Float32 && c.typ != feature.Float64 {
		whole(c.rule("expect_column_values_to_be_unique", fmt.Sprintf("%s, all different", plural(c.present, "value"))))
	}
	if set && len(c.values.list) > 1 {
		whole(c.shares())
	}
	if sd := c.stdev(); c.typ.Numeric() && !set && !c.infinite && sd-sd == 0 && c.present >= leastOfSet {
		whole(c.meanRule())
	}
	if (c.typ.Numeric() || c.typ == feature.Timestamp) && c.nulls == 0 && c.present >= leastOfSet && c.min != c.max {
		for _, way := range []struct {
			is   bool
			name string
		}{{c.rising, "increasing"}, {c.falling, "decreasing"}} {
			if way.is {
				r := c.rule("expect_column_values_to_be_"+way.name, "row by row", Kwarg{"strictly", c.strict})
				r.Severity = feature.Warning
				whole(r)
			}
		}
	}
	return out
}

func (c *column) setRule() Rule {
	var vals []any
	var ev []string
	for _, v := range c.sorted() {
		vals, ev = append(vals, v.value), append(ev, fmt.Sprintf("%s %s", display(v.value), count(v.count)))
	}
	if len(ev) > 8 {
		ev = append(ev[:8], fmt.Sprintf("and %d more", len(ev)-8))
	}
	return c.rule("expect_column_values_to_be_in_set", strings.Join(ev, ", "), Kwarg{"value_set", vals})
}

// ranges are the bounds of numbers and times, rounded away from what was seen.
func (c *column) ranges() []Rule {
	if c.typ == feature.Timestamp {
		const day = 86400_000_000
		lo, hi := floorDiv(c.lo, day)*day, (floorDiv(c.hi, day)+1)*day
		return []Rule{c.rule("expect_column_values_to_be_between", "seen: "+stamp(c.lo)+" to "+stamp(c.hi),
			Kwarg{"min_value", stamp(max(lo, feature.MinTime))}, Kwarg{"max_value", stamp(min(hi, feature.MaxTime))})}
	}
	seen := fmt.Sprintf("seen: %s to %s", number(c.min), number(c.max))
	var kw []Kwarg
	if c.typ == feature.Int32 || c.typ == feature.Int64 {
		seen = fmt.Sprintf("seen: %d to %d", c.lo, c.hi)
		kw = []Kwarg{{"min_value", outwardInt(c.lo, -1)}, {"max_value", outwardInt(c.hi, 1)}}
	} else {
		if !math.IsInf(c.min, 0) {
			kw = append(kw, Kwarg{"min_value", outward(c.min, -1)})
		}
		if !math.IsInf(c.max, 0) {
			kw = append(kw, Kwarg{"max_value", outward(c.max, 1)})
		}
		if len(kw) == 0 {
			return nil
		}
	}
	return []Rule{c.rule("expect_column_values_to_be_between", seen, kw...)}
}

func (c *column) textRules() (out []Rule) {
	t := c.text
	out = append(out, c.rule("expect_column_value_lengths_to_be_between", fmt.Sprintf("seen: %d to %d characters", t.shortest, t.longest),
		Kwarg{"min_value", t.shortest}, Kwarg{"max_value", roomFor(t.shortest, t.longest)}))
	if len(t.kinds) > 0 {
		k := t.kinds[0]
		if k.strftime != "" {
			return append(out, c.rule("expect_column_values_to_match_strftime_format", "all are "+k.name+", like "+quote(t.example), Kwarg{"strftime_format", k.strftime}))
		}
		return append(out, c.rule("expect_column_values_to_match_regex", "all are "+k.name+", like "+quote(t.example), Kwarg{"regex", k.regex}))
	}
	if re := t.regex(); re != "" && c.present >= leastOfSet*int64(len(t.shapes)) {
		out = append(out, c.rule("expect_column_values_to_match_regex", plural(int64(len(t.shapes)), "form")+", like "+quote(t.example), Kwarg{"regex", re}))
	}
	return out
}

// roomFor leaves texts of varying length some more.
func roomFor(shortest, longest int) int {
	if shortest == longest {
		return longest
	}
	return longest + longest/4
}

// shares proposes that values keep their shares. The threshold is three times
// what chance alone makes of as many rows, once in a thousand times.
func (c *column) shares() Rule {
	var vals []any
	var weights []float64
	left := 1.0
	sorted := c.sorted()
	for i, v := range sorted {
		w := math.Round(float64(v.count)/float64(c.present)*1e6) / 1e6
		if i == len(sorted)-1 {
			w = math.Round(left*1e6) / 1e6
		}
		left -= w
		vals, weights = append(vals, v.value), append(weights, w)
	}
	k := float64(len(vals) - 1)
	chance := (k + 4.4*math.Sqrt(k) + 5.4) / (2 * float64(c.present))
	threshold := roundUp(max(0.001, 3*chance))
	if slices.Contains(weights, 0) {
		// A share too small to write down: the measure would call it impossible.
		weights = nil
		for _, v := range sorted {
			weights = append(weights, float64(v.count)/float64(c.present))
		}
	}
	return c.rule("expect_column_kl_divergence_to_be_less_than", "the shares of the values; a larger threshold lets them drift further",
		Kwarg{"partition_object", partition{vals, weights}}, Kwarg{"threshold", threshold})
}

type partition struct {
	Values  []any     `json:"values"`
	Weights []float64 `json:"weights"`
}

// meanRule bounds the mean by a tenth of the standard deviation, or by what
// chance makes of as many rows where that is more.
func (c *column) meanRule() Rule {
	margin := max(c.stdev()/10, 4*c.stdev()/math.Sqrt(float64(c.present)))
	margin = max(margin, math.Abs(c.mean)*1e-6)
	return c.rule("expect_column_mean_to_be_between", fmt.Sprintf("mean %.6g, standard deviation %.4g", c.mean, c.stdev()),
		Kwarg{"min_value", outward(c.mean-margin, -1)}, Kwarg{"max_value", outward(c.mean+margin, 1)})
}

// rules are the combinations that were seen, where chance would have shown others.
// Of columns that all depend on each other a few such rules say the rest: no
// rule joins two columns that others have joined already.
func (p *pairs) rules(cols []*column) (out []Rule) {
	type candidate struct {
		a, b    int
		missing int
		set     [][]any
	}
	var all []candidate
	for k, m := range p.counts {
		a, b := cols[k[0]], cols[k[1]]
		// Null on one side only is a combination that a set of pairs would have to name.
		if a.nulls > 0 || b.nulls > 0 || !paired(a) || !paired(b) || len(a.values.list) < 2 || len(b.values.list) < 2 || isFloat(a) || isFloat(b) {
			continue
		}
		x := candidate{a: k[0], b: k[1]}
		for i, u := range a.values.list {
			for j, v := range b.values.list {
				if m[i][j] > 0 {
					x.set = append(x.set, []any{u.value, v.value})
				} else if float64(u.count)*float64(v.count)/float64(a.present) >= leastMissing {
					x.missing++
				}
			}
		}
		if x.missing > 0 {
			slices.SortFunc(x.set, func(x, y []any) int { return cmp.Or(compareValues(x[0], y[0]), compareValues(x[1], y[1])) })
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(y.missing, x.missing), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	group := make([]int, len(cols))
	for i := range group {
		group[i] = i
	}
	for _, x := range all {
		if group[x.a] == group[x.b] {
			continue
		}
		from, to := group[x.b], group[x.a]
		for i := range group {
			if group[i] == from {
				group[i] = to
			}
		}
		a, b := cols[x.a], cols[x.b]
		out = append(out, Rule{Type: "expect_column_pair_values_to_be_in_set", Kwargs: []Kwarg{{"column_A", a.name}, {"column_B", b.name}, {"value_pairs_set", x.set}},
			Evidence: fmt.Sprintf("%d of %d combinations came; of the others chance would have shown %d", len(x.set), len(a.values.list)*len(b.values.list), x.missing)})
	}
	return out
}

// leastMissing is in how many rows chance would have shown a combination that never came.
const leastMissing = 20

func isFloat(c *column) bool {
	return c.typ == feature.Float32 || c.typ == feature.Float64 || c.typ == feature.Timestamp
}

// rules of order: one column is never below another, and their ranges do not say so already.
func (o *order) rules(cols []*column) (out []Rule) {
	for _, p := range o.alive {
		a, b := cols[p.a], cols[p.b]
		if p.together < leastOfSet || a.min >= b.max || p.equal == p.together || a.few() || b.few() || b.max-b.min < (a.max-a.min)/10 {
			continue
		}
		kw := []Kwarg{{"column_A", a.name}, {"column_B", b.name}}
		ev := "in every row"
		if p.equal > 0 {
			kw, ev = append(kw, Kwarg{"or_equal", true}), fmt.Sprintf("in every row, equal in %s", count(p.equal))
		}
		out = append(out, Rule{Type: "expect_column_pair_values_a_to_be_greater_than_b", Kwargs: kw, Evidence: ev})
	}
	return out
}
