package tally

import (
	"context"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// Stager is what a Tap needs of a Store.
//
// Every method is one transaction: it happens wholly or not at all, and may run
// in several processes at once. Errors are feature.Unavailable where the same
// call may work later.
type Stager[T Tally[T]] interface {
	// Stage keeps the deltas of a commit apart from the windows. Staging a commit
	// again replaces what was staged; staging one that is settled changes nothing.
	Stage(ctx context.Context, s *Staged[T]) error
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
}

// Store keeps windows, progress, verdicts, states and events. The packages
// sqlstore and memory below satisfy it; tallytest says what that means. The
// events and the outbox may be shared by several stores.
//
// V is a verdict as a pointer, nil for none; it is kept as JSON.
type Store[T Tally[T], V comparable] interface {
	outbox.Store
	Stager[T]

	// Windows lists windows by project, owner, size and start.
	Windows(ctx context.Context, q WindowQuery) ([]Record[T, V], error)
	// Counts tells how many windows of a line stand in each state.
	Counts(ctx context.Context, s Series) (map[WindowState]int64, error)
	// Close closes open windows: rows that come later are late.
	Close(ctx context.Context, s Series, starts []int64, now time.Time) error
	// States returns the states of a project's owners; "" is any.
	States(ctx context.Context, project, owner string) ([]State, error)
	// Record stores what came of a window, the state it leads to, the event and its
	// outbox entries. ok is false, and nothing is stored, when the window is not where
	// it was read (Closed; Open for an early verdict), somebody else has judged it since, or the state has moved on.
	Record(ctx context.Context, j *Judgement[V]) (ok bool, err error)
	// Tell stores a change of state that no window has brought (a rule by wall
	// clock), its event and outbox entries. ok is false, and nothing is stored, when the state has moved on.
	Tell(ctx context.Context, c *Change) (ok bool, err error)

	// Reference returns what is stored under a key (a profile to compare with), feature.NotFound when there is nothing.
	Reference(ctx context.Context, key string) ([]byte, error)
	// PutReference stores it; the first stored under a key stays.
	PutReference(ctx context.Context, key string, profile []byte, now time.Time) error

	// Events lists events, newest first.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// Prune forgets the ids of commits settled before, the profiles of windows
	// judged for good before but for those to keep, and outbox entries delivered before.
	Prune(ctx context.Context, settled, judged, delivered time.Time, keep ...Kept) error
}

// Kept are profiles that stay, whatever their age: others are put together of them, or compared with them.
type Kept struct {
	Series
	From int64 // those of windows that end after it
}

// WindowQuery chooses windows; empty fields do not choose.
type WindowQuery struct {
	Project, Owner, Size string
	States               []WindowState
	Starts               []int64
	From, Before         int64 // windows that start in [From, Before); both 0 do not choose
	Profiles             bool  // decode the profiles too
	Bare                 bool  // leave the verdicts out: of years of windows they are gigabytes
	Newest               bool  // newest first, where Limit is to cut the oldest off
	Limit                int   // no limit when 0
}

// Judgement is what Record stores.
type Judgement[V comparable] struct {
	Series
	Start int64
	// State is Judged, Skipped or Abandoned for a closed window; Open gives an early verdict to an open one.
	State   WindowState
	Verdict V // nil for Skipped
	// Deltas and Seen are those of the record that was judged.
	Deltas, Seen int64
	Change
}

// Change is a change of state, or part of one. At is always set.
type Change struct {
	Next   *State // nil leaves the state as it is; Revision is the one it was read with
	Event  *Event // nil unless there is something to tell
	Outbox []outbox.Entry
	At     time.Time
}

// EventQuery chooses events; empty fields do not choose.
type EventQuery struct {
	Project, Owner, ID string
	Limit              int // 100 when 0
}

// Event is something that was told: usually a change of state.
type Event struct {
	ID                     string
	Project, Owner, View   string
	Type                   string // of the CloudEvent
	Time                   int64  // microseconds UTC
	WindowStart, WindowEnd int64  // 0 where there is no window
	Retrain                bool   // asks for a retraining
	Payload                []byte // the CloudEvent, structured JSON
}

// Entries are outbox entries of an event, one for each destination, with the
// event itself as payload. The events of one owner are delivered in order.
func (e *Event) Entries(destinations []string, headers map[string]string) []outbox.Entry {
	out := make([]outbox.Entry, 0, len(destinations))
	for _, d := range destinations {
		out = append(out, outbox.Entry{
			ID: e.ID + "/" + d, Destination: d, Key: e.Project + "/" + e.Owner, Scope: e.Project, Payload: e.Payload, Headers: headers,
		})
	}
	return out
}
