package ingest

// States of a source.
const (
	StateStarting = "starting"
	StateRunning  = "running"
	StateWaiting  = "waiting" // for something a person has to provide, like a topic
	StateFailed   = "failed"  // and will be started again
)

// SourceStatus is how one source is doing.
type SourceStatus struct {
	Project, Source, Topic string
	State                  string
	Err                    string // why it waits or failed, with the way out
	Views                  []ViewStatus
}

// ViewStatus is where one view of a source stands.
type ViewStatus struct {
	View       string
	CatchingUp bool // reads with a consumer of its own until it is where the others are
	Partitions []PartitionStatus
}

// PartitionStatus is where a view stands on one partition of this worker.
type PartitionStatus struct {
	Partition int32
	Seen      int64 // first offset not processed
	Table     int64 // first offset that is not in the table or in quarantine
	End       int64 // of the log, as last listed
	Stopped   string
}

// Lag is the number of events in the log that have not been processed.
func (p PartitionStatus) Lag() int64 { return max(0, p.End-p.Seen) }

// views reports where each view stands; it does not wait for a slow sink.
func (p *Pipeline) views() []ViewStatus {
	out := make([]ViewStatus, len(p.Outlets))
	parts := p.owned()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.Outlets {
		out[i].View = o.View.Meta.Name
		for _, part := range parts {
			pv := &part.views[i]
			st := PartitionStatus{Partition: part.id, Seen: part.seen.Load(), Table: pv.committed.Load(), End: p.ends[part.id]}
			if x := pv.paused.Load(); x != nil {
				st.Seen, st.Stopped = x.Next, x.Text()
			}
			if pv.stopped != nil {
				st.Stopped = pv.stopped.Error()
			}
			out[i].Partitions = append(out[i].Partitions, st)
		}
	}
	return out
}
