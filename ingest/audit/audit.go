package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Config is what an Auditor is made of.
type Config struct {
	Kafka    []kgo.Opt
	Catalogs ingest.Catalogs // older definitions are asked for where today's give other rows
	Tables   offline.Store
	Formats  *format.Formats // of events that are not plain JSON; without a schema registry when nil
	Log      *slog.Logger
	// Online compares the online store with the table; nil where there is none.
	// It hands what differs to found.
	Online func(ctx context.Context, v *feature.View, t offline.Table, st *offline.State, found func(Difference)) (*Online, error)
}

// Options of one audit; the zero value audits everything.
type Options struct {
	SkipLog    bool    // do not read the log again: doubles and events in both places are found all the same
	SkipOnline bool    // leave the online store out
	Most       int     // how many differences are listed; 100 when 0
	Partitions []int32 // only these (-1: imports), and then not the online store; nil for all
}

// Progress of a step: "quarantine" (records), "table" (rows), "log" (offsets), "online".
type Progress struct {
	Step        string
	Done, Total int64
}

// Auditor audits views. Safe for concurrent use.
type Auditor struct {
	Config
	perDrill int // buckets looked into at a time
}

// New makes an auditor.
func New(c Config) *Auditor {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Formats == nil {
		c.Formats = format.New(nil, ingest.DefaultConfig().MaxEventBytes)
	}
	return &Auditor{Config: c, perDrill: 256}
}

// errMoved tells that the version of the table that is audited is gone:
// compaction has replaced it and expiry has taken its files away.
var errMoved = errors.New("the table's version has expired")

// mostMoved is how often an audit begins anew because of that.
const mostMoved = 5

// Run audits a view. Ingestion, imports, compaction and further audits may go
// on meanwhile. An error means that the audit could not be done; what differs is
// in the report. progress may be nil; it is called by one goroutine at a time.
func (a *Auditor) Run(ctx context.Context, v *feature.View, o Options, progress func(Progress)) (*Report, error) {
	if v.SourceOf == nil || len(v.Keys) == 0 {
		return nil, feature.Errorf(feature.Internal, op, "view "+v.ID(), "the view is not resolved")
	}
	if o.Most <= 0 {
		o.Most = 100
	}
	for try := 1; ; try++ {
		r := &run{a: a, v: v, o: o, report: &Report{View: v}, parts: map[partKey]*part{},
			found: newFindings(o.Most), defs: newDefinitions(a.Catalogs, a.Formats, v), hash: newHasher(v)}
		r.say = r.speaker(progress)
		err := r.do(ctx)
		switch {
		case err == nil:
			return r.report, nil
		case !errors.Is(err, errMoved):
			return nil, err
		case try == mostMoved:
			return nil, feature.Errorf(feature.Unavailable, op, "view "+v.ID(), "%w, %d times in a row", errMoved, try).
				WithHint("let table versions live longer than an audit takes")
		}
		a.Log.Info("the table's version has expired, the audit begins anew", "view", v.ID())
	}
}

const op = "audit.run"

// run is one audit of one view.
type run struct {
	a      *Auditor
	v      *feature.View
	o      Options
	report *Report
	table  offline.Table
	st     *offline.State
	parts  map[partKey]*part
	order  []*part // as in the report
	found  *findings
	undone undone
	defs   *definitions
	hash   *hasher
	// replays are the known times of the view's replays from quarantine.
	replays map[int64]bool
	say     func(step string, done, total int64)

	mu    sync.Mutex
	doubt []*bucketDoubt // guarded by mu; buckets to look into
	notes []string       // guarded by mu
	lost  map[string]bool
}

func (r *run) do(ctx context.Context) error {
	// Groups are told after the table commit, so they are asked before the table.
	told, err := r.told(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if r.table != nil {
			_ = r.table.Close()
		}
	}()
	if err := r.pin(ctx); err != nil {
		if errors.Is(err, offline.ErrRolledBack) || errors.Is(err, offline.ErrNoPositions) {
			r.found.thing(Difference{Kind: RolledBack, Detail: err.Error()})
			r.note("nothing else was compared: the table cannot be read as it is")
			r.finish()
			return nil
		}
		return err
	}
	r.behind(told)
	if err := r.readQuarantine(ctx); err != nil {
		return err
	}
	if err := r.readTable(ctx); err != nil {
		return err
	}
	r.dropVoid()
	if err := r.readLogs(ctx); err != nil {
		return err
	}
	if err := r.readReplayed(ctx); err != nil {
		return err
	}
	r.compareSets()
	if err := r.describe(ctx); err != nil {
		return err
	}
	if err := r.online(ctx); err != nil {
		return err
	}
	r.finish()
	return nil
}

// pin opens the table and keeps to its newest version.
func (r *run) pin(ctx context.Context) (err error) {
	if r.table, err = r.a.Tables.Table(ctx, r.v); err != nil {
		return err
	}
	if r.st, err = r.table.Load(ctx, offline.Version{}); err != nil {
		return err
	}
	// After Load: one that has happened since is no part of what is compared.
	if r.undone.rollbacks, err = r.table.Rollbacks(ctx); err != nil {
		return err
	}
	r.report.Snapshot, r.report.At = r.st.Snapshot, r.st.Positions
	for _, at := range r.st.Positions {
		r.defs.upTo = max(r.defs.upTo, at.Revision)
		if at.Partition == feature.ReplayPartition {
			continue // no row is there: rows keep the coordinates of their events
		}
		if r.wants(at.Partition) {
			p := r.part(at.Topic, at.TopicID, at.Partition)
			p.at, p.known = at, true
		}
	}
	return nil
}

func (r *run) wants(partition int32) bool {
	return len(r.o.Partitions) == 0 || slices.Contains(r.o.Partitions, partition)
}

// part is what is known of a partition; one that is not in the table's positions is not known.
func (r *run) part(topic string, id [16]byte, partition int32) *part {
	k := partKey{id, partition}
	p := r.parts[k]
	if p == nil {
		p = newPart(topic, id, partition)
		r.parts[k] = p
	}
	return p
}

// online has the online store compared.
func (r *run) online(ctx context.Context) (err error) {
	if r.o.SkipOnline || r.a.Online == nil || !r.v.IsOnline() || len(r.o.Partitions) > 0 {
		return nil
	}
	if len(r.lost) > 0 {
		r.note("the online store was not compared: without the files that are lost nobody knows which rows are the newest")
		return nil
	}
	r.say("online", 0, 1)
	r.report.Online, err = r.a.Online(ctx, r.v, r.table, r.st, r.found.thing)
	r.say("online", 1, 1)
	return err
}

// finish puts the report together.
func (r *run) finish() {
	for _, p := range r.parts {
		r.order = append(r.order, p)
	}
	slices.SortFunc(r.order, func(a, b *part) int {
		return cmp.Or(strings.Compare(a.at.Topic, b.at.Topic), slices.Compare(a.at.TopicID[:], b.at.TopicID[:]), cmp.Compare(a.at.Partition, b.at.Partition))
	})
	for _, p := range r.order {
		r.report.Lines = append(r.report.Lines, p.report()...)
	}
	r.report.Differences, r.report.Found = r.found.list()
	slices.Sort(r.notes)
	r.report.Notes = r.notes
}

func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := fmt.Sprintf(format, args...); !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

func (r *run) speaker(progress func(Progress)) func(string, int64, int64) {
	if progress == nil {
		return func(string, int64, int64) {}
	}
	var mu sync.Mutex
	return func(step string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		progress(Progress{Step: step, Done: done, Total: total})
	}
}
