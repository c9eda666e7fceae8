package mlflow

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Tags of a version in MLflow that tie it to its training set, and the one by which a version here shows that it came from there.
const (
	SnapshotTag = "feature_snapshot_id"
	ServiceTag  = "feature_service" // name, or name@version
	ProjectTag  = "weir.project"
	RunTag      = "mlflow.run_id"
)

// Client is what is asked of MLflow.
type Client interface {
	ModelVersion(ctx context.Context, name, version string) (mlflow.Version, error)
	Aliased(ctx context.Context) ([]mlflow.Model, error)
	VersionByAlias(ctx context.Context, name, alias string) (mlflow.Version, error)
}

// Models is what is asked of the registry.
type Models interface {
	RegisterModel(ctx context.Context, m feature.Model) (feature.Model, bool, error)
	ListModels(ctx context.Context, project, name string) ([]feature.Model, error)
	MoveAlias(ctx context.Context, project, name, alias, version string) (bool, error)
}

// Options are what a Follower needs.
type Options struct {
	Client  Client
	Models  Models
	Project string // of versions that name none
	Log     *slog.Logger
	Metrics *Metrics
	// Every is how often all models are looked at; 0 for never.
	Every time.Duration
}

// Follower makes the registry's aliases those of MLflow. Safe for concurrent use, also by several processes: all
// of them make the same of the same answers.
type Follower struct {
	o  Options
	mu sync.Mutex // one look at a time: two answers of MLflow must not overtake each other

	said map[string]string // under mu: what was logged of a version last
}

// New makes a follower; Run starts it.
func New(o Options) *Follower {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Project == "" {
		o.Project = registry.DefaultProject
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &Follower{o: o, said: map[string]string{}}
}

// Run looks at all models now and then every while, until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	if f.o.Every <= 0 {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(f.o.Every)
	defer t.Stop()
	failing := false
	for {
		err := f.Sync(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			f.o.Log.Warn("MLflow's models cannot be followed; it is tried again", "every", f.o.Every.String(), "error", err)
		} else if err == nil && failing {
			f.o.Log.Info("MLflow's models are followed again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Sync looks at every model that has an alias, there or here. It goes on after a model that fails, and returns the first error.
func (f *Follower) Sync(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.sync(ctx)
	result := "ok"
	if err != nil {
		result = "failed"
	}
	f.o.Metrics.syncs.WithLabelValues(result).Inc()
	return err
}

func (f *Follower) sync(ctx context.Context) error {
	there, err := f.o.Client.Aliased(ctx)
	if err != nil {
		return err
	}
	here, err := f.o.Models.ListModels(ctx, "", "")
	if err != nil {
		return err
	}
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	seen := map[string]bool{}
	for _, m := range there {
		seen[m.Name] = true
		for _, alias := range slices.Sorted(maps.Keys(m.Aliases)) {
			keep(f.place(ctx, named(here, m.Name), m.Name, alias, m.Aliases[alias]))
		}
		keep(f.takeOff(ctx, named(here, m.Name), m.Name, func(alias string) bool { return m.Aliases[alias] == "" }))
	}
	for _, m := range here {
		if !seen[m.Name] {
			seen[m.Name] = true
			keep(f.takeOff(ctx, named(here, m.Name), m.Name, func(string) bool { return true }))
		}
	}
	return first
}

// Look looks at one alias of a model.
func (f *Follower) Look(ctx context.Context, name, alias string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	here, err := f.o.Models.ListModels(ctx, "", name)
	if err != nil {
		return err
	}
	v, err := f.o.Client.VersionByAlias(ctx, name, alias)
	if err != nil && feature.KindOf(err) == feature.NotFound {
		return f.takeOff(ctx, here, name, func(a string) bool { return a == alias })
	}
	if err != nil {
		return err
	}
	if has(here, alias, v.Version) {
		return nil
	}
	return f.take(ctx, v, alias)
}

func named(all []feature.Model, name string) (out []feature.Model) {
	for _, m := range all {
		if m.Name == name {
			out = append(out, m)
		}
	}
	return out
}

func has(here []feature.Model, alias, version string) bool {
	return slices.ContainsFunc(here, func(m feature.Model) bool { return m.Version == version && m.HasAlias(alias) })
}

// place puts an alias where MLflow has it. Where it stands there already nothing more is asked.
func (f *Follower) place(ctx context.Context, here []feature.Model, name, alias, version string) error {
	if has(here, alias, version) {
		return nil
	}
	v, err := f.o.Client.ModelVersion(ctx, name, version)
	if feature.KindOf(err) == feature.NotFound && err != nil {
		return nil // it has gone since; the next look sees what is left
	}
	if err != nil {
		return err
	}
	return f.take(ctx, v, alias)
}

// take registers a version, if its tags say what it was trained on, and moves the alias to it. What the registry refuses
// is logged once and no error: asking again would not help, and other models are none the worse.
func (f *Follower) take(ctx context.Context, v mlflow.Version, alias string) error {
	what := v.Name + "@" + v.Version
	m := feature.Model{Project: v.Tags[ProjectTag], Name: v.Name, Version: v.Version, Snapshot: v.Tags[SnapshotTag], URI: v.Source, Aliases: []string{alias}, Tags: map[string]string{RunTag: v.RunID}}
	if m.Project == "" {
		m.Project = f.o.Project
	}
	if m.Snapshot == "" {
		f.say(what, slog.LevelInfo, "a version that MLflow has an alias for does not say what it was trained on", "model", what, "alias", alias, "missing", "tag "+SnapshotTag)
		return nil
	}
	if s := v.Tags[ServiceTag]; s != "" {
		name, version, ok := strings.Cut(s, "@")
		m.Service = name
		if n, err := strconv.Atoi(version); ok && err == nil {
			m.ServiceVersion = n
		}
	}
	_, fresh, err := f.o.Models.RegisterModel(ctx, m)
	if k := feature.KindOf(err); err != nil && (k == feature.Unavailable || k == feature.Internal) {
		return err
	}
	if err != nil {
		f.say(what, slog.LevelWarn, "a version that MLflow has an alias for cannot be registered", "model", what, "alias", alias, "error", err)
		return nil
	}
	delete(f.said, what)
	f.o.Log.Info("MLflow's alias is followed", "model", m.ID(), "alias", alias, "snapshot", m.Snapshot, "new", fresh)
	return nil
}

// takeOff takes aliases off versions that came from MLflow, where it has them no more. What somebody registered by
// hand is theirs.
func (f *Follower) takeOff(ctx context.Context, here []feature.Model, name string, gone func(alias string) bool) error {
	for _, m := range here {
		if _, came := m.Tags[RunTag]; !came {
			continue
		}
		for _, alias := range m.Aliases {
			if !gone(alias) {
				continue
			}
			if _, err := f.o.Models.MoveAlias(ctx, m.Project, name, alias, ""); err != nil {
				return err
			}
			f.o.Log.Info("MLflow has an alias no more, and it is taken off", "model", m.ID(), "alias", alias)
		}
	}
	return nil
}

// say logs once, until something else is to be said of the same version.
func (f *Follower) say(what string, level slog.Level, msg string, args ...any) {
	if f.said[what] == msg {
		return
	}
	f.said[what] = msg
	f.o.Log.Log(context.Background(), level, msg, args...)
}
