package drift

// Outcome is what came of judging a feature in a window.
type Outcome string

const (
	Steady       Outcome = "steady"       // judged, no drift
	Drifted      Outcome = "drifted"      // significant and large enough
	Insufficient Outcome = "insufficient" // fewer than min_count values in the window or the reference
	NoReference  Outcome = "no_reference" // the reference does not have the feature, or has it as another type
	CountedOnly  Outcome = "counted"      // a type without a test: timestamp, bytes
)

// Result is one feature of a judged window.
type Result struct {
	Name     string  `json:"name"`
	Outcome  Outcome `json:"outcome"`
	Count    int64   `json:"count"` // values that are not null
	Nulls    int64   `json:"nulls"`
	RefCount int64   `json:"reference_count"`
	RefNulls int64   `json:"reference_nulls"`
	Test     string  `json:"test,omitempty"` // "ks" or "chi_square"; empty where nothing was tested
	// Statistic and PValue are nil where nothing was tested.
	Statistic *float64 `json:"statistic,omitempty"`
	PValue    *float64 `json:"p_value,omitempty"`
	// SketchError is how far the KS statistic may be off because sketches were
	// compared; the p-value is that of the statistic less this.
	SketchError float64 `json:"sketch_error,omitempty"`
	// PSI is the effect size of numbers, JS (a distance) that of categories.
	PSI *float64 `json:"psi,omitempty"`
	JS  *float64 `json:"js,omitempty"`
}

// Drifted reports whether the feature has drifted.
func (r *Result) Drifted() bool { return r.Outcome == Drifted }

// Verdict is what came of judging a window.
type Verdict struct {
	Outcome Outcome `json:"outcome"` // Drifted when any feature has; Insufficient when none could be judged
	// Alpha is the significance each feature had to reach: the monitor's, divided
	// by the number of its features that have a test (Bonferroni).
	Alpha    float64  `json:"alpha"`
	Features []Result `json:"features"` // in the monitor's order
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
