package drift

import (
	"context"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// Store keeps windows, progress, verdicts, states and events. drift/sqlstore
// and drift/memory satisfy it; drift/drifttest says what that means.
//
// Every method is one transaction: it happens wholly or not at all, and may run
// in several processes at once. Errors are feature.Unavailable where the same
// call may work later.
type Store interface {
	outbox.Store

	// Stage keeps the deltas of a commit apart from the windows. Staging a commit
	// again replaces what was staged; staging one that is settled changes nothing.
	Stage(ctx context.Context, s *Staged) error
	// Settle tells that the commit has landed: its deltas are merged into the
	// windows and its marks into the progress, once. Commits that its marks stand
	// on (Mark.FromCommit) have landed before it and are settled first where they
	// are still staged; staged commits that start below where it ends can never
	// land and are dropped. known is false when the commit is neither staged nor settled.
	Settle(ctx context.Context, commit string, now time.Time) (known bool, err error)
	// Assign tells where a view's table stands: what is staged under
	// Position.Commit is settled, and staged commits that start below
	// Position.Next are dropped. A staged commit that starts at Position.Next or
	// above is left: whoever staged it may be about to land it. Partitions of which
	// nothing is known are registered as drained (an empty partition may never
	// have anything else to tell), and no partition counts as idle for AssignGrace.
	Assign(ctx context.Context, view string, at []feature.Position, now time.Time) error
	// Drop forgets staged commits that will never land.
	Drop(ctx context.Context, commits []string) error

	// Progress returns how far the view's partitions and imports have come.
	Progress(ctx context.Context, view string) ([]Progress, error)
	// Windows lists windows by project, monitor, size and start.
	Windows(ctx context.Context, q WindowQuery) ([]WindowRecord, error)
	// Close closes open windows: rows that come later are late.
	Close(ctx context.Context, s Series, starts []int64, now time.Time) error
	// States returns the states of a project's monitors; "" is any.
	States(ctx context.Context, project, monitor string) ([]MonitorState, error)
	// Record stores what came of a closed window, the state it leads to, the
	// event and its outbox entries. ok is false, and nothing is stored, when the
	// window is not closed (somebody else has recorded it) or the state has moved on.
	Record(ctx context.Context, j *Judgement) (ok bool, err error)

	// Reference returns a stored reference profile, feature.NotFound when there is none.
	Reference(ctx context.Context, key string) ([]byte, error)
	// PutReference stores one; the first stored under a key stays.
	PutReference(ctx context.Context, key string, profile []byte, now time.Time) error

	// Events lists events, newest first.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// Prune forgets the ids of commits settled before, the profiles of windows
	// judged before, and outbox entries delivered before.
	Prune(ctx context.Context, settled, judged, delivered time.Time) error
}

// AssignGrace is how long a newly assigned partition counts as not idle, before
// Window.IdleFor begins: long enough for its worker to find out whether there is
// a backlog. The first commit that names the partition ends it.
const AssignGrace = 10 * time.Second

// Assigned is the progress of a partition after Assign; p is nil where nothing was known.
func Assigned(p *Progress, view string, at feature.Position, now time.Time) Progress {
	if p == nil {
		p = &Progress{View: view, TopicID: at.TopicID, Partition: at.Partition, Next: at.Next, Drained: true, Updated: now.UnixMicro()}
	}
	n := *p
	n.Since = now.Add(AssignGrace).UnixMicro()
	return n
}

// Series names a line of windows: those of one monitor and window size. A monitor
// whose thresholds change keeps its windows; one whose window size changes begins anew.
type Series struct{ Project, Monitor, Size string }

func (s Series) String() string { return s.Project + "/" + s.Monitor + "@" + s.Size }

// SeriesOf is the series of a monitor's windows.
func SeriesOf(m *feature.Monitor) Series { return Series{m.Meta.Project, m.Meta.Name, m.Window.Size} }

// Delta is what one commit adds to one window.
type Delta struct {
	Series
	Start, End int64
	Import     string // the import's topic id in hex; empty for rows of a stream
	Profile    *Profile
}

// Mark is how one commit moves a partition.
type Mark struct {
	TopicID    [16]byte
	Partition  int32
	FromCommit string // the commit that the partition stood at; empty when the table did not know it
	FromNext   int64
	Next       int64
	Partitions int // of the topic; 0 for imports
	MaxEvent   int64
	Any        bool // MaxEvent means something
	Drained    bool
	Final      bool
	// Carried marks repeat what landed with earlier commits (while no monitor
	// wanted it); they are not part of the commit's compare-and-swap.
	Carried bool
}

// Staged is what one commit will add once it has landed.
type Staged struct {
	Commit string
	View   string // View.ID
	Marks  []Mark
	Deltas []Delta
}

// Progress is how far a partition, or an import, has come.
type Progress struct {
	View       string
	TopicID    [16]byte
	Partition  int32
	Partitions int
	Next       int64
	MaxEvent   int64
	Any        bool
	Drained    bool
	Final      bool
	Since      int64 // when it last moved or became drained, microseconds UTC of the worker's clock
	Updated    int64
}

// Apply moves the progress by a mark. It never goes back: after a rollback of the table
// events come again that are counted.
func (p *Progress) Apply(m *Mark, now int64) {
	if p.Updated == 0 || m.Next > p.Next || m.Drained != p.Drained || p.Since > now {
		p.Since = now
	}
	if m.Any && (!p.Any || m.MaxEvent > p.MaxEvent) {
		p.MaxEvent, p.Any = m.MaxEvent, true
	}
	p.Next = max(p.Next, m.Next)
	p.Drained = m.Drained
	p.Final = p.Final || m.Final
	p.Partitions = max(p.Partitions, m.Partitions)
	p.Updated = now
}

// WindowState is where a window stands.
type WindowState string

const (
	Open          WindowState = "open"
	Closed        WindowState = "closed" // takes no more rows, waits for its verdict
	Judged        WindowState = "judged"
	ReferenceOnly WindowState = "reference" // inside the reference's range: counted, not judged
)

// WindowRecord is a window as it is stored.
type WindowRecord struct {
	Series
	Start, End int64 // microseconds UTC
	State      WindowState
	Rows       int64
	ImportRows int64    // of Rows, those that came from imports
	Late       int64    // rows that came after it was closed; not in Rows
	Imports    []string // imports that brought rows while it was open
	Profile    *Profile // nil unless asked for, or when it was pruned
	Verdict    *Verdict // nil unless judged
	ClosedAt   int64
	JudgedAt   int64
}

// Add merges a delta; a window that is no longer open counts its rows as late.
func (w *WindowRecord) Add(d *Delta) {
	if w.State != Open {
		w.Late += d.Profile.Rows
		return
	}
	w.Rows += d.Profile.Rows
	if d.Import != "" {
		w.ImportRows += d.Profile.Rows
		known := false
		for _, id := range w.Imports {
			known = known || id == d.Import
		}
		if !known {
			w.Imports = append(w.Imports, d.Import)
		}
	}
	if w.Profile == nil {
		w.Profile = &Profile{}
	}
	w.Profile.Merge(d.Profile)
}

// WindowQuery chooses windows; empty fields do not choose.
type WindowQuery struct {
	Project, Monitor, Size string
	States                 []WindowState
	Profiles               bool // decode the profiles too
	Newest                 bool // newest first, where Limit is to cut the oldest off
	Limit                  int  // no limit when 0
}

// MonitorState is whether a series drifts, and since when.
type MonitorState struct {
	Series
	View     string
	Version  int  // of the monitor's definition that judged last
	Drifting bool // k drifted windows in a row, and not yet k steady ones
	Streak   int  // judged windows in a row that say the opposite of Drifting
	Since    int64
	// LastStart is the newest window that counted. Older ones, as an import of
	// history brings them, are judged but change no state.
	LastStart int64
	Seen      bool   // LastStart means something
	Event     string // id of the event of the last change; empty before the first
	Revision  int64  // guards against two judges
	Updated   int64
}

// Judgement is what Record stores.
type Judgement struct {
	Series
	Start   int64
	State   WindowState   // Judged or ReferenceOnly
	Verdict *Verdict      // nil for ReferenceOnly
	Next    *MonitorState // nil leaves the state as it is; Revision is the one it was read with
	Event   *Event        // nil unless the state changed
	Outbox  []outbox.Entry
	At      time.Time
}

// Event is a change of state as it was told.
type Event struct {
	ID                     string
	Project, Monitor, View string
	Type                   string // DetectedType or ResolvedType
	Time                   int64
	WindowStart, WindowEnd int64
	Retrain                bool   // asks for a retraining
	Payload                []byte // the CloudEvent, structured JSON
}

// EventQuery chooses events; empty fields do not choose.
type EventQuery struct {
	Project, Monitor, ID string
	Limit                int // 100 when 0
}
