package online

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// CheckConfig says what to compare. Config, Clock, Log, Pause and Patience have defaults.
type CheckConfig struct {
	View  *feature.View
	Store Store
	// At is where the pinned version of the table stands, and Newest gives the
	// newest row of every key of that very version, each key once. Newest is called
	// again where there are more keys than are remembered at once (16 million).
	At     []feature.Position
	Newest func(fn func(*feature.Batch) error) error
	// Positions tells where the table stands now. With it a table that was rolled
	// back shows (CheckResult.RolledBack), and what was replayed meanwhile is Ahead;
	// without it nobody looks for either.
	Positions func(context.Context) ([]feature.Position, error)
	// Strangers asks for rows of the store that the table does not have as well.
	Strangers bool
	// NoImports promises that no import of the view has run since the version was
	// pinned. Then a row that an abandoned import left is a stranger. Without it such a
	// row may belong to an import that is under way, and is Ahead.
	NoImports bool
	Config    Config
	Clock     func() time.Time
	Log       *slog.Logger
	Progress  func(keys int64) // hears now and then how many of the table's keys have been compared
	// What differs is looked at again after Pause (100ms; longer each time). Where the
	// store's marks know of the loss a worker will mend it, and that is waited for. All
	// waiting together takes at most Patience (15s).
	Pause, Patience time.Duration
}

// CheckKind says how a key differs.
type CheckKind string

const (
	Missing  CheckKind = "missing"  // the table has a row, the store has none
	Stale    CheckKind = "stale"    // the store has an older row
	Changed  CheckKind = "changed"  // the store has the same row with other values, or bytes nobody can read
	Stranger CheckKind = "stranger" // the store has a row that the table does not have and nobody will bring
)

// CheckFault is one key that differs.
type CheckFault struct {
	Kind         CheckKind
	Key          string         // as in the store
	Table, Store *feature.Stamp // of the two rows; nil where there is none, or none that can be read
	Detail       string         // what the one has and what the other
}

// CheckResult counts what a check saw.
type CheckResult struct {
	Keys    int64 // of the table
	Equal   int64 // the store has the table's newest row
	Expired int64 // past their ttl, and gone from the store, or there in an older row
	Ahead   int64 // the store has a newer row that the table will have
	Faults  int64 // calls of found
	// Sums over the keys that were compared, Equal and those that differ, of a
	// hash of key and row; equal where nothing differs.
	TableHash, StoreHash uint64
	RolledBack           []RolledBack
}

// RolledBack is a partition whose table stands behind what the store was told of it.
type RolledBack struct {
	At      feature.Position // where the table stands
	Settled int64            // where it stood when the store was told
}

// Check compares the store with the newest rows of a table and calls found for
// each key that differs. It changes nothing and may run while rows are ingested,
// imported, mended or rebuilt: a row that is not in the pinned version because it is younger is
// Ahead, and what differs is looked at again before it is called a fault.
//
// A store that does not answer is an error of kind Unavailable, never a difference.
func Check(ctx context.Context, cfg CheckConfig, found func(CheckFault)) (*CheckResult, error) {
	c := newChecker(cfg)
	c.fault = func(_ context.Context, s *suspect) error {
		f := CheckFault{Kind: s.kind, Key: s.key, Detail: s.detail}
		f.Table, f.Store = stampOf(s.want), stampOf(s.got)
		found(f)
		return nil
	}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	return &c.result, nil
}

func stampOf(v []byte) *feature.Stamp {
	if v == nil {
		return nil
	}
	h, _, err := ReadHeader(v)
	if err != nil {
		return nil
	}
	return &h.Stamp
}

// checker is one check.
type checker struct {
	CheckConfig
	rowMaker
	id     string
	other  planView                              // reads values of other schemas
	fault  func(context.Context, *suspect) error // what to do with what differs
	result CheckResult

	marks    Marks
	replays  int64     // where the view's replays stand now
	pending  []suspect // gathered, not yet looked at
	suspects []suspect
	bytes    int           // held by suspects
	waited   time.Duration // so far, of Patience
	seen     keySet        // keys of the table
	odd      map[string]bool
	quick    bool // do not wait for anybody to mend
}

// suspect is a key to be compared, or one that differed when it was last looked at.
type suspect struct {
	key    string
	want   []byte // the table's value; nil when the table has none
	got    []byte
	kind   CheckKind
	detail string
}

const (
	perRead      = 500 // keys asked for at once
	mostSuspects = 4096
	mostBytes    = 16 << 20
)

func newChecker(cfg CheckConfig) *checker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 100 * time.Millisecond
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 15 * time.Second
	}
	c := &checker{CheckConfig: cfg, rowMaker: newRowMaker(cfg.View, cfg.Config, cfg.Clock), id: viewID(cfg.View), odd: map[string]bool{}}
	c.other = planView{view: cfg.View, id: c.id}
	for i := range cfg.View.Features {
		c.other.want = append(c.other.want, want{feature: i, column: i})
	}
	c.other.first = project(c.schema, cfg.View, c.other.want)
	return c
}

