package ingest

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Catalogs is what ingestion needs of the registry.
type Catalogs interface {
	Current(ctx context.Context) (*registry.Catalog, error)
	At(ctx context.Context, revision int64) (*registry.Catalog, error)
	Subscribe() (<-chan *registry.Catalog, func())
}

// OpenOutlets opens the table and the sinks of a view, as a catalog defines them.
type OpenOutlets func(ctx context.Context, cat *registry.Catalog, v *feature.View) (*Outlets, error)

// SupervisorConfig is what a Supervisor is made of.
type SupervisorConfig struct {
	Config
	Catalogs   Catalogs
	Open       OpenOutlets
	Kafka      []kgo.Opt
	Quarantine *quarantine.Writer
	Replicas   int16
	Protocol   string // of consumer groups: ProtocolClassic (also when empty) or ProtocolConsumer
	// CreateTopic, when set, makes a source's missing topic (embedded Kafka).
	CreateTopic func(ctx context.Context, topic string) error
	Witness     Witness         // of records that ask for one; may be nil
	Formats     *format.Formats // as PipelineConfig has it
	Pauses      Pauses          // in memory when nil
	Alert       Alert           // may be nil
	Log         *slog.Logger
	Metrics     *Metrics
}

// Supervisor keeps one runner for each source that has views, follows the
// catalog, and starts again what failed. A change of the catalog reaches a
// running source at a commit: the runner stops, its last commit names the new
// revision, and it starts again with the new definitions.
type Supervisor struct {
	SupervisorConfig

	mu      sync.Mutex
	runners map[string]*runner // guarded by mu; by project/source
}

// NewSupervisor makes a supervisor; Run starts it.
func NewSupervisor(c SupervisorConfig) *Supervisor {
	if c.Pauses == nil {
		c.Pauses = NewPauses()
	}
	return &Supervisor{SupervisorConfig: c, runners: map[string]*runner{}}
}

// Run follows the catalog until ctx ends, then stops every source cleanly.
func (s *Supervisor) Run(ctx context.Context) error {
	changes, cancel := s.Catalogs.Subscribe()
	defer cancel()
	var cat *registry.Catalog
	err := retry(ctx, s.Log, "catalog", nil, func(ctx context.Context) (err error) {
		cat, err = s.Catalogs.Current(ctx)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		s.follow(ctx, &wg, cat)
		select {
		case <-ctx.Done():
			return nil
		case cat = <-changes:
		}
	}
}

// follow starts, changes and stops runners so that they fit the catalog.
func (s *Supervisor) follow(ctx context.Context, wg *sync.WaitGroup, cat *registry.Catalog) {
	want := map[string]*task{}
	for _, v := range cat.Views() {
		id := v.Meta.Project + "/" + v.SourceOf.Meta.Name
		if want[id] == nil {
			want[id] = &task{catalog: cat, source: v.SourceOf}
		}
		want[id].views = append(want[id].views, v)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.runners {
		if want[id] == nil {
			r.set(nil)
			delete(s.runners, id)
		}
	}
	for id, t := range want {
		t.print = fingerprint(cat, t)
		r := s.runners[id]
		if r == nil {
			r = newRunner(s, t)
			s.runners[id] = r
			wg.Go(func() { r.run(ctx) })
			continue
		}
		r.set(t)
	}
}

// fingerprint changes when anything does that a source's runner depends on.
func fingerprint(cat *registry.Catalog, t *task) string {
	parts := []any{t.source}
	for _, v := range t.views {
		parts = append(parts, v, v.Keys, v.SuiteOf, v.ShadowOf)
		for _, m := range cat.Monitors() {
			if m.ViewOf != nil && m.ViewOf.ID() == v.ID() || m.Performance != nil && m.Meta.Project == v.Meta.Project && m.Performance.Outcomes.View == v.Meta.Name {
				parts = append(parts, m)
			}
		}
	}
	b, err := json.Marshal(parts)
	if err != nil {
		return time.Now().String() // never equal: start again rather than miss a change
	}
	return string(b)
}

// Status tells how every source is doing.
func (s *Supervisor) Status() []SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]SourceStatus, 0, len(s.runners))
	for _, r := range s.runners {
		out = append(out, r.status())
	}
	return out
}
