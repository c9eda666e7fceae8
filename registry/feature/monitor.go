package feature

import (
	"fmt"
	"slices"
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
	// Alpha is the significance that KS and chi-square must reach, after
	// Bonferroni over the monitor's features; 0.01 when 0.
	Alpha float64 `json:"alpha,omitempty"`
	// PSI and JS are the effect sizes that a numeric or categorical feature must
	// reach as well; 0.2 and 0.1 when 0.
	PSI float64 `json:"psi,omitempty"`
	JS  float64 `json:"js,omitempty"`
	// Windows is how many drifted windows in a row make a drift; 1 when 0.
	Windows int `json:"windows,omitempty"`
	// Retrain names what the retraining event asks for; both are only carried along.
	Retrain Retrain `json:"retrain,omitempty"`

	ViewOf  *View `json:"-"` // set when the catalog resolves the monitor
	Version int   `json:"-"`
}

// Reference is what live windows are compared with: a snapshot by id, or the
// rows of the view's table with an event time in [From, To).
type Reference struct {
	Snapshot string    `json:"snapshot,omitempty"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
}

// Window is a tumbling event-time window.
type Window struct {
	// Size is a duration ("1h", "1d", "7d"), aligned to 1970-01-01 UTC (weeks to Monday), or "month".
	Size     string   `json:"size"`
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
	case r.Snapshot == "" && !times:
		f = append(f, Fault{"spec.reference", "a reference is required: snapshot: ID, or from: and to:"})
	case r.Snapshot != "" && times:
		f = append(f, Fault{"spec.reference", "give a snapshot or a time range, not both"})
	case times && !r.From.Before(r.To):
		f = append(f, Fault{"spec.reference", "from must be before to"})
	}
	f = append(f, m.Window.check("spec.window")...)
	if m.Alpha < 0 || m.Alpha >= 1 {
		f = append(f, Fault{"spec.alpha", "must be between 0 and 1"})
	}
	if m.PSI < 0 || m.JS < 0 || m.MinCount < 0 || m.Windows < 0 {
		f = append(f, Fault{"spec", "psi, js, min_count and windows must not be negative"})
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
	if c.MinCount == 0 {
		c.MinCount = 200
	}
	if c.Alpha == 0 {
		c.Alpha = 0.01
	}
	if c.PSI == 0 {
		c.PSI = 0.2
	}
	if c.JS == 0 {
		c.JS = 0.1
	}
	if c.Windows == 0 {
		c.Windows = 1
	}
	if c.Window.IdleFor == 0 {
		c.Window.IdleFor = Duration(time.Minute)
	}
	return &c
}
