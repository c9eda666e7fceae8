package feature

import "fmt"

// Position is how far a view's table has come on one partition. The table
// carries it; it is the truth, the consumer group's offsets are only a hint.
type Position struct {
	Topic     string   `json:"topic"`
	TopicID   [16]byte `json:"topic_id"`
	Partition int32    `json:"partition"`
	Next      int64    `json:"next"` // every offset below is in the table or in quarantine
	// Revision is the catalog revision that judges the events from Next on, so
	// that a suite changed during a crash cannot judge an event twice.
	Revision int64 `json:"revision"`
	// Commit is the id of the commit that put the position here. Sinks use it to
	// tell staged work that landed from work that did not.
	Commit string `json:"commit"`
	// Started is when an import began, in microseconds UTC, so that an import that
	// is resumed judges its rows by the same clock; of the replays' partition the
	// known time of the last one, whose rows stand at Started and above; 0 on Kafka partitions.
	Started int64 `json:"started,omitempty"`
}

func (p Position) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Next) }

// Same reports whether two positions are of the same partition of the same topic incarnation.
func (p Position) Same(o Position) bool { return p.TopicID == o.TopicID && p.Partition == o.Partition }

// Advance moves one partition of a commit.
type Advance struct {
	From Position // where the table must stand; zero Commit for a partition it does not know yet
	To   Position
	// Drained tells that To.Next was the end of the log when the flush began.
	// A drained partition does not hold event-time windows open once it has been idle long enough.
	Drained bool
	// Final tells that nothing will ever follow: the end of an imported file.
	Final bool
}

// Commit is one table commit of one view: the rows written since the last cut
// of the partitions it names, and the positions they reach.
type Commit struct {
	ID       string // unique; the commit's name in table, staged files and drift deltas
	View     *View
	Advances []Advance
	// Partitions is how many partitions the topic has (0 for imports), so that
	// event-time windows wait for those not seen yet.
	Partitions int
}

// Advances the commit makes to a partition; nil when it does not name it.
func (c *Commit) Advance(topicID [16]byte, partition int32) *Advance {
	for i := range c.Advances {
		if a := &c.Advances[i]; a.To.TopicID == topicID && a.To.Partition == partition {
			return a
		}
	}
	return nil
}
