package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

func (s *Store) Claim(_ context.Context, destinations []string, now time.Time, lease time.Duration, limit int) ([]outbox.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type lane struct{ destination, key string }
	blocked := map[lane]bool{}
	var out []outbox.Entry
	for _, e := range s.outbox { // by Seq
		l := lane{e.Destination, e.Key}
		if e.State != outbox.Pending || blocked[l] {
			continue
		}
		if e.NextTry > now.UnixMicro() {
			blocked[l] = true
			continue
		}
		if slices.Contains(destinations, e.Destination) && len(out) < limit {
			e.NextTry = now.Add(lease).UnixMicro()
			c := *e
			c.Headers = maps.Clone(e.Headers)
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *Store) each(ids []string, f func(*outbox.Entry)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := false
	for _, e := range s.outbox {
		if slices.Contains(ids, e.ID) {
			f(e)
			any = true
		}
	}
	return any
}

func (s *Store) Done(_ context.Context, ids []string, now time.Time) error {
	s.each(ids, func(e *outbox.Entry) {
		e.State, e.LastError, e.Updated = outbox.Delivered, "", now.UnixMicro()
		e.Attempts++
	})
	return nil
}

func (s *Store) Fail(_ context.Context, id, cause string, now, next time.Time, dead bool) error {
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

func (s *Store) Release(_ context.Context, ids []string, now time.Time) error {
	s.each(ids, func(e *outbox.Entry) {
		if e.State == outbox.Pending {
			e.NextTry = now.UnixMicro()
		}
	})
	return nil
}

func (s *Store) Entries(_ context.Context, q outbox.Query) ([]outbox.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []outbox.Entry
	for _, e := range slices.Backward(s.outbox) {
		if (q.State == "" || q.State == e.State) && (q.Destination == "" || q.Destination == e.Destination) && (q.ID == "" || q.ID == e.ID) && len(out) < limit(q.Limit) {
			out = append(out, *e)
		}
	}
	return out, nil
}

func (s *Store) Resend(_ context.Context, id string, now time.Time) error {
	if !s.each([]string{id}, func(e *outbox.Entry) {
		e.State, e.Attempts, e.LastError, e.NextTry, e.Updated = outbox.Pending, 0, "", now.UnixMicro(), now.UnixMicro()
	}) {
		return feature.Errorf(feature.NotFound, "outbox.resend", "entry "+id, "there is none")
	}
	return nil
}
