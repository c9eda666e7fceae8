package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// ResultFormat is how much a result says, in Great Expectations' words.
type ResultFormat string

const (
	BooleanOnly ResultFormat = "boolean_only" // verdicts
	Basic       ResultFormat = "basic"        // counts and examples
	Summary     ResultFormat = "summary"      // and the rows of the examples and the most frequent values
	Complete    ResultFormat = "complete"     // and every unexpected value with its row
)

// ResultFormats lists them from the least.
var ResultFormats = []ResultFormat{BooleanOnly, Basic, Summary, Complete}

// ParseResultFormat reads the name of a result format, in either case.
func ParseResultFormat(s string) (ResultFormat, error) {
	for _, f := range ResultFormats {
		if strings.EqualFold(s, string(f)) {
			return f, nil
		}
	}
	return "", feature.Errorf(feature.Invalid, "check.result_format", s, "there is no such result format").
		WithHint("use boolean_only, basic, summary or complete")
}

// Validation is Great Expectations' ExpectationSuiteValidationResult as JSON has it.
type Validation struct {
	Success         bool                       `json:"success"`
	Results         []Result                   `json:"results"`
	SuiteName       string                     `json:"suite_name"`
	SuiteParameters map[string]json.RawMessage `json:"suite_parameters"`
	Statistics      Statistics                 `json:"statistics"`
	Meta            map[string]any             `json:"meta"`
	ID              *string                    `json:"id"`
}

// Statistics counts the results.
type Statistics struct {
	Evaluated    int      `json:"evaluated_expectations"`
	Successful   int      `json:"successful_expectations"`
	Unsuccessful int      `json:"unsuccessful_expectations"`
	Percent      *float64 `json:"success_percent"`
}

// Result is one ExpectationValidationResult.
type Result struct {
	Success       bool           `json:"success"`
	Expectation   Expectation    `json:"expectation_config"`
	Result        map[string]any `json:"result"`
	Meta          map[string]any `json:"meta"`
	ExceptionInfo Exception      `json:"exception_info"`
}

// Expectation is an ExpectationConfiguration.
type Expectation struct {
	Type     string                     `json:"type"`
	Kwargs   map[string]json.RawMessage `json:"kwargs"`
	Meta     json.RawMessage            `json:"meta"`
	Notes    json.RawMessage            `json:"notes,omitempty"`
	ID       string                     `json:"id,omitempty"`
	Severity feature.Severity           `json:"severity"`
}

// Exception says that an expectation could not be evaluated.
type Exception struct {
	Raised    bool    `json:"raised_exception"`
	Traceback *string `json:"exception_traceback"`
	Message   *string `json:"exception_message"`
}

// SchemaExpectation is the type under which the schema stands among the results.
const SchemaExpectation = "expect_rows_to_match_json_schema"

// Validation writes the outcome as Great Expectations does. The schema is a
// result more, the last.
func (o *Outcome) Validation(format ResultFormat, examples int) *Validation {
	v := &Validation{Success: o.Success(), Results: []Result{}, SuiteParameters: map[string]json.RawMessage{}, Meta: map[string]any{
		"active_batch_definition": map[string]any{"datasource_name": "weir", "data_connector_name": "file", "data_asset_name": o.Path, "batch_identifiers": map[string]any{}},
		"rows":                    o.Rows,
	}}
	if o.Stopped {
		v.Meta["stopped_early"] = true
	}
	if o.Suite != nil {
		v.SuiteName, v.SuiteParameters = o.Suite.Name, o.Suite.Parameters
		for i := range o.Suite.Report.Results {
			v.Results = append(v.Results, gxResult(&o.Suite.Report.Results[i], format, o.Suite.Parameters, examples))
		}
	}
	if o.Schema != nil {
		v.Results = append(v.Results, o.Schema.gx(format, examples))
	}
	for i := range v.Results {
		v.Statistics.Evaluated++
		if v.Results[i].Success {
			v.Statistics.Successful++
		} else {
			v.Statistics.Unsuccessful++
		}
	}
	if n := v.Statistics.Evaluated; n > 0 {
		p := float64(v.Statistics.Successful) / float64(n) * 100
		v.Statistics.Percent = &p
	}
	return v
}

