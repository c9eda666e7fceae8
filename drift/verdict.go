package drift

// Outcome is what came of judging a feature in a window.
type Outcome string

const (
	Steady       Outcome = "steady"       // judged, no drift
	Drifted      Outcome = "drifted"      // significant and large enough
	Insufficient Outcome = "insufficient" // fewer than min_count values in the window or the reference
	NoReference  Outcome = "no_reference" // the reference does not have the feature, or has it as another type
	CountedOnly  Outcome = "counted"      // only nulls can be compared, and they have not drifted: timestamp, bytes, arrays
)

// Check is one test of one feature: significance and effect size.
type Check struct {
	Name   string  `json:"name"` // distribution, nulls, new_categories or outliers
	Test   string  `json:"test"` // ks, chi_square, proportions or unseen
	PValue float64 `json:"p_value"`
	// Adjusted is the p-value after Benjamini and Hochberg over all checks of the window: at most alpha is significant.
	Adjusted float64 `json:"adjusted_p_value"`
	Effect   string  `json:"effect"` // distance, psi, jensen_shannon or cohen_h
	Value    float64 `json:"value"`  // of the effect
	// Threshold is what the effect must reach: what the monitor says, or what the reference's
	// own chunks reach at the window's number of values, whichever is more; only the
	// former where the test is not significant, whatever the effect.
	Threshold float64 `json:"threshold"`
	Drifted   bool    `json:"drifted"`
}

// Result is one feature of a judged window.
type Result struct {
	Name     string  `json:"name"`
	Outcome  Outcome `json:"outcome"`
	Count    int64   `json:"count"` // values that are not null
	Nulls    int64   `json:"nulls"`
	RefCount int64   `json:"reference_count"`
	RefNulls int64   `json:"reference_nulls"`
	Test     string  `json:"test,omitempty"` // of the distribution: "ks" or "chi_square"; empty where it was not tested
	// Statistic and PValue are nil where the distribution was not tested.
	Statistic *float64 `json:"statistic,omitempty"`
	PValue    *float64 `json:"p_value,omitempty"`
	// SketchError is how far the KS statistic may be off because sketches were
	// compared; the p-value is that of the statistic less this.
	SketchError float64 `json:"sketch_error,omitempty"`
	// Effect sizes: Distance (in standard deviations of the reference) and PSI of numbers; JS (a distance) and LInf (the
	// largest change of a category's share) of categories.
	Distance *float64 `json:"distance,omitempty"`
	PSI      *float64 `json:"psi,omitempty"`
	JS       *float64 `json:"js,omitempty"`
	LInf     *float64 `json:"linf,omitempty"`
	Outliers *float64 `json:"outliers,omitempty"` // share of numbers beyond the reference's usual ones
	Unseen   int      `json:"unseen,omitempty"`   // categories that the reference does not have
	// Checks are all tests, what was made of each; verdicts from before there were several have none.
	Checks []Check `json:"checks,omitempty"`
}

// tested keeps the test of the distribution where events and older readers look for it.
func (r *Result) tested(c Check, statistic float64) {
	p := c.PValue
	r.Test, r.Statistic, r.PValue = c.Test, &statistic, &p
}

// Drifted reports whether the feature has drifted.
func (r *Result) Drifted() bool { return r.Outcome == Drifted }

// Reasons are the names of the checks by which the feature has drifted.
func (r *Result) Reasons() []string {
	var out []string
	for i := range r.Checks {
		if r.Checks[i].Drifted {
			out = append(out, r.Checks[i].Name)
		}
	}
	return out
}

// Verdict is what came of judging a window.
type Verdict struct {
	Outcome Outcome `json:"outcome"` // Drifted when any feature has; Insufficient when none could be judged
	// Alpha is the significance that a single test had to reach for the monitor's alpha to hold
	// over all of the window: that of Benjamini and Hochberg, between alpha divided by the tests and alpha.
	Alpha    float64  `json:"alpha"`
	Features []Result `json:"features"` // in the monitor's order
	// Performance is set of monitors that judge predictions; there are no features then.
	Performance *Performance `json:"performance,omitempty"`
	// Compared is the snapshot it was compared with; nil for a range of time, and in verdicts from before it was kept.
	Compared *Compared `json:"compared,omitempty"`
}

// DriftedFeatures are the names of the features that drifted.
func (v *Verdict) DriftedFeatures() []string {
	var names []string
	for i := range v.Features {
		if v.Features[i].Drifted() {
			names = append(names, v.Features[i].Name)
		}
	}
	return names
}
