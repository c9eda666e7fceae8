package expect

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// compiler collects one suite and its faults.
type compiler struct {
	schema     *arrow.Schema
	out        *Suite
	faults     []feature.Fault
	jsonSchema func([]byte) (JSONSchema, error)
	renamed    func(name string) string // nil: nothing is known
	arrays     map[string]feature.Type  // the columns that are arrays in their packed form
	parameters map[string]json.RawMessage
	table      *TableSuite  // what a whole table is judged by; nil for a stream
	window     *WindowSuite // what windows are judged by, with table
	windows    bool         // a stream whose windows are judged too: what is not about single rows is left to them
}

// built is what the maker of a rule returns: the loop and what the rule wants.
type built struct {
	run      func(b *batch, fail validate.Bitmap) (evaluated int)
	expected string
}

func (c *compiler) compile(i int, e *feature.Expectation) {
	a := &args{c: c, at: fmt.Sprintf("spec.expectations[%d]", i), raw: e.Kwargs, arrays: arrayRules[e.Type]}
	build, ok := rules[e.Type]
	if build, whole := tableRules[e.Type]; whole && (c.table != nil || c.windows) {
		if c.table != nil {
			c.compileWhole(a, e, build)
		}
		return
	}
	if !ok {
		c.faults = append(c.faults, feature.Fault{Field: a.at + ".type", Msg: c.unknown(e.Type)})
		return
	}
	a.parameters()
	under := a.condition()
	mostly := a.mostly()
	b := build(a)
	a.finish()
	if c.table != nil {
		c.tableRows(a, e, b, under, mostly)
		return
	}
	if a.bad {
		return
	}
	names := []string{}
	for _, col := range a.cols {
		names = append(names, a.name(col))
	}
	rule := validate.Rule{
		Type: e.Type, ID: e.ID, Path: strings.Join(names, ","), Expected: b.expected,
		Severity: e.Level(), Mostly: mostly, Rejects: mostly == 1 && e.Level() == feature.Critical,
	}
	if mostly < 1 && e.Level() == feature.Critical {
		a.warn("mostly", "a share of many rows cannot hold back a single one: failures are counted and no row is rejected")
	}
	c.out.rules = append(c.out.rules, rule)
	c.out.checks = append(c.out.checks, check{columns: a.cols, under: under, run: b.run})
}

// mostly reads the share of rows that must pass, 1 when it is not given.
func (a *args) mostly() float64 {
	n := a.number("mostly")
	if n == nil {
		return 1
	}
	f, _ := n.float64()
	if !(f >= 0 && f <= 1) {
		a.fault("mostly", "must be between 0 and 1 (got %s)", short(a.raw["mostly"]))
	}
	return f
}

// use returns the place of a column among those that the suite looks at.
func (c *compiler) use(ref columnRef) int {
	for i, have := range c.out.columns {
		if have.index == ref.index {
			return i
		}
	}
	c.out.columns = append(c.out.columns, ref)
	return len(c.out.columns) - 1
}

func (c *compiler) suggestColumn(name string) string {
	if c.renamed != nil {
		if now := c.renamed(name); now != "" {
			return ": it is called " + now + " now"
		}
	}
	var names []string
	for _, f := range c.schema.Fields() {
		names = append(names, f.Name)
	}
	if s := didYouMean(name, names); s != "" {
		return s
	}
	if len(names) == 0 {
		return ": there is none at all"
	}
	if len(names) > 20 {
		return fmt.Sprintf(": there are %d others", len(names))
	}
	return ": there are " + strings.Join(names, ", ")
}

func (c *compiler) unknown(typ string) string {
	if r, ok := refused[typ]; ok && c.table != nil {
		return fmt.Sprintf("unsupported: %s is a %s expectation, %s", typ, r.kind, r.why)
	} else if ok {
		hint := ""
		if _, windowed := tableRules[typ]; windowed {
			hint = "; give the view a quality.window, and it is judged per window"
		}
		return fmt.Sprintf("unsupported on a stream: %s is a %s expectation, %s%s", typ, r.kind, r.why, hint)
	}
	if typ == "" {
		return "the expectation's type is required, like expect_column_values_to_not_be_null"
	}
	known := slices.Concat(sortedKeys(rules), sortedKeys(refused), sortedKeys(tableRules))
	return fmt.Sprintf("unknown expectation type %q%s", typ, didYouMean(typ, known))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// didYouMean names the nearest of the known words when one is near.
func didYouMean(s string, known []string) string {
	best, dist := "", max(2, len(s)/4)+1
	for _, k := range known {
		if max(len(s), len(k))-min(len(s), len(k)) >= dist {
			continue
		}
		if d := distance(strings.ToLower(s), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is the number of letters to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, diag+1)
		}
	}
	return row[len(b)]
}