func gxResult(r *expect.Result, format ResultFormat, params map[string]json.RawMessage, examples int) Result {
	e := &r.Expectation
	out := Result{Success: r.Success, Meta: map[string]any{}, Result: map[string]any{},
		Expectation: Expectation{Type: e.Type, Kwargs: withValues(e.Kwargs, params), Meta: e.Meta, Notes: e.Notes, ID: e.ID, Severity: e.Level()}}
	if out.Expectation.Meta == nil {
		out.Expectation.Meta = json.RawMessage("{}")
	}
	if r.Exception != "" {
		out.ExceptionInfo = Exception{Raised: true, Message: &r.Exception}
		return out
	}
	if r.Error != "" {
		out.Meta["error_bound"] = r.Error
	}
	if format == BooleanOnly {
		return out
	}
	m := out.Result
	if !r.Map {
		m["observed_value"] = plain(r.Observed)
		if r.Details != nil {
			m["details"] = plain(r.Details)
		}
		return out
	}
	m["element_count"], m["unexpected_count"] = r.Elements, r.Unexpected
	total := percent(r.Unexpected, r.Elements)
	m["unexpected_percent"] = total
	if r.Missing >= 0 {
		present := percent(r.Unexpected, r.Elements-r.Missing)
		m["missing_count"], m["missing_percent"] = r.Missing, percent(r.Missing, r.Elements)
		m["unexpected_percent"], m["unexpected_percent_nonmissing"], m["unexpected_percent_total"] = present, present, total
	}
	values, rows := []any{}, []int64{}
	for _, x := range r.Examples {
		values, rows = append(values, plain(x.Value)), append(rows, x.Row)
	}
	some := min(examples, len(values))
	m["partial_unexpected_list"] = values[:some]
	if format == Basic {
		return out
	}
	counts := []any{}
	for _, c := range r.Counts[:min(examples, len(r.Counts))] {
		counts = append(counts, map[string]any{"value": plain(c.Value), "count": c.Count})
	}
	m["partial_unexpected_counts"], m["partial_unexpected_index_list"] = counts, rows[:some]
	if format == Complete {
		m["unexpected_list"], m["unexpected_index_list"] = values, rows
	}
	return out
}

// gx is the schema as a result.
func (s *SchemaOutcome) gx(format ResultFormat, examples int) Result {
	name, _ := json.Marshal(s.Name) // a string always encodes
	out := Result{Success: s.Failed == 0, Meta: map[string]any{}, Result: map[string]any{}, Expectation: Expectation{
		Type: SchemaExpectation, Kwargs: map[string]json.RawMessage{"schema_file": name}, Meta: json.RawMessage("{}"), Severity: feature.Critical}}
	if format == BooleanOnly {
		return out
	}
	m := out.Result
	m["element_count"], m["unexpected_count"], m["unexpected_percent"] = s.Rows, s.Failed, percent(s.Failed, s.Rows)
	rules := []any{}
	for _, b := range s.Broken {
		r := map[string]any{"keyword": b.Keyword, "path": b.Path, "expected": b.Expected, "count": b.Count}
		values, rows := []any{}, []int64{}
		for _, x := range b.Examples[:min(examples, len(b.Examples))] {
			values, rows = append(values, x.Value), append(rows, x.Row)
		}
		r["partial_unexpected_list"] = values
		if format != Basic {
			r["partial_unexpected_index_list"] = rows
		}
		rules = append(rules, r)
	}
	m["details"] = map[string]any{"rules": rules}
	if s.More > 0 {
		m["details"].(map[string]any)["more"] = s.More
	}
	return out
}

// percent is null where there is nothing to take a share of.
func percent(part, whole int64) *float64 {
	if whole <= 0 {
		return nil
	}
	p := float64(part) / float64(whole) * 100
	return &p
}

// plain makes a value what JSON can hold: NaN and infinities are null, times text.
func plain(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return floating(v)
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	case []byte:
		return string(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return v
}

// floating is a float that is written with its point, 50.0, as Python does.
type floating float64

func (f floating) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(float64(f))
	if err == nil && !bytes.ContainsAny(b, ".eE") {
		b = append(b, '.', '0')
	}
	return b, err
}

// withValues puts the values in the place of {"$PARAMETER": name}.
func withValues(kwargs, params map[string]json.RawMessage) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(kwargs))
	for k, raw := range kwargs {
		out[k] = raw
		if !bytes.Contains(raw, []byte(`"$PARAMETER"`)) {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			continue
		}
		if b, err := json.Marshal(substitute(v, params)); err == nil {
			out[k] = b
		}
	}
	return out
}

func substitute(v any, params map[string]json.RawMessage) any {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["$PARAMETER"]; ok {
			if x, ok := params[fmt.Sprint(name)]; ok {
				return x
			}
		}
		for k := range v {
			v[k] = substitute(v[k], params)
		}
	case []any:
		for i := range v {
			v[i] = substitute(v[i], params)
		}
	}
	return v
}
