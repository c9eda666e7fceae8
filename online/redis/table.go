package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Table tells where the table of a view (feature.View.ID) stands now; nothing of a view that has none.
type Table func(ctx context.Context, view string) ([]feature.Position, error)

// Beside has lookups hold the marks against the tables: what a table has and the marks do not vouch for may be missing. So also a
// process that begins beside a server without its rows, or with yesterday's, takes no absence for true.
//
// A table is read once a view and server, and again while rows are missing.
func (s *Store) Beside(t Table) { s.lanes.table.Store(&t) }

const (
	tablePatience = 10 * time.Second       // how long a table may take
	tableAgain    = 5 * time.Second        // a table is read again while rows are missing: it may be rolled back, or replaced
	tablePause    = 500 * time.Millisecond // before a table is read again that could not be read
)

// tableRead is one look at a table. It goes on when whoever asked for it has gone.
type tableRead struct {
	epoch uint64
	ended time.Time
	done  chan struct{}
	at    []feature.Position
	err   error
}

// unknownError is an absence of which nobody knows yet what it means.
type unknownError struct {
	view string
	err  error
}

func (e *unknownError) Error() string {
	return fmt.Sprintf("it is not known yet whether the server has all rows of view %s: its table cannot be read: %v", e.view, e.err)
}
func (e *unknownError) Unwrap() error { return e.err }

// passes tells that the table will be readable by itself.
func (e *unknownError) passes() bool {
	return feature.KindOf(e.err) == feature.Unavailable || late(e.err)
}

// positions is where the table stood at some moment since the server was last doubted.
func (t *trusted) positions(ctx context.Context, until time.Time, l *lane, table Table, view string, epoch uint64) (*tableRead, error) {
	for {
		r := t.read
		if r == nil {
			r = &tableRead{epoch: epoch, done: make(chan struct{})}
			if !l.spawn(func() {
				defer close(r.done)
				ctx, cancel := context.WithTimeout(l.ended, tablePatience)
				defer cancel()
				r.at, r.err = table(ctx, view)
				r.ended = time.Now()
			}) {
				return nil, errClosed
			}
			t.read = r
		}
		wait := time.NewTimer(time.Until(until))
		select {
		case <-r.done:
			wait.Stop()
		case <-ctx.Done():
			wait.Stop()
			return nil, ctx.Err()
		case <-wait.C:
			return nil, errLate
		}
		// By its end: a look that takes longer than its answer would hold is a look all the same.
		switch age := time.Since(r.ended); {
		case r.err != nil && age < tablePause:
			return nil, r.err
		case r.err == nil && r.epoch == epoch && age < tableAgain:
			return r, nil
		}
		t.read = nil
	}
}

// behind tells what of the table the marks do not vouch for: what a worker would write again (online.Writer.Mend).
func behind(table []feature.Position, now online.Marks) string {
	for _, p := range table {
		if m, _ := now.Find(p.TopicID, p.Partition); m.Good() < p.Next {
			if p.Partition < 0 {
				return "those of an import"
			}
			return fmt.Sprintf("those of offsets %d to %d of partition %d", m.Good(), p.Next, p.Partition)
		}
	}
	return ""
}

// Whole tells of the first of the views whose rows are not all there, on a server that answers. One whose rows have not become more for
// a minute is not waited for: nobody fills it.
func (s *Store) Whole(ctx context.Context, views []string) error {
	until := s.budget(ctx)
	tab, err := s.top.await(ctx, until)
	if err != nil {
		return s.classify("whole", err)
	}
	for _, view := range views {
		for _, l := range tab.lanes {
			_, err := l.whole(ctx, s.budget(ctx), tab, view)
			var lost *lostError
			var unknown *unknownError
			var waits bool
			switch {
			case errors.As(err, &lost):
				waits = !l.trusted(view).left.Load()
			case errors.As(err, &unknown):
				waits = unknown.passes()
			default: // a lookup may just be finding out
				waits = err != nil && (late(err) || ctx.Err() != nil) && l.shut.Load() == nil
			}
			if waits {
				return s.shardError("whole", l, err)
			}
		}
	}
	return nil
}
