package tally

import (
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Mark is how one commit moves a partition.
type Mark struct {
	TopicID    [16]byte
	Partition  int32
	FromCommit string // the commit that the partition stood at; empty when the table did not know it
	FromNext   int64
	Next       int64
	Partitions int // of the topic; 0 for imports
	MaxEvent   int64
	Any        bool  // MaxEvent means something
	Rows       int64 // rows that the commit adds to the table, tombstones among them
	Drained    bool
	Final      bool
	// Carried marks repeat what landed with earlier commits (while nobody wanted
	// it); they are not part of the commit's compare-and-swap.
	Carried bool
}

// Staged is what one commit will add once it has landed.
type Staged[T Tally[T]] struct {
	Commit string
	View   string // View.ID
	Marks  []Mark
	Deltas []Delta[T]
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
	Rows       int64 // landed since the partition is known, each once
	Landed     int64 // when rows last landed, microseconds UTC of the worker's clock; 0 before the first
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
	if m.Rows > 0 {
		p.Rows, p.Landed = p.Rows+m.Rows, max(p.Landed, now)
	}
	p.Next = max(p.Next, m.Next)
	p.Drained = m.Drained
	p.Final = p.Final || m.Final
	p.Partitions = max(p.Partitions, m.Partitions)
	p.Updated = now
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
