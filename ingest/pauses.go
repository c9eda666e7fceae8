package ingest

import (
	"context"
	"slices"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// States of a Pause.
const (
	PauseStanding = "paused"   // it waits for a person
	PauseResumed  = "resumed"  // it goes on and counts anew
	PauseAccepted = "accepted" // it goes on and takes all until the share of bad events has fallen
)

// Pause is where a view stands on one partition since too many of its events were
// bad. It outlives workers, and moves with the partition from one to another.
type Pause struct {
	Project   string           `json:"project"`
	View      string           `json:"view"`
	Topic     string           `json:"topic"`
	TopicID   [16]byte         `json:"topic_id"`
	Partition int32            `json:"partition"`
	State     string           `json:"state"`
	Next      int64            `json:"next"`     // the first event that waits
	Clean     bool             `json:"clean"`    // no event from Next on has been judged and held back, by anyone
	Since     int64            `json:"since"`    // microseconds UTC
	Rejected  int64            `json:"rejected"` // of Events, at the event that was too much
	Limit     float64          `json:"limit"`
	Events    int64            `json:"events"`
	Rules     map[string]int64 `json:"rules,omitempty"`
	JudgedBy  string           `json:"judged_by"` // another one judges anew
}

// same reports whether two are of one view and partition.
func (p *Pause) same(o *Pause) bool {
	return p.Project == o.Project && p.View == o.View && p.TopicID == o.TopicID && p.Partition == o.Partition
}

// StateAmong is the state to store of a pause where all is what is stored of its view: that
// of the same pause, here or on another partition, where somebody has resumed it.
func (p *Pause) StateAmong(all []Pause) string {
	for _, o := range all {
		if o.Project == p.Project && o.View == p.View && o.TopicID == p.TopicID && o.Since == p.Since && o.State != PauseStanding {
			return o.State
		}
	}
	return p.State
}

// Pauses remembers views that paused. All workers of an installation share it.
type Pauses interface {
	// Of gives the pauses of a view; of all views of a project, or of all, where names are empty.
	Of(ctx context.Context, project, view string) ([]Pause, error)
	// Put stores a pause in the place of what was there of its view and partition. A pause
	// (Since) that was resumed stays so, on partitions that are noted later too: a worker that
	// notes what it knew before somebody resumed must not undo that. See Pause.StateAmong.
	Put(ctx context.Context, p Pause) error
	// Resume moves the pauses of a view from PauseStanding to a state and returns them.
	Resume(ctx context.Context, project, view, state string) ([]Pause, error)
	// Forget removes what is there of the view and partition.
	Forget(ctx context.Context, p Pause) error
}

// Alert tells somebody what needs a person. It is called again until it returns
// nil, and may then be called once more with the same ID after a restart.
type Alert interface {
	Alert(ctx context.Context, e Event) error
}

// Types of an Event.
const (
	EventPaused  = "paused"
	EventResumed = "resumed"
)

// Event is a view that paused, or went on.
type Event struct {
	ID            string // the same event has the same
	Type          string
	Project, View string
	Topic         string
	At            int64 // microseconds UTC
	// Of a pause: so many of the last Events were bad, Limit is the share that is
	// let pass, and Rules are what those failed that would have come next.
	Rejected, Events int64
	Limit            float64
	Rules            map[string]int64
	Partition        int32 // where it was noticed
	Accepted         bool  // of a view that went on: bad events were accepted
}

// memoryPauses remembers as long as the process lives.
type memoryPauses struct {
	mu  sync.Mutex
	all []Pause // guarded by mu
}

// NewPauses gives Pauses that live in memory, for a process without a database.
func NewPauses() Pauses { return &memoryPauses{} }

func (m *memoryPauses) Of(_ context.Context, project, view string) (out []Pause, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.all {
		if (project == "" || p.Project == project) && (view == "" || p.View == view) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (m *memoryPauses) Put(_ context.Context, p Pause) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.State = p.StateAmong(m.all)
	m.all = append(slices.DeleteFunc(m.all, func(o Pause) bool { return o.same(&p) }), p)
	return nil
}

func (m *memoryPauses) Resume(_ context.Context, project, view, state string) (out []Pause, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.all {
		if p := &m.all[i]; p.Project == project && p.View == view && p.State == PauseStanding {
			p.State = state
			out = append(out, *p)
		}
	}
	return out, nil
}

func (m *memoryPauses) Forget(_ context.Context, p Pause) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = slices.DeleteFunc(m.all, func(o Pause) bool { return o.same(&p) })
	return nil
}

// Resume has a paused view go on: by accept with its bad events, else judging anew.
// It returns the partitions that stood still; the workers notice within a second or two.
func Resume(ctx context.Context, pauses Pauses, project, view string, accept bool) ([]int32, error) {
	state := PauseResumed
	if accept {
		state = PauseAccepted
	}
	ps, err := pauses.Resume(ctx, project, view, state)
	if err != nil {
		return nil, err
	}
	if len(ps) == 0 {
		return nil, feature.Errorf(feature.NotFound, "ingest.resume", "view "+project+"/"+view, "it is not paused").
			WithHint("weir status shows which views are")
	}
	var out []int32
	for _, p := range ps {
		out = append(out, p.Partition)
	}
	slices.Sort(out)
	return out, nil
}
