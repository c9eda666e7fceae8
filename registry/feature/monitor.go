package feature

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Monitor compares the live windows of a view's features with a reference.
type Monitor struct {
	Meta      Meta      `json:"metadata"`
	View      string    `json:"view"`
	Features  []string  `json:"features,omitempty"` // all of the view when empty
	Reference Reference `json:"reference"`
	Window    Window    `json:"window"`
	MinCount  int64     `json:"min_count,omitempty"` // non-null values a window and the reference need; 200 when 0
	// Alpha is the significance that tests must reach after Benjamini and Hochberg over
	// all tests of a window, so the chance that a window without drift has any; 0.01 when 0.
	Alpha float64 `json:"alpha,omitempty"`
	// Distance is how far numbers must have moved as well, in standard deviations of the
	// reference; 0.1 when 0. PSI, where it is set, takes its place: an index of ten bins. JS is
	// the Jensen-Shannon distance that categories must reach, 0.1 when 0; LInf, where it is set, takes
	// its place: by how much the share of some category must have changed. What the reference's own
	// chunks reach is the least that counts, whatever is set here.
	Distance float64 `json:"distance,omitempty"`
	PSI      float64 `json:"psi,omitempty"`
	JS       float64 `json:"js,omitempty"`
	LInf     float64 `json:"linf,omitempty"`
	// Tests are what a feature is tested for; everything in MonitorTests when empty.
	Tests []string `json:"tests,omitempty"`
	// Windows is how many drifted windows in a row make a drift; 1 when 0.
	Windows int `json:"windows,omitempty"`
	// CoolDown is how long after the window that ended a drift no other is told of. What
	// still drifts then is told of then.
	CoolDown Duration `json:"cool_down,omitempty"`
	// Retrain names what the retraining event asks for; both are only carried along.
	Retrain Retrain `json:"retrain,omitempty"`
	// Severity of its events: critical or warning; warning when empty.
	Severity Severity `json:"severity,omitempty"`
	// Performance judges the view's rows as a model's predictions, by their outcomes.
	Performance *Performance `json:"performance,omitempty"`
	// SinceVersion is the version since which the monitor counts View, set by the catalog; 0 where it never counted
	// another. What was counted before is no part of its windows.
	SinceVersion int `json:"since_version,omitempty"`

	ViewOf  *View `json:"-"` // set when the catalog resolves the monitor
	Version int   `json:"-"`
}

// What a feature can be tested for.
const (
	TestDistribution  = "distribution"   // where its values lie
	TestNulls         = "nulls"          // the share of rows that have none
	TestNewCategories = "new_categories" // values that the reference has never seen
	TestOutliers      = "outliers"       // the share of numbers beyond the reference's usual ones
)

// MonitorTests are all of them.
func MonitorTests() []string {
	return []string{TestDistribution, TestNulls, TestNewCategories, TestOutliers}
}

