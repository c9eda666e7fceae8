package quality

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// Outcome is what came of an expectation in a window, or of a suite.
type Outcome string

const (
	OK     Outcome = "ok"
	Failed Outcome = "failed"
	// Insufficient says nothing either way: there were no rows to judge, or the expectation could not be evaluated on them.
	Insufficient Outcome = "insufficient"
)

// Verdict is what a suite says about one window. It is kept as JSON.
type Verdict struct {
	Suite    string           `json:"suite"`
	Version  int              `json:"version"`
	Shadow   bool             `json:"shadow,omitempty"`
	Outcome  Outcome          `json:"outcome"`            // failed when an expectation failed that alerts
	Severity feature.Severity `json:"severity,omitempty"` // the worst of those that failed
	Rows     int64            `json:"rows"`               // that were judged
	Results  []Result         `json:"results"`
}

// Result is what one expectation says about one window.
type Result struct {
	Type     string           `json:"type"`
	ID       string           `json:"id,omitempty"`
	Column   string           `json:"column,omitempty"` // columns, where there are several: "a, b"
	Severity feature.Severity `json:"severity"`
	Outcome  Outcome          `json:"outcome"`
	// Expected is the expectation's arguments but for the column, as compact JSON.
	Expected string `json:"expected,omitempty"`
	// Observed is the observed value of an aggregate, as JSON has it.
	Observed any `json:"observed,omitempty"`
	// Elements, Missing and Unexpected are counts of rows, of expectations judged row by row.
	Elements   int64 `json:"elements,omitempty"`
	Missing    int64 `json:"missing,omitempty"`
	Unexpected int64 `json:"unexpected,omitempty"`
	// Examples are unexpected values, shortened; those of masked columns are not shown.
	Examples []string `json:"examples,omitempty"`
	Error    string   `json:"error,omitempty"`  // declared error of what sketches estimate
	Reason   string   `json:"reason,omitempty"` // why it could not be evaluated
}

// Name is how people call the expectation: its id, else its type and column.
func (r *Result) Name() string {
	switch {
	case r.ID != "":
		return r.ID
	case r.Column != "":
		return r.Type + "(" + r.Column + ")"
	}
	return r.Type
}

// alerts reports whether a failure of this severity changes a state.
func alerts(s feature.Severity) bool { return s != feature.Info }

