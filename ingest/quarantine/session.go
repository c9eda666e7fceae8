package quarantine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// Session is the entries of one caller: its Flush answers for these and for no
// others. Pipelines share the Writer, and if they shared the answer as well, the
// first to flush would take away the news of an entry that another has to repeat.
// Safe for concurrent use.
type Session struct {
	w    *Writer
	sent atomic.Int64 // bytes of entries under way

	mu      sync.Mutex
	open    *group   // guarded by mu; entries since the last Flush
	flushed []*group // guarded by mu; groups that a Flush has not seen acknowledged yet
}

// group is the entries between two calls of Flush. A Flush waits for groups and
// not until nothing is under way, which under load may never be.
type group struct {
	left   int           // entries under way
	err    error         // the first that was not taken
	closed bool          // no more entries
	done   chan struct{} // closed when closed and left is 0
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// Session begins one.
func (w *Writer) Session() *Session { return &Session{w: w, open: newGroup()} }

// Waiting is the memory of the entries that are not acknowledged yet, in bytes.
func (s *Session) Waiting() int64 { return s.sent.Load() }

// Write hands an entry to the producer; Flush tells whether it is safe. What e
// points to is copied: it may be a small part of something large. ctx is for the wait while too many are under
// way: an entry once handed over goes its way, because taking one back takes back
// what stands in one batch with it, whoever wrote that. A payload or key that the topic cannot hold is replaced
// by its size; the entry's coordinates still lead to it in the source.
func (s *Session) Write(ctx context.Context, e *Entry) error {
	topic := Topic(e.Project, e.View)
	s.w.mu.Lock()
	limit, ok := s.w.limits[topic]
	s.w.mu.Unlock()
	if ok && int64(len(e.Payload)+len(e.Key)) > limit {
		if len(e.Key) > mostKey {
			e.KeyOmitted, e.Key = int64(len(e.Key)), nil
		}
		if len(e.Payload) > 0 && int64(len(e.Payload)+len(e.Key)) > limit {
			sum := sha256.Sum256(e.Payload)
			e.Omitted, e.SHA256, e.Payload = int64(len(e.Payload)), hex.EncodeToString(sum[:]), nil
		}
	}
	size := int64(len(e.Payload) + len(e.Key))
	e.Reasons = bounded(e.Reasons)
	e.Key, e.Payload = bytes.Clone(e.Key), bytes.Clone(e.Payload)
	r, err := e.record()
	if err != nil {
		return feature.Errorf(feature.Internal, "quarantine.write", e.ID(), "%w", err)
	}
	return s.send(ctx, r, size, min(underWay, max(leastShare, int64(len(r.Value)+len(e.Key)))))
}

// send hands a record to the producer. size is that of its payload and key, share
// what it takes of the room under way.
func (s *Session) send(ctx context.Context, r *kgo.Record, size, share int64) error {
	topic := r.Topic
	leave, err := s.w.enter(ctx, r)
	if err != nil {
		return err
	}
	if err := s.w.room.Acquire(ctx, share); err != nil {
		leave()
		return err
	}
	s.sent.Add(share)
	s.mu.Lock()
	g := s.open
	g.left++
	s.mu.Unlock()
	s.w.cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
		s.sent.Add(-share)
		s.w.room.Release(share)
		if alone := leave(); err != nil {
			s.w.failed(topic, size, alone, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		g.left--
		if err != nil && g.err == nil {
			g.err = err
		}
		if g.closed && g.left == 0 {
			close(g.done)
		}
	})
	return nil
}

// mostKey is how much of a record's key is kept where the record is too large.
const mostKey = 64 << 10

// bounded keeps the reasons of an event with thousands of bad items, or with
// names as long as itself, within a quarter of Headroom.
func bounded(reasons []feature.Reason) []feature.Reason {
	if len(reasons) > MaxReasons {
		reasons = reasons[:MaxReasons]
	}
	out, size := make([]feature.Reason, 0, len(reasons)), 0
	for _, r := range reasons {
		r.Path, r.Value, r.Expected = cut(r.Path), cut(r.Value), cut(r.Expected)
		b, err := json.Marshal(r)
		if size += len(b); err != nil || size > Headroom/4 && len(out) > 0 {
			break
		}
		out = append(out, r)
	}
	return out
}

func cut(s string) string {
	const most = 1 << 10
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// Flush waits until every entry written so far is acknowledged by all in-sync
// replicas. An error means that at least one is not: the caller must not move
// its positions, and the events will come again.
func (s *Session) Flush(ctx context.Context) error {
	s.mu.Lock()
	g := s.open
	s.open, g.closed = newGroup(), true
	if g.left == 0 {
		close(g.done)
	}
	s.flushed = append(s.flushed, g)
	waiting := s.flushed
	s.mu.Unlock()
	var errs []error
	for _, g := range waiting {
		select {
		case <-g.done:
			errs = append(errs, g.err)
		case <-ctx.Done():
			return feature.Errorf(feature.Unavailable, "quarantine.flush", "", "%w", ctx.Err())
		}
	}
	s.mu.Lock()
	s.flushed = s.flushed[len(waiting):]
	s.mu.Unlock()
	if err := errors.Join(errs...); err != nil {
		return feature.Errorf(feature.Conflict, "quarantine.flush", "", "an entry was not taken: %w", err)
	}
	return nil
}
