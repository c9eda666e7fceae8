package drift

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Tap is the sink of one view that folds its rows into the windows of the
// view's monitors. It satisfies ingest.Sink; how it counts each row once is tally.Tap's.
type Tap struct {
	*tally.Tap[*Profile]
	view string
}

// TapOptions are what a Tap may be given; zero values are fine.
type TapOptions struct {
	Log     *slog.Logger
	Metrics *Metrics
	Settled func()           // called after each Settle that moved a window or progress: Watch.Kick
	Now     func() time.Time // only for how long a partition has been quiet
}

// NewTap makes the sink of a view for the monitors that watch it, or wait for its outcomes; others are left out.
func NewTap(view *feature.View, monitors []*feature.Monitor, store Stager, opt TapOptions) *Tap {
	if opt.Metrics == nil {
		opt.Metrics = NewMetrics(nil)
	}
	return &Tap{view: view.ID(), Tap: tally.NewTap(view, targets(view.ID(), monitors), store, tally.TapOptions{
		Name: "drift", Log: opt.Log, Settled: opt.Settled, Now: opt.Now, Progress: slices.ContainsFunc(monitors, func(m *feature.Monitor) bool { return judgesPerformance(m, view.ID()) }),
		Merged: func(took time.Duration) { opt.Metrics.settle.Observe(took.Seconds()) },
	})}
}

// SetMonitors replaces the monitors; those of other views are left out. It may
// be called at any time: a batch being written still goes to the old ones.
func (t *Tap) SetMonitors(monitors []*feature.Monitor) { t.SetTargets(targets(t.view, monitors)) }

func targets(view string, monitors []*feature.Monitor) (out []tally.Target[*Profile]) {
	for _, m := range monitors {
		if m.ViewOf == nil || m.ViewOf.ID() != view {
			continue
		}
		var fields []feature.Field // of predictions the table has what is needed; windows are to begin and end
		if m.Performance == nil {
			fields = slices.Clone(Monitored(m))
		}
		slices.SortFunc(fields, func(a, b feature.Field) int { return strings.Compare(a.Stored(), b.Stored()) })
		out = append(out, &target{monitor: m, fields: fields})
	}
	return out
}

// target is the windows of one monitor.
type target struct {
	monitor *feature.Monitor
	fields  []feature.Field // in the order of Profile.Features
}

func (t *target) Series() Series         { return SeriesOf(t.monitor) }
func (t *target) Window() feature.Window { return t.monitor.Window }

func (t *target) New() *Profile {
	p := &Profile{Features: make([]Named, len(t.fields))}
	for i, f := range t.fields {
		p.Features[i] = Named{f.Stored(), NewSketch(ShapeOf(f.Type))}
	}
	return p
}

// Bind gives what folds rows of one version of the view: each feature from the
// column that its values are kept under, whatever it is called there.
func (t *target) Bind(v *feature.View) func(*Profile, *feature.Batch, int, int, bool) {
	cols := make([]int, len(t.fields))
	for i, f := range t.fields {
		cols[i] = -1 // the view does not have it
		if at := v.Stored(f.Stored()); at >= 0 {
			cols[i] = len(v.Keys) + at
		}
	}
	var f folder
	return func(p *Profile, b *feature.Batch, from, to int, _ bool) {
		p.Rows += int64(to - from)
		for i, c := range cols {
			if c >= 0 {
				f.update(p.Features[i].Sketch, b.Rows.Column(c), from, to)
			}
		}
	}
}
