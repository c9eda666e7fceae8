package online

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// Pinned is a table at one version.
type Pinned struct {
	Snapshot int64
	At       []feature.Position // where that version stands
	Parts    int                // how many parts to read it in: one is done after the other, memory allowing
	// Newest gives the newest row of every key of one part, in the same order each time.
	Newest func(ctx context.Context, p NewestPart, fn func(*feature.Batch) error) error
	Close  func() error // may be nil
}

// NewestPart is one of Parts equal shares of a table's keys.
type NewestPart struct {
	Part, Parts int
	Counted     func(keys int64) // hears how many keys the part has (perhaps an estimate) before rows come; may be nil
}

// MaterializeConfig says what to rebuild. Config, Clock, Log and Metrics have defaults.
type MaterializeConfig struct {
	View  *feature.View
	Store Store
	// Pin opens the view's table at a snapshot, at the newest one when it is 0. A
	// snapshot that has expired is NotFound.
	Pin func(ctx context.Context, snapshot int64) (*Pinned, error)
	// Positions tells where the table stands now.
	Positions func(context.Context) ([]feature.Position, error)
	// Restart begins with the newest version even where an earlier run broke off.
	Restart bool
	// NoPrune leaves it at writing: rows that the table does not have stay, and
	// those that are wrong and yet look newer than the table's.
	NoPrune bool
	// NoImports promises that no import of the view runs: what an abandoned one
	// left is pruned then. See CheckConfig.
	NoImports bool
	Config    Config
	Clock     func() time.Time
	Log       *slog.Logger
	Metrics   *Metrics
	// Progress hears how much is done of how much: keys written and, with pruning,
	// the same keys compared. total is an estimate at first.
	Progress        func(done, total int64)
	Pause, Patience time.Duration // as in CheckConfig; 100ms and 2s
}

// MaterializeResult is what a run did.
type MaterializeResult struct {
	Snapshot int64
	Keys     int64 // that this run went over
	Stored   int64 // rows written
	Newer    int64 // keys for which the store had a newer row already
	Mended   int64 // rows that differed although they did not look older than the table's
	Pruned   int64 // rows that the table does not have
	Resumed  bool  // an earlier run was gone on with, after so many of the keys of this part
	FromPart int
	FromKey  int64
	Took     time.Duration
}

// Materialize writes the newest row of every key of a table into the store again,
// while ingestion goes on: rows are put as ever, so that whatever is newer stays.
// Then it compares (see Check), mends and prunes, and tells the view's marks.
//
// A run that breaks off (a store that is away is an error) is gone on with by
// the next one, with the same version of the table where that still exists. How far it has
// come stands in the store, as a mark like those of partitions: moved right after the
// rows, and going back with them when the store loses its newest writes. What was lost in
// the middle of a run is written once more before it ends. Each run has a mark of its own, so two at once
// only do the same work twice.
func Materialize(ctx context.Context, cfg MaterializeConfig) (*MaterializeResult, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 2 * time.Second
	}
	m := &materializer{MaterializeConfig: cfg, rowMaker: newRowMaker(cfg.View, cfg.Config, cfg.Clock), id: viewID(cfg.View)}
	start := time.Now()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if m.pinned.Close != nil {
		defer func() { _ = m.pinned.Close() }()
	}
	if err := m.run(ctx); err != nil {
		return nil, err
	}
	if m.Progress != nil {
		m.Progress(m.result.Keys, m.result.Keys)
	}
	r := &m.result
	r.Took = time.Since(start)
	m.Log.Info("online store rebuilt from the table", "view", m.id, "snapshot", r.Snapshot, "keys", r.Keys, "stored", r.Stored,
		"newer", r.Newer, "mended", r.Mended, "pruned", r.Pruned, "took", r.Took.Round(time.Millisecond))
	return r, nil
}

// materializer is one run.
type materializer struct {
	MaterializeConfig
	rowMaker
	id     string
	pinned *Pinned
	result MaterializeResult

	earlier bool // pinned is the version of an earlier run

	mark  Mark    // this run's; Written is where it has come to
	found []Mark  // of earlier runs
	ttl   int64   // that the view's marks go on naming until this run is done
	keys  []int64 // of each part; -1 until it has been counted
	done  int64
}

func (m *materializer) count(n *int64, outcome string, by int64) {
	*n += by
	m.Metrics.rebuilt.WithLabelValues(append(labels(m.View), outcome)...).Add(float64(by))
}

// run repeats filling and mending until nothing was lost in between.
func (m *materializer) run(ctx context.Context) error {
	for {
		if err := m.Store.PutSchema(ctx, m.id, m.schema.ID, m.schema.Text()); err != nil {
			return err
		}
		marks, err := m.Store.Marks(ctx, m.id)
		if err != nil {
			return err
		}
		if err := m.fill(ctx); err != nil {
			return err
		}
		m.result.Keys = m.done
		lost, err := m.finish(ctx, marks)
		if err != nil {
			return err
		}
		if !lost {
			return m.Store.Forget(ctx, m.id, append(m.found, m.mark))
		}
		m.Log.Warn("the online store has lost rows of this rebuild; they are written once more", "view", m.id)
		good, err := m.kept(ctx)
		if err != nil {
			return err
		}
		m.mark.Written = min(good, m.end())
		if _, err := m.setMark(ctx, nil); err != nil {
			return err
		}
	}
}

