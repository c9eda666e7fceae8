package mlflow

import (
	"cmp"
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
	// settled are, under mu, the placed aliases whose project is known: the name alone does not tell it.
	settled map[spot]string
	// unfit are, under mu, those that stand at versions that cannot be followed, and when each was asked about last.
	unfit map[spot]int64
	turn  int64
}

// spot is where an alias of MLflow stands.
type spot struct{ name, alias, version string }

// mostUnfit is how many spots of versions that could not be followed are asked about again in one sync: MLflow may
// have thousands of models that have nothing to do with features.
const mostUnfit = 200

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
	return &Follower{o: o, said: map[string]string{}, settled: map[spot]string{}, unfit: map[spot]int64{}}
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

// Sync looks at every alias that stands elsewhere here than there. It goes on after one that fails, and returns the first error.
func (f *Follower) Sync(ctx context.Context) error {
	err := f.sync(ctx)
	result := "ok"
	if err != nil {
		result = "failed"
	}
	f.o.Metrics.syncs.WithLabelValues(result).Inc()
	return err
}

// giveUp is after how many failures in a row a sync ends: MLflow, or the registry, is away.
const giveUp = 5

func (f *Follower) sync(ctx context.Context) error {
	// Ours first: what somebody places meanwhile is not taken for something that MLflow has no more.
	here, err := f.o.Models.ListModels(ctx, "", "")
	if err != nil {
		return err
	}
	there, err := f.o.Client.Aliased(ctx)
	if err != nil {
		return err
	}
	var first error
	failed := 0
	// Both lists are old by now, and MLflow's may lack a model where others were deleted while it was read. So of
	// either only the names count: each look asks anew.
	for _, x := range f.differences(here, there) {
		if err = f.Look(ctx, x.name, x.alias); err == nil {
			failed = 0
			continue
		}
		if first == nil {
			first = err
		}
		if failed++; failed == giveUp || ctx.Err() != nil {
			break
		}
	}
	return first
}

// differences are the aliases that do not stand where MLflow has them; of those that could not be
// followed the ones that waited longest.
func (f *Follower) differences(here []feature.Model, there []mlflow.Model) (out []spot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := map[string]map[string]string{} // model -> alias -> version
	var unfit []spot
	ours := byName(here)
	for _, m := range there {
		at[m.Name] = m.Aliases
		for _, alias := range slices.Sorted(maps.Keys(m.Aliases)) {
			x := spot{m.Name, alias, m.Aliases[alias]}
			if f.unfit[x] > 0 {
				unfit = append(unfit, x)
			} else if !f.placed(ours[m.Name], x) {
				out = append(out, x)
			}
		}
	}
	for _, m := range here {
		for _, alias := range m.Aliases {
			if _, has := at[m.Name][alias]; !has && came(&m) {
				out = append(out, spot{m.Name, alias, ""})
			}
		}
	}
	maps.DeleteFunc(f.unfit, func(x spot, _ int64) bool { return at[x.name][x.alias] != x.version })
	maps.DeleteFunc(f.settled, func(x spot, _ string) bool { return at[x.name][x.alias] != x.version })
	slices.SortStableFunc(unfit, func(a, b spot) int { return cmp.Compare(f.unfit[a], f.unfit[b]) })
	return append(out, unfit[:min(len(unfit), mostUnfit)]...)
}

// placed reports whether an alias stands where MLflow has it, and nowhere else that MLflow's ever stood.
func (f *Follower) placed(here []feature.Model, x spot) bool {
	is := false
	for i := range here {
		m := &here[i]
		switch {
		case !m.HasAlias(x.alias):
		case m.Version == x.version && (f.settled[x] == m.Project || f.settled[x] == "" && came(m)):
			is = true
		case came(m):
			return false
		}
	}
	return is
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
		return f.takeOff(ctx, here, alias, "")
	}
	if err != nil {
		return err
	}
	project := cmp.Or(v.Tags[ProjectTag], f.o.Project)
	x := spot{name, alias, v.Version}
	if !slices.ContainsFunc(here, func(m feature.Model) bool {
		return m.Project == project && m.Version == v.Version && m.HasAlias(alias)
	}) {
		fit, err := f.take(ctx, v, project, alias)
		if err != nil {
			return err
		}
		if !fit {
			f.turn++
			f.unfit[x] = f.turn
			return nil
		}
	}
	delete(f.unfit, x)
	f.settled[x] = project
	return f.takeOff(ctx, here, alias, project) // where the version before was another project's
}

func byName(all []feature.Model) map[string][]feature.Model {
	out := map[string][]feature.Model{}
	for _, m := range all {
		out[m.Name] = append(out[m.Name], m)
	}
	return out
}

// came reports whether a version came from MLflow: what somebody registered by hand is theirs.
func came(m *feature.Model) bool {
	_, is := m.Tags[RunTag]
	return is
}

// take registers a version, if its tags say what it was trained on, and moves the alias to it. What the registry refuses
// is logged once and no error: asking again would not help, and other models are none the worse.
func (f *Follower) take(ctx context.Context, v mlflow.Version, project, alias string) (fit bool, err error) {
	what := v.Name + "@" + v.Version
	m := feature.Model{Project: project, Name: v.Name, Version: v.Version, Snapshot: v.Tags[SnapshotTag], URI: v.Source, Aliases: []string{alias}, Tags: map[string]string{RunTag: v.RunID}}
	if m.Snapshot == "" {
		f.say(what, slog.LevelInfo, "a version that MLflow has an alias for does not say what it was trained on", "model", what, "alias", alias, "missing", "tag "+SnapshotTag)
		return false, nil
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
		return false, err
	}
	if err != nil {
		f.say(what, slog.LevelWarn, "a version that MLflow has an alias for cannot be registered", "model", what, "alias", alias, "error", err)
		return false, nil
	}
	delete(f.said, what)
	f.o.Log.Info("MLflow's alias is followed", "model", m.ID(), "alias", alias, "snapshot", m.Snapshot, "new", fresh)
	return true, nil
}

// takeOff takes an alias off the versions of a model that came from MLflow: where it has the alias no more, or, with a project, in all others.
func (f *Follower) takeOff(ctx context.Context, here []feature.Model, alias, but string) error {
	for _, m := range here {
		if !came(&m) || !m.HasAlias(alias) || m.Project == but {
			continue
		}
		if _, err := f.o.Models.MoveAlias(ctx, m.Project, m.Name, alias, ""); err != nil {
			return err
		}
		f.o.Log.Info("MLflow has an alias no more, and it is taken off", "model", m.ID(), "alias", alias)
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
