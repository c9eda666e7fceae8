package quarantine

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"
)

// line is what is under way to one topic. A client fills batches as large as
// the largest topic takes, whatever the topic; a broker refuses a batch that is larger than
// its topic takes, and with it entries that would all have fit. So no more is
// under way to a topic than fits into one batch.
type line struct {
	room *semaphore.Weighted // of whole: a topic's limit may change while entries are under way

	// guarded by Writer.mu
	most   int64 // largest batch that the topic is said to take; 0: not known
	single bool  // that may not be true: one entry at a time
	n      int   // entries under way
	run    *run  // that they belong to
}

// run is the entries sent since nothing was under way.
type run struct{ n int }

const (
	whole     = 1 << 30
	batchCost = 4 << 10 // of a batch, generously
)

// line finds a topic's. The caller holds mu.
func (w *Writer) line(topic string) *line {
	l := w.lines[topic]
	if l == nil {
		l = &line{room: semaphore.NewWeighted(whole)}
		w.lines[topic] = l
	}
	return l
}

// enter waits until r may be sent. leave is to be called when it has been, and
// tells whether nothing else was under way to its topic all the while.
func (w *Writer) enter(ctx context.Context, r *kgo.Record) (leave func() (alone bool), err error) {
	w.mu.Lock()
	l := w.line(r.Topic)
	most := l.most
	if most == 0 {
		most = Headroom
	}
	share := int64(whole)
	if n := wireSize(r); !l.single && n < most-batchCost {
		share = max(1, n*whole/(most-batchCost))
	}
	w.mu.Unlock()
	if err := l.room.Acquire(ctx, share); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.n++; l.n == 1 {
		l.run = &run{}
	}
	l.run.n++
	mine := l.run
	return func() bool {
		l.room.Release(share)
		w.mu.Lock()
		defer w.mu.Unlock()
		l.n--
		return mine.n == 1
	}, nil
}

// wireSize is what a record takes in a batch that is not compressed, at most.
func wireSize(r *kgo.Record) int64 {
	n := 64 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 20 + len(h.Key) + len(h.Value)
	}
	return int64(n)
}
