package expect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// args reads the kwargs of one expectation and collects what is wrong with
// them. A kwarg that nobody asked for is a fault in the end.
type args struct {
	c     *compiler
	at    string // "spec.expectations[3]"
	raw   map[string]json.RawMessage
	used  []string
	unfit string // why this table cannot be asked, where that is no fault of the suite
	lacks bool   // of unfit: however few rows there are, not only where a row has a value
	bad   bool
	wrong []string // kwargs that have a fault
	cols  []int    // columns read so far, as indexes in Suite.columns, each once
	named []int    // the same, as often as they are named

	arrays   bool     // the expectation is one for arrays as well
	typeFits bool     // the column is of a type that the expectation asks for
	absent   []absent // what holds only where a column has no value, of the row_condition

	limits bounds  // what span has read, of numbers
	share  float64 // mostly, of an expectation about a whole table
}

// Kwargs that say how Great Expectations should report or run. They do not
// change a verdict.
var reporting = []string{"result_format", "catch_exceptions", "include_config", "batch_id", "auto", "meta"}

// fault reports what is wrong with a kwarg; an empty name is the expectation itself.
func (a *args) fault(name, format string, v ...any) {
	a.bad = true
	field := a.at + ".kwargs"
	if name != "" {
		field += "." + name
		if slices.ContainsFunc(a.wrong, func(w string) bool { return name == w || strings.HasPrefix(name, w+"[") }) {
			return // one fault a kwarg: the first is the one to mend
		}
		a.wrong = append(a.wrong, name)
	}
	a.c.faults = append(a.c.faults, feature.Fault{Field: field, Msg: fmt.Sprintf(format, v...)})
}

// unfits reports a kwarg that the columns at hand do not suit. A stream's suite is
// written for its view, so that it is a fault there; a file is judged by it.
func (a *args) unfits(name, format string, v ...any) {
	if !a.alone() {
		a.fault(name, format, v...)
		return
	}
	a.bad = true
	a.lacks = a.lacks || name == "row_condition"
	if a.unfit == "" {
		a.unfit = fmt.Sprintf(format, v...)
	}
}

// lack is unfits for a table that does not have what is asked about: then it does not
// matter that there may be no row to ask.
func (a *args) lack(name, format string, v ...any) {
	a.lacks = true
	a.unfits(name, format, v...)
}

// fails reports a kwarg that Great Expectations takes and fails at: a file that is judged
// by such a suite has its other answers.
func (a *args) fails(name, format string, v ...any) {
	if !a.alone() {
		a.fault(name, format, v...)
		return
	}
	a.lack(name, "%s "+format, append([]any{name}, v...)...)
}

// alone reports whether this is for one whole table and no stream.
func (a *args) alone() bool { return a.c.table != nil && a.c.window == nil }

// parameters puts the values in the place of {"$PARAMETER": "name"}.
func (a *args) parameters() {
	for _, n := range sortedKeys(a.raw) {
		if !json.Valid(a.raw[n]) {
			a.fault(n, "is not JSON (got %s)", short(a.raw[n]))
		} else if bytes.Contains(a.raw[n], []byte(`"$PARAMETER"`)) {
			a.parameter(n)
		}
	}
}

func (a *args) parameter(kwarg string) {
	raw, err := replaceParameters(a.raw[kwarg], a.c.parameters)
	if err != nil {
		a.fault(kwarg, "%v", err)
		return
	}
	a.raw = maps.Clone(a.raw)
	a.raw[kwarg] = raw
}

// replaceParameters replaces every object {"$PARAMETER": "name"} in raw.
func replaceParameters(raw json.RawMessage, values map[string]json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || !bytes.Contains(raw, []byte(`"$PARAMETER"`)) {
		return raw, nil
	}
	switch raw[0] {
	case '[':
		var l []json.RawMessage
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, err
		}
		for i := range l {
			var err error
			if l[i], err = replaceParameters(l[i], values); err != nil {
				return nil, err
			}
		}
		return json.Marshal(l)
	case '{':
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		p, ok := m["$PARAMETER"]
		if !ok {
			for k := range m {
				var err error
				if m[k], err = replaceParameters(m[k], values); err != nil {
					return nil, err
				}
			}
			return json.Marshal(m)
		}
		var name string
		if json.Unmarshal(p, &name) != nil {
			return nil, fmt.Errorf("$PARAMETER must be the name of a parameter (got %s)", short(p))
		}
		v, ok := values[name]
		switch {
		case ok && json.Valid(v):
			return v, nil
		case ok:
			return nil, fmt.Errorf("the parameter %q is not JSON (got %s)", name, short(v))
		case values == nil:
			return nil, fmt.Errorf("unsupported: $PARAMETER stands for a value known only when the suite runs; write the value")
		}
		return nil, fmt.Errorf("no value is given for the parameter %q: there are %s", name, strings.Join(sortedKeys(values), ", "))
	}
	return raw, nil
}

// warn notes something that is right and may surprise.
func (a *args) warn(name, format string, v ...any) {
	a.c.out.warnings = append(a.c.out.warnings, feature.Fault{Field: a.at + ".kwargs." + name, Msg: fmt.Sprintf(format, v...)})
}

// get returns a kwarg that is there and not null.
func (a *args) get(name string) (json.RawMessage, bool) {
	a.used = append(a.used, name)
	r, ok := a.raw[name]
	if !ok || len(r) == 0 || string(r) == "null" {
		return nil, false
	}
	return r, true
}

func (a *args) need(name, what string) (json.RawMessage, bool) {
	r, ok := a.get(name)
	if !ok {
		a.fault(name, "is required: %s", what)
	}
	return r, ok
}

