package drift

import (
	"fmt"

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

// SeriesOf is the series of a monitor's windows. One that has another view than it had begins anew: panes of both
// would be merged, or be what those of the other are compared with.
func SeriesOf(m *feature.Monitor) Series {
	size := m.Window.Name()
	if m.SinceVersion > 0 {
		size += fmt.Sprintf(" since version %d", m.SinceVersion)
	}
	return Series{Project: m.Meta.Project, Owner: m.Meta.Name, Size: size}
}
