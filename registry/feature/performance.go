package feature

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Performance has a monitor judge how good a model was: its predictions, which are the
// monitor's view, against their outcomes, which come later in another view under the same keys.
type Performance struct {
	Prediction string         `json:"prediction"` // a feature of the monitor's view
	Kind       PredictionKind `json:"kind"`
	Outcomes   Outcomes       `json:"outcomes"`
	Metrics    []string       `json:"metrics,omitempty"` // what is judged; by Kind when empty
	// Positive is the label that a probability is about, and that precision and recall are of.
	// "true" or 1 of labels that are booleans or numbers when empty; texts have no default.
	Positive string `json:"positive,omitempty"`
	// Threshold is from where on a probability says Positive; 0.5 when 0.
	Threshold float64 `json:"threshold,omitempty"`
	// Baseline has a value for each metric that windows are compared with, in the place of a reference.
	Baseline map[string]float64 `json:"baseline,omitempty"`
	// Drop is by how much a share must have fallen, 0.02 when 0; Rise by what part of the
	// reference's an error must have grown, 0.1 when 0.
	Drop float64 `json:"drop,omitempty"`
	Rise float64 `json:"rise,omitempty"`
	// MinCoverage is the share of a window's predictions that must have an outcome; 0.5 when nil.
	MinCoverage *float64 `json:"min_coverage,omitempty"`
}

// Outcomes are where true labels come.
type Outcomes struct {
	View   string   `json:"view"`
	Label  string   `json:"label"` // a feature of that view
	Within Duration `json:"within"`
	// Absent is the label of a prediction for which no outcome came in that time; without
	// it such predictions are not judged.
	Absent string `json:"absent,omitempty"`

	ViewOf *View `json:"-"` // set when the catalog resolves the monitor
}

// PredictionKind is what a prediction is.
type PredictionKind string

const (
	Probability PredictionKind = "probability" // from 0 to 1, of the positive label
	Label       PredictionKind = "label"       // one of the labels
	Number      PredictionKind = "number"      // an estimate of a number
)

// What a prediction can be judged by.
const (
	MetricAccuracy  = "accuracy"  // share of right labels
	MetricPrecision = "precision" // share of right ones among what was said to be positive
	MetricRecall    = "recall"    // share of what was positive that was said to be
	MetricLogLoss   = "log_loss"
	MetricBrier     = "brier" // mean squared difference of probability and outcome
	MetricMAE       = "mae"   // mean absolute error
	MetricRMSE      = "rmse"  // root of the mean squared error
)

var kindMetrics = map[PredictionKind][]string{
	Probability: {MetricAccuracy, MetricLogLoss, MetricBrier, MetricPrecision, MetricRecall},
	Label:       {MetricAccuracy, MetricPrecision, MetricRecall},
	Number:      {MetricMAE, MetricRMSE},
}

// metricsByDefault is how many of kindMetrics are judged where none are named.
var metricsByDefault = map[PredictionKind]int{Probability: 2, Label: 1, Number: 1}

// IsShare reports whether a metric is a share of predictions: more is better. Of the others, errors, less is.
func IsShare(metric string) bool {
	return metric == MetricAccuracy || metric == MetricPrecision || metric == MetricRecall
}

// ComparedWith is what windows are compared with, for people: the reference, or a baseline's values.
func (m *Monitor) ComparedWith() string {
	p := m.Performance
	if p == nil || len(p.Baseline) == 0 {
		return m.Reference.String()
	}
	var out []string
	for _, x := range slices.Sorted(maps.Keys(p.Baseline)) {
		out = append(out, fmt.Sprintf("%s %v", x, p.Baseline[x]))
	}
	return strings.Join(out, ", ")
}

// withDefaults returns a copy with everything that has a default filled in.
func (p *Performance) withDefaults() *Performance {
	c := *p
	if len(c.Metrics) == 0 {
		if c.Metrics = slices.Sorted(maps.Keys(c.Baseline)); len(c.Metrics) == 0 {
			c.Metrics = kindMetrics[c.Kind][:metricsByDefault[c.Kind]]
		}
	}
	if c.Threshold == 0 {
		c.Threshold = 0.5
	}
	if c.Drop == 0 {
		c.Drop = 0.02
	}
	if c.Rise == 0 {
		c.Rise = 0.1
	}
	if c.MinCoverage == nil {
		half := 0.5
		c.MinCoverage = &half
	}
	if c.Positive == "" && c.Outcomes.ViewOf != nil {
		if at := c.Outcomes.ViewOf.Feature(c.Outcomes.Label); at >= 0 {
			switch t := c.Outcomes.ViewOf.Features[at].Type; {
			case t == Bool:
				c.Positive = "true"
			case t.Numeric():
				c.Positive = "1"
			}
		}
	}
	return &c
}

