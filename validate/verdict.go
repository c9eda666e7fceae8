package validate

import (
	"github.com/weir-ml/weir/registry/feature"
)

// Rule is one rule of a compiled suite, at the place it has in the suite.
type Rule struct {
	Type     string // the expectation's type: "expect_column_values_to_not_be_null"
	ID       string // the id the suite gives it; may be empty
	Path     string // the columns it looks at, joined by ","
	Expected string // what it wants, for people: "between 0 and 200"
	Severity feature.Severity
	Mostly   float64 // the share of evaluated rows that must pass, 1 for all
	// Rejects tells that a row which fails the rule is held back: the severity is
	// critical and every row has to pass.
	Rejects bool
}

// Count is what one rule saw of a batch.
type Count struct {
	Evaluated int64 // rows the rule had an opinion on: for most rules those that are not null
	Failed    int64 // rows among them that broke it
}

// Passed reports whether the rows that passed are at least the share mostly of
// those evaluated. Nothing evaluated has passed.
func (c Count) Passed(mostly float64) bool {
	if c.Failed == 0 {
		return true
	}
	return float64(c.Evaluated-c.Failed)/float64(c.Evaluated) >= mostly
}

// Row is a rejected row: its place in the batch and every rule it broke, those
// included that on their own would only have been counted (Reason.Severity tells).
type Row struct {
	Index   int
	Reasons []feature.Reason
}

// Verdict is what a suite says about one batch. The zero value is ready; it is
// made to be used again for the next batch, and a batch that breaks no rule
// costs no allocation. It belongs to one goroutine.
//
// Its slices are valid until the next check.
type Verdict struct {
	rows     int
	rules    []Rule
	counts   []Count
	failures []Bitmap // one per rule
	out      Bitmap   // rejected rows
	rejected []Row
	keep     []int
}

// Reset forgets everything and makes room for a batch of the given number of
// rows, judged by rules. A checker calls it, then fills Failures and Counts,
// then calls Close. rules is kept, not copied.
func (v *Verdict) Reset(rows int, rules []Rule) {
	v.rows, v.rules = rows, rules
	if cap(v.counts) < len(rules) {
		v.counts = make([]Count, len(rules))
	}
	v.counts = v.counts[:len(rules)]
	clear(v.counts)
	for len(v.failures) < len(rules) {
		v.failures = append(v.failures, nil)
	}
	for i := range rules {
		v.failures[i] = grown(v.failures[i], rows)
	}
	v.out = grown(v.out, rows)
	clear(v.rejected)
	v.rejected = v.rejected[:0]
}

// Close counts the failures, decides which rows are rejected and asks reason
// for each rule that a rejected row broke.
func (v *Verdict) Close(reason func(rule, row int) feature.Reason) {
	for i := range v.rules {
		n := v.failures[i].Count()
		v.counts[i].Failed = int64(n)
		if n > 0 && v.rules[i].Rejects {
			for w, word := range v.failures[i] {
				v.out[w] |= word
			}
		}
	}
	for row := range v.out.Rows() {
		var rs []feature.Reason
		for i := range v.rules {
			if v.counts[i].Failed > 0 && v.failures[i].Get(row) {
				rs = append(rs, reason(i, row))
			}
		}
		v.rejected = append(v.rejected, Row{row, rs})
	}
}

// Rows is the number of rows judged.
func (v *Verdict) Rows() int { return v.rows }

// Rules are the rules of the suite, in its order. Not to be changed.
func (v *Verdict) Rules() []Rule { return v.rules }

// Counts has one entry per rule.
func (v *Verdict) Counts() []Count { return v.counts }

// Failures has the rows that broke a rule, also of rules that do not reject.
func (v *Verdict) Failures(rule int) Bitmap { return v.failures[rule] }

// FailedBy is the number of failures of rules of one severity. A row that broke
// two of them counts twice.
func (v *Verdict) FailedBy(s feature.Severity) int64 {
	var n int64
	for i := range v.rules {
		if v.rules[i].Severity == s {
			n += v.counts[i].Failed
		}
	}
	return n
}

// Rejected has the rejected rows in row order; empty, and free, when there are none.
// Its reasons may be kept.
func (v *Verdict) Rejected() []Row { return v.rejected }

// IsRejected reports whether row i is rejected.
func (v *Verdict) IsRejected(i int) bool { return len(v.rejected) > 0 && v.out.Get(i) }

// Keep has the indexes of the rows that are not rejected, in order.
func (v *Verdict) Keep() []int {
	v.keep = v.keep[:0]
	for i := range v.rows {
		if !v.IsRejected(i) {
			v.keep = append(v.keep, i)
		}
	}
	return v.keep
}