// Reference is what live windows are compared with: a snapshot by id, the
// rows of the view's table with an event time in [From, To), or what the version of
// Model with Alias was trained on; the others then hold until there is such a version.
type Reference struct {
	Model    string    `json:"model,omitempty"`
	Alias    string    `json:"alias,omitempty"` // of the model; ChampionAlias when empty
	Snapshot string    `json:"snapshot,omitempty"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
	// Trailing compares each window with the windows before it: those in a time as long as this
	// that ends Gap before the window begins.
	Trailing Duration `json:"trailing,omitempty"`
	Gap      Duration `json:"gap,omitempty"`

	// ModelVersion is set while a window is judged: Snapshot is this version's then.
	ModelVersion string `json:"-"`
}

// Window is a window of event time.
type Window struct {
	// Size is a duration ("1h", "1d", "7d"), aligned to 1970-01-01 UTC (weeks to Monday), or "month".
	Size string `json:"size"`
	// Slide is how long after one window the next one begins; windows do not overlap when it is empty.
	Slide string `json:"slide,omitempty"`
	// Rows has windows of as few times Size in a row as have so many rows, begun anew every AtMost; a day when 0.
	Rows     int64    `json:"rows,omitempty"`
	AtMost   Duration `json:"at_most,omitempty"`
	Lateness Duration `json:"lateness,omitempty"`   // how long after its end a window still takes rows
	IdleFor  Duration `json:"idle_after,omitempty"` // a drained partition stops holding windows open after this; 1m when 0
}

// Retrain is the model and pipeline a retraining event names.
type Retrain struct {
	Model    string `json:"model,omitempty"`
	Service  string `json:"service,omitempty"`
	Pipeline string `json:"pipeline,omitempty"`
}

func (m *Monitor) Kind() Kind     { return KindMonitor }
func (m *Monitor) GetMeta() *Meta { return &m.Meta }
func (m *Monitor) Refs() []Ref {
	r := []Ref{{KindView, m.Meta.Project, m.View}}
	if m.Retrain.Service != "" {
		r = append(r, Ref{KindService, m.Meta.Project, m.Retrain.Service})
	}
	if m.Performance != nil && m.Performance.Outcomes.View != "" {
		r = append(r, Ref{KindView, m.Meta.Project, m.Performance.Outcomes.View})
	}
	return r
}

func (m *Monitor) ID() string { return m.Meta.Project + "/" + m.Meta.Name }

func (m *Monitor) Check() []Fault {
	f := m.Meta.check()
	if m.View == "" {
		f = append(f, Fault{"spec.view", "the name of a FeatureView is required"})
	}
	r := m.Reference
	times := !r.From.IsZero() || !r.To.IsZero()
	switch {
	case r.Trailing != 0 || r.Gap != 0:
		f = append(f, m.checkTrailing()...)
	case m.Performance != nil && len(m.Performance.Baseline) > 0 && !times: // its values are the reference
	case r.Snapshot == "" && !times && r.Model == "":
		f = append(f, Fault{"spec.reference", "a reference is required: model: NAME, snapshot: ID, from: and to:, or trailing: TIME"})
	case r.Snapshot != "" && times:
		f = append(f, Fault{"spec.reference", "give a snapshot or a time range, not both"})
	case times && !r.From.Before(r.To):
		f = append(f, Fault{"spec.reference", "from must be before to"})
	}
	f = append(f, r.checkModel()...)
	f = append(f, m.Window.check("spec.window")...)
	if m.Performance != nil {
		f = append(f, m.Performance.check(m)...)
	}
	if m.Alpha < 0 || m.Alpha >= 1 {
		f = append(f, Fault{"spec.alpha", "must be between 0 and 1"})
	}
	if m.PSI < 0 || m.JS < 0 || m.LInf < 0 || m.Distance < 0 || m.MinCount < 0 || m.Windows < 0 || m.CoolDown < 0 {
		f = append(f, Fault{"spec", "distance, psi, js, linf, min_count, windows and cool_down must not be negative"})
	}
	if m.PSI > 0 && m.Distance > 0 {
		f = append(f, Fault{"spec.distance", "give distance or psi, not both: either says how far numbers must have moved"})
	}
	if m.JS > 0 && m.LInf > 0 {
		f = append(f, Fault{"spec.linf", "give js or linf, not both: either says how far categories must have moved"})
	}
	if !slices.Contains([]Severity{"", Critical, Warning}, m.Severity) {
		f = append(f, Fault{"spec.severity", fmt.Sprintf("unknown severity %q: use critical or warning", m.Severity)})
	}
	if m.LInf > 1 {
		f = append(f, Fault{"spec.linf", "is a difference of two shares: 1 at most"})
	}
	for i, x := range m.Tests {
		at := fmt.Sprintf("spec.tests[%d]", i)
		if !slices.Contains(MonitorTests(), x) {
			f = append(f, Fault{at, fmt.Sprintf("%q is not a test: there are %s", x, strings.Join(MonitorTests(), ", "))})
		} else if slices.Contains(m.Tests[:i], x) {
			f = append(f, Fault{at, fmt.Sprintf("%q is there twice", x)})
		}
	}
	for i, x := range m.Features {
		if slices.Contains(m.Features[:i], x) {
			f = append(f, Fault{fmt.Sprintf("spec.features[%d]", i), fmt.Sprintf("%q is there twice", x)})
		}
	}
	return f
}

// WithDefaults returns a copy whose thresholds are filled in.
func (m *Monitor) WithDefaults() *Monitor {
	c := *m
	if c.Performance != nil {
		c.Performance = c.Performance.withDefaults()
	}
	if c.MinCount == 0 {
		c.MinCount = 200
	}
	if c.Alpha == 0 {
		c.Alpha = 0.01
	}
	if c.PSI == 0 && c.Distance == 0 {
		c.Distance = 0.1
	}
	if len(c.Tests) == 0 {
		c.Tests = MonitorTests()
	}
	if c.JS == 0 && c.LInf == 0 {
		c.JS = 0.1
	}
	if c.Windows == 0 {
		c.Windows = 1
	}
	if c.Severity == "" {
		c.Severity = Warning
	}
	if c.Window.IdleFor == 0 {
		c.Window.IdleFor = Duration(time.Minute)
	}
	return &c
}