func (p *Performance) check(m *Monitor) (f []Fault) {
	const at = "spec.performance"
	if p.Prediction == "" {
		f = append(f, Fault{at + ".prediction", "the feature with the prediction is required"})
	}
	kinds := []PredictionKind{Probability, Label, Number}
	known := slices.Contains(kinds, p.Kind)
	if !known {
		f = append(f, Fault{at + ".kind", fmt.Sprintf("%q is not a kind of prediction: there are probability, label, number", p.Kind)})
	}
	o := p.Outcomes
	if o.View == "" {
		f = append(f, Fault{at + ".outcomes.view", "the name of the FeatureView with the outcomes is required"})
	}
	if o.Label == "" {
		f = append(f, Fault{at + ".outcomes.label", "the feature with the true label is required"})
	}
	if o.Within <= 0 || o.Within%1000 != 0 {
		f = append(f, Fault{at + ".outcomes.within", "how long an outcome is waited for is required: a duration of whole microseconds, like 7d"})
	}
	for i, x := range p.Metrics {
		field := fmt.Sprintf("%s.metrics[%d]", at, i)
		switch {
		case known && !slices.Contains(kindMetrics[p.Kind], x):
			f = append(f, Fault{field, fmt.Sprintf("%q does not measure a %s: there are %s", x, p.Kind, strings.Join(kindMetrics[p.Kind], ", "))})
		case slices.Contains(p.Metrics[:i], x):
			f = append(f, Fault{field, fmt.Sprintf("%q is there twice", x)})
		case len(p.Baseline) > 0:
			if _, ok := p.Baseline[x]; !ok {
				f = append(f, Fault{at + ".baseline", fmt.Sprintf("has no value for %s: give one for each metric", x)})
			}
		}
	}
	for _, x := range slices.Sorted(maps.Keys(p.Baseline)) {
		v := p.Baseline[x]
		switch {
		case known && !slices.Contains(kindMetrics[p.Kind], x):
			f = append(f, Fault{at + ".baseline." + x, fmt.Sprintf("does not measure a %s: there are %s", p.Kind, strings.Join(kindMetrics[p.Kind], ", "))})
		case len(p.Metrics) > 0 && !slices.Contains(p.Metrics, x):
			f = append(f, Fault{at + ".baseline." + x, "is not one of metrics"})
		case IsShare(x) && (v <= 0 || v > 1):
			f = append(f, Fault{at + ".baseline." + x, "is a share: above 0, 1 at most"})
		case v <= 0 || math.IsInf(v, 0) || math.IsNaN(v):
			f = append(f, Fault{at + ".baseline." + x, "must be above 0"})
		}
	}
	if p.Threshold < 0 || p.Threshold > 1 {
		f = append(f, Fault{at + ".threshold", "must be between 0 and 1"})
	}
	if p.Threshold != 0 && p.Kind != Probability {
		f = append(f, Fault{at + ".threshold", "is where a probability says yes: only for kind: probability"})
	}
	if p.Kind == Number && p.Positive != "" {
		f = append(f, Fault{at + ".positive", "numbers have no positive label"})
	}
	if p.Drop < 0 || p.Drop > 1 || p.Rise < 0 {
		f = append(f, Fault{at, "drop is a difference of shares, between 0 and 1, and rise must not be negative"})
	}
	if c := p.MinCoverage; c != nil && (*c < 0 || *c > 1) {
		f = append(f, Fault{at + ".min_coverage", "is a share: from 0 to 1"})
	}
	r := m.Reference
	switch times := !r.From.IsZero() || !r.To.IsZero(); {
	case r.Snapshot != "" || r.Model != "":
		f = append(f, Fault{"spec.reference", "a training set has no predictions to compare with: give from: and to:, or performance.baseline: with the values that the model had when it was trained"})
	case times && len(p.Baseline) > 0:
		f = append(f, Fault{"spec.reference", "give a time range or performance.baseline, not both"})
	}
	if m.Window.Rows != 0 {
		f = append(f, Fault{"spec.window.rows", "performance is judged in windows that are all as long: leave rows out"})
	}
	if m.Window.Slide != "" {
		f = append(f, Fault{"spec.window.slide", "performance is judged in windows that do not overlap: leave slide out"})
	}
	for _, x := range []struct {
		field string
		set   bool
	}{{"features", len(m.Features) > 0}, {"tests", len(m.Tests) > 0}, {"distance", m.Distance != 0}, {"psi", m.PSI != 0}, {"js", m.JS != 0}, {"linf", m.LInf != 0}} {
		if x.set {
			f = append(f, Fault{"spec." + x.field, "says when values drift, and this monitor judges performance: have another monitor for that"})
		}
	}
	return f
}

