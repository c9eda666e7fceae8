package quality

import "github.com/weir-ml/weir/registry/feature"

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
