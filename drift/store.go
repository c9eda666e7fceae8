package drift

import (
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// What is kept of monitors is kept by internal/tally, where each of these is described.
type (
	Store        = tally.Store[*Profile, *Verdict]
	Stager       = tally.Stager[*Profile]
	Series       = tally.Series
	Delta        = tally.Delta[*Profile]
	Mark         = tally.Mark
	Staged       = tally.Staged[*Profile]
	Progress     = tally.Progress
	WindowState  = tally.WindowState
	WindowRecord = tally.Record[*Profile, *Verdict]
	WindowQuery  = tally.WindowQuery
	Judgement    = tally.Judgement[*Verdict]
	Change       = tally.Change
	Standing     = tally.Standing
	Event        = tally.Event
	EventQuery   = tally.EventQuery
	// MonitorState is whether a series drifts: Firing.
	MonitorState = tally.State
)

// Where a window stands.
const (
	Open          = tally.Open
	Closed        = tally.Closed
	Judged        = tally.Judged
	ReferenceOnly = tally.Skipped // inside the reference's range: counted, not judged
)

// AssignGrace is tally.AssignGrace.
const AssignGrace = tally.AssignGrace

// SeriesOf is the series of a monitor's windows.
func SeriesOf(m *feature.Monitor) Series {
	return Series{Project: m.Meta.Project, Owner: m.Meta.Name, Size: m.Window.Name()}
}