// Fits checks the monitor's performance against the two views it reads; both are resolved.
// Faults are about types and keys: that the features exist is known.
func (p *Performance) Fits(predictions, outcomes *View) (f []Fault) {
	const at = "spec.performance"
	same := len(predictions.Keys) == len(outcomes.Keys)
	for i := 0; same && i < len(predictions.Keys); i++ {
		same = predictions.Keys[i].Type == outcomes.Keys[i].Type
	}
	if !same {
		f = append(f, Fault{at + ".outcomes.view", fmt.Sprintf("predictions and outcomes find each other by key, and the keys differ: %s has %s, %s has %s",
			predictions.Meta.Name, keyList(predictions), outcomes.Meta.Name, keyList(outcomes))})
	}
	pt, lt := predictions.Features[predictions.Feature(p.Prediction)].Type, outcomes.Features[outcomes.Feature(p.Outcomes.Label)].Type
	single := func(t Type) bool { return t == Bool || t == String || t.Numeric() }
	for _, x := range []struct {
		field, name string
		t           Type
	}{{".prediction", p.Prediction, pt}, {".outcomes.label", p.Outcomes.Label, lt}} {
		if !single(x.t) {
			return append(f, Fault{at + x.field, fmt.Sprintf("%s is %s: use a feature that is a number, a bool or a string", x.name, x.t)})
		}
	}
	switch p.Kind {
	case Probability:
		if !pt.Numeric() {
			f = append(f, Fault{at + ".prediction", fmt.Sprintf("%s is %s and no probability: use a number from 0 to 1, or kind: label", p.Prediction, pt)})
		}
	case Number:
		if !pt.Numeric() {
			f = append(f, Fault{at + ".prediction", fmt.Sprintf("%s is %s and no number: use kind: label", p.Prediction, pt)})
		}
		if !lt.Numeric() {
			f = append(f, Fault{at + ".outcomes.label", fmt.Sprintf("%s is %s and no number: use kind: label or probability", p.Outcomes.Label, lt)})
		}
	case Label:
		if family(pt) != family(lt) {
			f = append(f, Fault{at + ".outcomes.label", fmt.Sprintf("%s is %s and the prediction %s is %s: labels must be of one type to be compared", p.Outcomes.Label, lt, p.Prediction, pt)})
		}
	}
	if len(f) > 0 {
		return f
	}
	d := *p
	d.Outcomes.ViewOf = outcomes
	full := d.withDefaults()
	needs := p.Kind == Probability || slices.Contains(full.Metrics, MetricPrecision) || slices.Contains(full.Metrics, MetricRecall)
	if needs && full.Positive == "" {
		f = append(f, Fault{at + ".positive", "which label is the positive one is required, where labels are texts"})
	}
	for _, x := range []struct{ field, text string }{{".positive", full.Positive}, {".outcomes.absent", p.Outcomes.Absent}} {
		if x.text != "" && !isOf(lt, x.text) {
			f = append(f, Fault{at + x.field, fmt.Sprintf("%q cannot be a label: %s is %s", x.text, p.Outcomes.Label, lt)})
		}
	}
	return f
}

// family is which types may be compared with each other.
func family(t Type) int {
	switch {
	case t.Numeric():
		return 1
	case t == Bool:
		return 2
	}
	return 3
}

// isOf reports whether a text of a manifest can be a value of the type.
func isOf(t Type, text string) bool {
	var err error
	switch {
	case t == Bool:
		_, err = strconv.ParseBool(text)
	case t.Numeric():
		_, err = strconv.ParseFloat(text, 64)
	}
	return err == nil
}

func keyList(v *View) string {
	out := make([]string, len(v.Keys))
	for i, k := range v.Keys {
		out[i] = k.Name + " " + k.Type.String()
	}
	return strings.Join(out, ", ")
}
