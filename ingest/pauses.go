package ingest

import (
	"context"
	"slices"
	"sync"
)

// States of a Pause.
const (
	PauseStanding = "paused"   // it waits for a person
	PauseResumed  = "resumed"  // it goes on and counts anew
	PauseAccepted = "accepted" // it goes on and takes as it is what the log had then
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
	JudgedBy  string           `json:"judged_by"`       // another one judges anew
	Seen      int64            `json:"seen,omitempty"`  // number of the last Resumption that was known when it paused
	Until     int64            `json:"until,omitempty"` // of PauseAccepted: the first event that is judged by the limit again
}

// same reports whether two are of one view and partition.
func (p *Pause) same(o *Pause) bool {
	return p.Project == o.Project && p.View == o.View && p.TopicID == o.TopicID && p.Partition == o.Partition
}

// Among is a pause as it is to be stored, where all is what is stored of its view and r its
// last resumption. What paused before somebody resumed the view is resumed, however late it is
// noted: a worker that did not know yet must not wait for one more word.
func (p Pause) Among(all []Pause, r Resumption) Pause {
	if p.State != PauseStanding {
		return p
	}
	if r.Number > p.Seen && r.Covers(&p) {
		return r.Of(p)
	}
	for _, o := range all { // the same pause, of a worker that stood on several partitions
		if o.Project == p.Project && o.View == p.View && o.TopicID == p.TopicID && o.Since == p.Since && o.State != PauseStanding {
			p.State = o.State
			return p
		}
	}
	return p
}

// Resumption is the last time that somebody let a view go on. It speaks of what the log had
// then, on every partition, whether the view had paused there already or not: what came later
// nobody had seen.
type Resumption struct {
	Project  string          `json:"project"`
	View     string          `json:"view"`
	Number   int64           `json:"number"` // of the view's, from 1
	State    string          `json:"state"`  // PauseResumed or PauseAccepted
	TopicID  [16]byte        `json:"topic_id"`
	Ends     map[int32]int64 `json:"ends"`      // by partition, the offset after the last event
	JudgedBy []string        `json:"judged_by"` // who had judged where the view stood; of others nothing was said
}

// Covers reports whether a pause stands at an event that the resumption speaks of.
func (r *Resumption) Covers(p *Pause) bool {
	return r.Number > 0 && r.Project == p.Project && r.View == p.View && r.TopicID == p.TopicID && p.Next < r.Ends[p.Partition] && slices.Contains(r.JudgedBy, p.JudgedBy)
}

// Of is a pause that the resumption has ended.
func (r *Resumption) Of(p Pause) Pause {
	p.State = r.State
	if r.State == PauseAccepted {
		p.Until = r.Ends[p.Partition]
	}
	return p
}

// On is what the resumption becomes when it finds these pauses standing, and what they become;
// before is the one before it.
func (r Resumption) On(standing []Pause, before Resumption) (Resumption, []Pause) {
	r.Number, r.JudgedBy = before.Number+1, nil
	out := make([]Pause, 0, len(standing))
	for _, p := range standing {
		if !slices.Contains(r.JudgedBy, p.JudgedBy) {
			r.JudgedBy = append(r.JudgedBy, p.JudgedBy)
		}
		out = append(out, r.Of(p))
	}
	return r, out
}

// Pauses remembers views that paused. All workers of an installation share it.
type Pauses interface {
	// Of gives the pauses of a view; of all views of a project, or of all, where names are empty.
	Of(ctx context.Context, project, view string) ([]Pause, error)
	// Resumed gives the last resumption of a view; one without a number where there was none.
	Resumed(ctx context.Context, project, view string) (Resumption, error)
	// Put stores a pause, as Pause.Among has it, in the place of what was there of its view and
	// partition, and returns it as stored.
	Put(ctx context.Context, p Pause) (Pause, error)
	// Resume stores a resumption and moves the pauses of its view from PauseStanding to its
	// state, as Resumption.On has it, and returns them. Where none stands it stores nothing.
	Resume(ctx context.Context, r Resumption) ([]Pause, error)
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
	mu      sync.Mutex
	all     []Pause                  // guarded by mu
	resumed map[[2]string]Resumption // guarded by mu; by project and view
}

// NewPauses gives Pauses that live in memory, for a process without a database.
func NewPauses() Pauses { return &memoryPauses{resumed: map[[2]string]Resumption{}} }

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

func (m *memoryPauses) Resumed(_ context.Context, project, view string) (Resumption, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resumed[[2]string{project, view}], nil
}

func (m *memoryPauses) Put(_ context.Context, p Pause) (Pause, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p = p.Among(m.all, m.resumed[[2]string{p.Project, p.View}])
	m.all = append(slices.DeleteFunc(m.all, func(o Pause) bool { return o.same(&p) }), p)
	return p, nil
}

func (m *memoryPauses) Resume(_ context.Context, r Resumption) ([]Pause, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var at []int
	var standing []Pause
	for i, p := range m.all {
		if p.Project == r.Project && p.View == r.View && p.State == PauseStanding {
			at, standing = append(at, i), append(standing, p)
		}
	}
	if len(standing) == 0 {
		return nil, nil
	}
	id := [2]string{r.Project, r.View}
	r, out := r.On(standing, m.resumed[id])
	m.resumed[id] = r
	for k, i := range at {
		m.all[i] = out[k]
	}
	return out, nil
}

func (m *memoryPauses) Forget(_ context.Context, p Pause) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = slices.DeleteFunc(m.all, func(o Pause) bool { return o.same(&p) })
	return nil
}