// finish mends, if it shall, and settles. A run that reads the version of an earlier one has
// written the rows of that time: it mends by those of now, since what came in
// between may be what is missing.
func (m *materializer) finish(ctx context.Context, marks Marks) (lost bool, err error) {
	by := m.pinned
	if m.NoPrune {
		return m.settle(ctx, marks, by)
	}
	if m.earlier {
		if by, err = m.Pin(ctx, 0); err != nil {
			return false, err
		}
		if by.Close != nil {
			defer func() { _ = by.Close() }()
		}
		// A store that goes back to before that loses this step of the mark with it.
		if err := m.put(ctx, nil, m.mark.Written+1); err != nil {
			return false, err
		}
	}
	if err := m.mend(ctx, by); err != nil {
		return false, err
	}
	return m.settle(ctx, marks, by)
}

// fill writes what lies between the mark and the end.
func (m *materializer) fill(ctx context.Context) error {
	s := newScratch()
	first, skip := placeOf(m.mark.Written)
	m.done = 0
	for part := first; part < m.pinned.Parts; part++ {
		if part > first {
			skip = 0
		}
		n := int64(0)
		p := NewestPart{Part: part, Parts: m.pinned.Parts, Counted: func(keys int64) {
			m.keys[part] = keys
			m.progress(0)
		}}
		err := m.pinned.Newest(ctx, p, func(b *feature.Batch) error {
			if n += int64(b.Len()); n > skip {
				if err := m.rows(s, b); err != nil {
					return err
				}
				defer s.forget()
				if err := m.put(ctx, s.rows, markOf(part, n)); err != nil {
					return err
				}
			}
			m.progress(int64(b.Len()))
			return nil
		})
		if err != nil {
			return err
		}
		m.keys[part] = n
		if err := m.put(ctx, nil, markOf(part+1, 0)); err != nil {
			return err
		}
	}
	return nil
}

// put writes rows and moves the mark to next. A loss is told by the mark in the end.
func (m *materializer) put(ctx context.Context, rows []Row, next int64) error {
	r, err := m.Store.Put(ctx, rows, &Advance{View: m.id, TopicID: m.mark.TopicID, Partition: m.mark.Partition, From: m.mark.Written, Next: next})
	m.count(&m.result.Stored, "stored", int64(r.Stored))
	if err != nil {
		return err
	}
	m.count(&m.result.Newer, "newer", int64(len(rows)-r.Stored))
	m.mark.Written = next
	return nil
}

// progress adds to what is done. Parts that have not been counted are taken for
// as large as the others are on average.
func (m *materializer) progress(by int64) {
	m.done += by
	if m.Progress == nil {
		return
	}
	known, sum := int64(0), int64(0)
	for _, n := range m.keys {
		if n >= 0 {
			known, sum = known+1, sum+n
		}
	}
	if known == 0 {
		return
	}
	each := sum / known
	total := sum + (int64(len(m.keys))-known)*each
	done := m.done + int64(m.result.FromPart)*each
	if !m.NoPrune {
		total *= 2
	}
	m.Progress(min(done, total), total)
}

// settle tells the view's marks that all rows below the pinned positions are
// there, if the store still has all that this run has written. marks are from before
// that: what has been lost since then is not forgotten.
func (m *materializer) settle(ctx context.Context, marks Marks, by *Pinned) (lost bool, err error) {
	now := by.At
	if m.Positions != nil {
		if now, err = m.Positions(ctx); err != nil {
			return false, err
		}
	}
	list := make([]Settlement, 0, len(by.At))
	for _, p := range by.At {
		mark, _ := marks.Find(p.TopicID, p.Partition)
		settled := max(p.Next, mark.Settled)
		for _, q := range now {
			if q.Same(p) && mark.Settled > q.Next {
				settled = p.Next // the table was rolled back, and the store follows it now
			}
		}
		list = append(list, Settlement{TopicID: p.TopicID, Partition: p.Partition, Settled: settled, Written: p.Next,
			MendedFrom: mark.LostFrom, MendedTo: mark.LostTo, StillFrom: p.Next})
	}
	return m.Store.Settle(ctx, m.id, m.View.TTL.Micros(), list, []Mark{m.mark})
}

// mend makes right what a check finds.
func (m *materializer) mend(ctx context.Context, by *Pinned) error {
	all, parts := m.done, max(by.Parts, 1)
	c := newChecker(CheckConfig{View: m.View, Store: m.Store, At: by.At, Positions: m.Positions, Strangers: true, NoImports: m.NoImports,
		Newest: func(fn func(*feature.Batch) error) error {
			for part := range parts {
				if err := by.Newest(ctx, NewestPart{Part: part, Parts: parts}, fn); err != nil {
					return err
				}
			}
			return nil
		},
		Config: m.config, Clock: m.clock, Pause: m.Pause, Patience: m.Patience,
		Progress: func(keys int64) { m.progress(all + keys - m.done) },
	})
	c.quick = true
	c.fault = func(ctx context.Context, s *suspect) error {
		if s.kind == Stranger {
			n, err := m.Store.Remove(ctx, []Row{{Key: s.key, Value: s.got}})
			m.count(&m.result.Pruned, "pruned", int64(n))
			if err != nil {
				return err
			}
		}
		if s.want == nil {
			return nil
		}
		h, _, err := ReadHeader(s.want)
		if err != nil {
			return err
		}
		row := Row{Key: strings.Clone(s.key), Value: s.want, Expire: m.config.expiry(h.Stamp, m.View.TTL, m.clock().UnixMicro())}
		m.mark.Written++ // no place in the table, but the mark has to show that this was put
		r, err := m.Store.Put(ctx, []Row{row}, &Advance{View: m.id, TopicID: m.mark.TopicID, Partition: m.mark.Partition, From: m.mark.Written - 1, Next: m.mark.Written})
		m.count(&m.result.Mended, "mended", int64(r.Stored))
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	m.result.Keys = c.result.Keys
	return nil
}