// worse returns the more severe of two.
func worse(a, b feature.Severity) feature.Severity {
	rank := map[feature.Severity]int{feature.Info: 1, feature.Warning: 2, feature.Critical: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// failed are copies of the results that alert.
func (v *Verdict) failed() []Result {
	var out []Result
	for _, r := range v.Results {
		if r.Outcome == Failed && alerts(r.Severity) {
			out = append(out, r)
		}
	}
	return out
}

// verdict makes a verdict of a report.
func verdict(l Line, rep *expect.Report, t *expect.WindowTally) *Verdict {
	v := &Verdict{Suite: l.Suite.Meta.Name, Version: l.Suite.Version, Shadow: l.Shadow, Rows: rep.Rows, Outcome: OK, Results: make([]Result, len(rep.Results))}
	mask := l.View.Mask()
	known, asked := false, false
	for i := range rep.Results {
		r := &v.Results[i]
		*r = result(mask, &rep.Results[i], t)
		if !alerts(r.Severity) {
			continue
		}
		asked = true
		switch r.Outcome {
		case Failed:
			v.Outcome, v.Severity = Failed, worse(v.Severity, r.Severity)
		case OK:
			known = true
		}
	}
	if v.Outcome == OK && asked && !known {
		v.Outcome = Insufficient
	}
	return v
}

// most examples that a verdict keeps of an expectation, and most elements of a list.
const (
	mostExamples = 5
	mostElements = 20
)

func result(mask *feature.Mask, x *expect.Result, t *expect.WindowTally) Result {
	e := &x.Expectation
	r := Result{Type: e.Type, ID: e.ID, Severity: e.Level(), Outcome: OK, Error: x.Error, Reason: x.Exception}
	columns, expected := columnsOf(e)
	r.Column = strings.Join(columns, ", ")
	r.Expected = expected
	masked := slices.ContainsFunc(columns, mask.Hides)
	if x.Map {
		r.Elements, r.Missing, r.Unexpected = x.Elements, max(0, x.Missing), x.Unexpected
		for _, ex := range x.Examples[:min(mostExamples, len(x.Examples))] {
			if !masked {
				r.Examples = append(r.Examples, shown(ex.Value))
			}
		}
	} else if !masked {
		r.Observed = plain(x.Observed, 0)
	}
	switch {
	case x.Success:
	case !x.Map && x.Observed == nil && t.Count() == t.Held():
		r.Outcome = Insufficient // all rows were held back: there is nothing to observe
	case !x.Map && x.Observed == nil && x.Exception == "":
		r.Outcome = Insufficient // no row has a value
	default:
		r.Outcome = Failed
	}
	return r
}

// hide gives results without the values of columns that are masked now: they may be from before that.
func hide(mask *feature.Mask, rs []Result) []Result {
	if mask == nil {
		return rs
	}
	out := slices.Clone(rs) // what is stored stays as it is
	for i := range out {
		if r := &out[i]; r.Column != "" && mask.Hides(r.Column) {
			r.Examples, r.Observed = nil, nil
		}
	}
	return out
}

// columnsOf are the columns of an expectation, and its other arguments as JSON.
func columnsOf(e *feature.Expectation) (columns []string, expected string) {
	rest := map[string]json.RawMessage{}
	for k, raw := range e.Kwargs {
		var one string
		var list []string
		switch {
		case k != "column" && k != "column_A" && k != "column_B" && k != "column_list" && k != "column_set":
			rest[k] = raw
		case json.Unmarshal(raw, &one) == nil:
			columns = append(columns, one)
		case json.Unmarshal(raw, &list) == nil:
			columns = append(columns, list...)
		}
	}
	slices.Sort(columns)
	if len(rest) == 0 {
		return columns, ""
	}
	b, err := json.Marshal(rest)
	if err != nil {
		return columns, ""
	}
	return columns, cut(string(b), 400)
}

// shown is a value as text, shortened.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return cut(s, 100)
	}
	b, err := json.Marshal(plain(v, 0))
	if err != nil {
		return ""
	}
	return cut(string(b), 100)
}

// plain is a value that JSON has, bounded.
func plain(v any, depth int) any {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 0):
			return map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0]
		}
		return v
	case string:
		return cut(v, 100)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case []byte:
		return cut(base64.StdEncoding.EncodeToString(v), 100)
	case []any:
		if depth > 3 {
			return "…"
		}
		out := make([]any, 0, min(len(v), mostElements))
		for i := range min(len(v), mostElements) {
			out = append(out, plain(v[i], depth+1))
		}
		if len(v) > mostElements {
			out = append(out, "…")
		}
		return out
	case map[string]any:
		if depth > 3 {
			return "…"
		}
		out := map[string]any{}
		for k, x := range v {
			out[k] = plain(x, depth+1)
		}
		return out
	case nil, bool, int64, int:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return json.RawMessage(b)
}

// cut shortens a text to about n bytes.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Text says in one line what came of the expectation.
func (r *Result) Text() string {
	s := r.Name() + " " + string(r.Outcome)
	switch {
	case r.Elements > 0:
		s += fmt.Sprintf(": %d of %d rows", r.Unexpected, r.Elements-r.Missing)
	case r.Observed != nil:
		s += ": observed " + shown(r.Observed)
	}
	if r.Expected != "" && r.Outcome == Failed {
		s += ", expected " + r.Expected
	}
	if r.Reason != "" {
		s += " (" + r.Reason + ")"
	}
	return s
}