func (c *checker) run(ctx context.Context) error {
	start := time.Now()
	if err := c.readMarks(ctx); err != nil {
		return err
	}
	if err := c.rolledBack(ctx); err != nil {
		return err
	}
	c.seen = newKeySet(mostKeys)
	s := newScratch()
	err := c.Newest(func(b *feature.Batch) error {
		if err := c.rows(s, b); err != nil {
			return err
		}
		defer s.forget()
		return c.compare(ctx, s.rows)
	})
	if err == nil {
		err = c.flush(ctx)
	}
	if err == nil {
		err = c.lookAgain(ctx)
	}
	if err == nil && c.Strangers {
		err = c.strangers(ctx, s)
	}
	if err != nil {
		return err
	}
	r := &c.result
	c.Log.Info("online store compared with the table", "view", c.id, "keys", r.Keys, "equal", r.Equal, "expired", r.Expired,
		"ahead", r.Ahead, "faults", r.Faults, "took", time.Since(start).Round(time.Millisecond))
	return nil
}

func (c *checker) readMarks(ctx context.Context) (err error) {
	if c.marks, err = c.Store.Marks(ctx, c.id); err != nil || c.Positions == nil {
		return err
	}
	// Replays write here what the table has, so the table tells how far they are.
	now, err := c.Positions(ctx)
	o := feature.ReplayOrigin()
	for _, p := range now {
		if p.TopicID == o.TopicID && p.Partition == o.Partition {
			c.replays = p.Next
		}
	}
	return err
}

// rolledBack compares marks with where the table stands. Marks are told after
// commits, so one that was read before the table was asked is never above it.
func (c *checker) rolledBack(ctx context.Context) error {
	if c.Positions == nil {
		return nil
	}
	now, err := c.Positions(ctx)
	if err != nil {
		return err
	}
	for _, m := range c.marks.Part {
		if m.Partition < feature.ImportPartition {
			continue
		}
		at := feature.Position{TopicID: m.TopicID, Partition: m.Partition}
		for _, p := range now {
			if p.Same(at) {
				at = p
			}
		}
		if m.Settled > at.Next {
			c.result.RolledBack = append(c.result.RolledBack, RolledBack{at, m.Settled})
		}
	}
	return nil
}

// mending reports whether the marks know of rows that the store does not have.
func (c *checker) mending() bool {
	if c.quick {
		return false
	}
	ttl := c.View.TTL.Micros()
	if len(c.marks.Part) > 0 && c.marks.TTL != 0 && (ttl == 0 || ttl > c.marks.TTL) {
		return true
	}
	for _, p := range c.At {
		if m, _ := c.marks.Find(p.TopicID, p.Partition); m.Good() < p.Next {
			return true
		}
	}
	return false
}

// ahead reports whether a row that the pinned version does not have may still
// come into the table: it lies at or above where the table stands. A value does not say of which
// topic or import it is, so every one with its partition number counts; those
// the table does not know yet have a mark, which is made before their first row.
func (c *checker) ahead(s feature.Stamp) bool {
	if c.NoImports && s.Partition == feature.ImportPartition {
		return false
	}
	if c.replayed(s) {
		return true
	}
	known := false
	for _, p := range c.At {
		if p.Partition == s.Partition {
			if known = true; s.Offset >= p.Next {
				return true
			}
		}
	}
	for _, m := range c.marks.Part {
		if m.Partition != s.Partition {
			continue
		}
		next := int64(0)
		for _, p := range c.At {
			if p.TopicID == m.TopicID && p.Partition == m.Partition {
				next = p.Next
			}
		}
		if known = true; s.Offset >= next {
			return true
		}
	}
	return !known
}

// replayed reports whether a row may come from a replay that went on since the
// version was pinned: its place is below where the table stood, but its known time
// is the replay's. Places of replays are numbered from their known times on.
func (c *checker) replayed(s feature.Stamp) bool {
	o := feature.ReplayOrigin()
	var at feature.Position
	for _, p := range c.At {
		if p.TopicID == o.TopicID && p.Partition == o.Partition {
			at = p
		}
	}
	return c.replays > at.Next && s.Known >= at.Started && s.Known < c.replays
}

// place is a stamp in words.
func place(s feature.Stamp) string {
	if s.Partition == feature.ImportPartition {
		return fmt.Sprintf("row %d of an import, effective %s", s.Offset, feature.Time(s.Effective()).Format(time.RFC3339Nano))
	}
	return fmt.Sprintf("partition %d offset %d, effective %s", s.Partition, s.Offset, feature.Time(s.Effective()).Format(time.RFC3339Nano))
}