func (a *args) decode(name string, r json.RawMessage, into any, what string) bool {
	if err := json.Unmarshal(r, into); err != nil {
		a.fault(name, "must be %s (got %s)", what, short(r))
		return false
	}
	return true
}

func (a *args) str(name, what string) (string, bool) {
	r, ok := a.need(name, what)
	if !ok {
		return "", false
	}
	var s string
	return s, a.decode(name, r, &s, what)
}

func (a *args) bool(name string) bool {
	r, ok := a.get(name)
	var v bool
	return ok && a.decode(name, r, &v, "true or false") && v
}

// oneOf reads an optional word; the first of words is the default.
func (a *args) oneOf(name string, words ...string) string {
	r, ok := a.get(name)
	if !ok {
		return words[0]
	}
	what := "one of " + strings.Join(words, ", ")
	var s string
	if !a.decode(name, r, &s, what) {
		return words[0]
	}
	if !slices.Contains(words, s) {
		a.fault(name, "must be %s (got %q)", what, s)
	}
	return s
}

// number reads an optional number.
func (a *args) number(name string) *number {
	r, ok := a.get(name)
	if !ok {
		return nil
	}
	v := a.scalar(name, r)
	if v == nil {
		return nil
	}
	if v.kind != numberScalar {
		a.fault(name, "must be a number (got %s)", short(r))
		return nil
	}
	return &v.num
}

func (a *args) list(name, what string) ([]json.RawMessage, bool) {
	r, ok := a.need(name, what)
	if !ok {
		return nil, false
	}
	var l []json.RawMessage
	return l, a.decode(name, r, &l, what)
}

func (a *args) strings(name, what string) ([]string, bool) {
	l, ok := a.list(name, what)
	if !ok {
		return nil, false
	}
	out := make([]string, len(l))
	for i, r := range l {
		if string(r) == "null" || !a.decode(fmt.Sprintf("%s[%d]", name, i), r, &out[i], "text") {
			if !a.bad {
				a.fault(fmt.Sprintf("%s[%d]", name, i), "must be text (got null)")
			}
			return nil, false
		}
	}
	return out, true
}

// column reads the name of a column and returns its index in Suite.columns.
func (a *args) column(name string) (int, bool) {
	s, ok := a.str(name, "the name of a column")
	if !ok {
		return 0, false
	}
	return a.resolve(name, s)
}

func (a *args) columnList(name string, least int) ([]int, bool) {
	l, ok := a.strings(name, "a list of column names")
	if !ok {
		return nil, false
	}
	if len(l) < least {
		a.fault(name, "must name at least %d columns (got %d)", least, len(l))
		return nil, false
	}
	out := make([]int, len(l))
	good := true
	for i, s := range l {
		var ok bool
		out[i], ok = a.resolve(fmt.Sprintf("%s[%d]", name, i), s)
		good = good && ok
	}
	return out, good
}

func (a *args) resolve(at, name string) (int, bool) {
	found := a.c.schema.FieldIndices(name)
	if len(found) == 0 {
		a.lack(at, "there is no column %q%s", name, a.c.suggestColumn(name))
		return 0, false
	}
	typ := a.c.typeOf(a.c.schema.Field(found[0]))
	if a.refusesArray(at, name, typ) {
		return 0, false
	}
	if typ == feature.InvalidType {
		a.lack(at, "column %s is %s, which cannot be checked: cast it to one of %s", name,
			a.c.schema.Field(found[0]).Type, strings.Join(feature.TypeNames(), ", "))
		return 0, false
	}
	i := a.c.use(columnRef{found[0], name, typ})
	a.named = append(a.named, i)
	if !slices.Contains(a.cols, i) {
		a.cols = append(a.cols, i)
	}
	return i, true
}

func (a *args) typ(col int) feature.Type { return a.c.out.columns[col].typ }
func (a *args) name(col int) string      { return a.c.out.columns[col].name }

// finish reports kwargs that the expectation does not have. Of one that the table does not
// suit nothing is said: its maker may not have come to read them all.
func (a *args) finish() {
	if a.unfit != "" {
		return
	}
	for _, n := range sortedKeys(a.raw) {
		if !slices.Contains(a.used, n) && !slices.Contains(reporting, n) {
			known := slices.DeleteFunc(slices.Clone(a.used), func(s string) bool { return s == "row_condition" || s == "condition_parser" })
			a.fault(n, "this expectation has no such kwarg%s", didYouMean(n, known))
		}
	}
}

// scalarKind is what a JSON value is.
type scalarKind uint8

const (
	nullScalar scalarKind = iota
	boolScalar
	numberScalar
	textScalar
)

// scalar is a JSON value that a cell can be compared with.
type scalar struct {
	kind scalarKind
	yes  bool
	num  number
	text string
}

// scalar reads one value, nil with a fault when it is not one.
func (a *args) scalar(at string, r json.RawMessage) *scalar {
	r = bytes.TrimSpace(r)
	if len(r) == 0 {
		a.fault(at, "a value is missing")
		return nil
	}
	switch c := r[0]; {
	case string(r) == "null":
		return &scalar{}
	case string(r) == "true" || string(r) == "false":
		return &scalar{kind: boolScalar, yes: c == 't'}
	case c == '"':
		var s string
		if !a.decode(at, r, &s, "text") {
			return nil
		}
		return &scalar{kind: textScalar, text: s}
	case (c == '-' || c >= '0' && c <= '9') && json.Valid(r):
		n, err := parseNumber(string(r))
		if err != nil {
			a.fault(at, "%v", err)
			return nil
		}
		return &scalar{kind: numberScalar, num: n}
	}
	a.fault(at, "must be a number, text, true, false or null (got %s)", short(r))
	return nil
}

// short is a JSON value for a message.
func short(r []byte) string { return feature.Shorten(bytes.TrimSpace(r)) }
