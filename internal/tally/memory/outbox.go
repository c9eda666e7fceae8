package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
)

// Outbox is the events and the outbox, which several stores may share.
type Outbox struct {
	mu      sync.Mutex
	events  []tally.Event
	entries []*outbox.Entry // by Seq
	seq     int64
}

// NewOutbox returns an empty one.
func NewOutbox() *Outbox { return &Outbox{} }

// tell adds an event and its entries; what is there already stays.
func (s *Outbox) tell(c *tally.Change, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := c.Event; e != nil && !slices.ContainsFunc(s.events, func(o tally.Event) bool { return o.ID == e.ID }) {
		s.events = append(s.events, *e)
	}
	for _, e := range c.Outbox {
		if !slices.ContainsFunc(s.entries, func(o *outbox.Entry) bool { return o.ID == e.ID }) {
			s.seq++
			e.Seq, e.State, e.Created, e.Updated = s.seq, outbox.Pending, now, now
			s.entries = append(s.entries, &e)
		}
	}
}

// prune forgets what was delivered before.
func (s *Outbox) prune(delivered int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = slices.DeleteFunc(s.entries, func(e *outbox.Entry) bool {
		return (e.State == outbox.Delivered || e.State == outbox.Discarded) && e.Updated < delivered
	})
}

func (s *Outbox) Events(_ context.Context, q tally.EventQuery) ([]tally.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tally.Event
	for _, e := range slices.Backward(s.events) {
		if (q.Project == "" || q.Project == e.Project) && (q.Owner == "" || q.Owner == e.Owner) && (q.ID == "" || q.ID == e.ID) {
			out = append(out, e)
		}
	}
	return out[:min(len(out), limit(q.Limit))], nil
}

func limit(n int) int {
	if n <= 0 {
		return 100
	}
	return n
}

func (s *Outbox) Claim(_ context.Context, destination string, now time.Time, lease time.Duration, limit int) ([]outbox.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocked := map[string]bool{} // by key
	var out []outbox.Entry
	for _, e := range s.entries { // by Seq
		if e.State != outbox.Pending || e.Destination != destination || blocked[e.Key] {
			continue
		}
		if e.NextTry > now.UnixMicro() {
			blocked[e.Key] = true
			continue
		}
		if len(out) < limit {
			e.NextTry = now.Add(lease).UnixMicro()
			c := *e
			c.Headers = maps.Clone(e.Headers)
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *Outbox) each(ids []string, f func(*outbox.Entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := make(map[string]bool, len(ids))
	for _, id := range ids {
		of[id] = true
	}
	for _, e := range s.entries {
		if of[e.ID] {
			f(e)
		}
	}
}

func (s *Outbox) Done(_ context.Context, ids []string, now time.Time) error {
	s.each(ids, func(e *outbox.Entry) {
		e.State, e.LastError, e.Updated = outbox.Delivered, "", now.UnixMicro()
		e.Attempts++
	})
	return nil
}

func (s *Outbox) Fail(_ context.Context, id, cause string, now, next time.Time, dead bool) error {
	s.each([]string{id}, func(e *outbox.Entry) {
		if e.State != outbox.Pending { // delivered by another meanwhile
			return
		}
		e.Attempts++
		e.LastError, e.NextTry, e.Updated = cause, next.UnixMicro(), now.UnixMicro()
		if dead {
			e.State = outbox.Dead
		}
	})
	return nil
}

func (s *Outbox) Release(_ context.Context, ids []string, now time.Time) error {
	s.each(ids, func(e *outbox.Entry) {
		if e.State == outbox.Pending {
			e.NextTry = now.UnixMicro()
		}
	})
	return nil
}

func (s *Outbox) Entries(_ context.Context, q outbox.Query) ([]outbox.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []outbox.Entry
	for _, e := range slices.Backward(s.entries) {
		if (q.State == "" || q.State == e.State) && (q.Destination == "" || q.Destination == e.Destination) && (q.Scope == "" || q.Scope == e.Scope) && (q.ID == "" || q.ID == e.ID) && (q.Below == 0 || e.Seq < q.Below) &&
			(len(q.Events) == 0 || slices.Contains(q.Events, e.Event())) && len(out) < limit(q.Limit) {
			out = append(out, *e)
		}
	}
	return out, nil
}

func (s *Outbox) Resend(_ context.Context, ids []string, now time.Time) (n int64, err error) {
	s.each(ids, func(e *outbox.Entry) {
		e.State, e.Attempts, e.LastError, e.NextTry, e.Updated = outbox.Pending, 0, "", now.UnixMicro(), now.UnixMicro()
		n++
	})
	return n, nil
}

func (s *Outbox) Discard(_ context.Context, ids []string, now time.Time) (n int64, err error) {
	s.each(ids, func(e *outbox.Entry) {
		if e.State == outbox.Dead {
			e.State, e.Updated = outbox.Discarded, now.UnixMicro()
			n++
		}
	})
	return n, nil
}

func (s *Outbox) Backlogs(context.Context) ([]outbox.Backlog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := map[[2]string]*outbox.Backlog{}
	for _, e := range s.entries { // by Seq
		if e.State != outbox.Pending && e.State != outbox.Dead {
			continue
		}
		k := [2]string{e.Destination, e.Scope}
		if of[k] == nil {
			of[k] = &outbox.Backlog{Destination: e.Destination, Scope: e.Scope}
		}
		b := of[k]
		if e.State == outbox.Dead {
			if b.Dead++; b.DeadSince == 0 || e.Updated < b.DeadSince {
				b.DeadSince = e.Updated
			}
			b.Newest = e.Seq
		} else if b.Pending++; b.Oldest == 0 || e.Created < b.Oldest {
			b.Oldest = e.Created
		}
	}
	out := make([]outbox.Backlog, 0, len(of))
	for _, b := range of {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b outbox.Backlog) int {
		return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Scope, b.Scope))
	})
	return out, nil
}
