package mlflow_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	client "github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/mlflow"
	"github.com/weir-ml/weir/registry/registrytest"
)

var ctx = context.Background()

// fake is an MLflow's registry.
type fake struct {
	versions map[string]client.Version    // by name@version
	aliases  map[string]map[string]string // model -> alias -> version
	err      error
	asked    int // for versions
}

func (f *fake) ModelVersion(_ context.Context, name, version string) (client.Version, error) {
	f.asked++
	v, ok := f.versions[name+"@"+version]
	if !ok && f.err == nil {
		return v, feature.Errorf(feature.NotFound, "mlflow", name, "no such version")
	}
	return v, f.err
}

func (f *fake) VersionByAlias(ctx context.Context, name, alias string) (client.Version, error) {
	v, ok := f.aliases[name][alias]
	if !ok && f.err == nil {
		return client.Version{}, feature.Errorf(feature.NotFound, "mlflow", name, "no such alias")
	}
	return f.ModelVersion(ctx, name, v)
}

func (f *fake) Aliased(context.Context) (out []client.Model, err error) {
	for name, a := range f.aliases {
		if len(a) > 0 {
			out = append(out, client.Model{Name: name, Aliases: a})
		}
	}
	return out, f.err
}

func (f *fake) has(name, version string, tags ...string) {
	v := client.Version{Name: name, Version: version, Source: "models:/" + version, RunID: "run" + version, Tags: map[string]string{}}
	for i := 0; i < len(tags); i += 2 {
		v.Tags[tags[i]] = tags[i+1]
	}
	f.versions[name+"@"+version] = v
}

// world is an MLflow, a registry with the snapshots s1 to s3 and a follower between them.
type world struct {
	*fake
	t   *testing.T
	s   registry.Store
	reg *registry.Registry
	f   *mlflow.Follower
	log bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, fake: &fake{versions: map[string]client.Version{}, aliases: map[string]map[string]string{"churn": {}}}}
	s := memory.New()
	for i := range 3 {
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: fmt.Sprint("s", i+1), Project: "p", Service: "svc", ServiceVersion: i + 1}, nil))
	}
	w.s = s
	w.reg = registrytest.Open(t, s, registry.Checks{})
	w.f = mlflow.New(mlflow.Options{Client: w.fake, Models: w.reg, Project: "p", Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	return w
}

func (w *world) snapshot(project, id string) {
	require.NoError(w.t, w.s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: project, Service: "svc", ServiceVersion: 1}, nil))
}

// models are the registry's versions with their aliases.
func (w *world) models() string {
	w.t.Helper()
	all, err := w.reg.ListModels(ctx, "", "")
	require.NoError(w.t, err)
	var out []string
	for _, m := range all {
		out = append(out, strings.TrimSpace(m.ID()+" "+strings.Join(m.Aliases, ",")))
	}
	return strings.Join(out, "; ")
}

func TestFollow(t *testing.T) {
	w := newWorld(t)
	for name, look := range map[string]func() error{
		"by calls": func() error { return w.f.Look(ctx, "churn", "champion") },
		"by syncs": func() error { return w.f.Sync(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			w = newWorld(t)
			w.has("churn", "1", mlflow.SnapshotTag, "s1", mlflow.ServiceTag, "svc")
			w.has("churn", "2", mlflow.SnapshotTag, "s2", mlflow.ServiceTag, "svc@2")
			require.NoError(t, look())
			require.Empty(t, w.models())

			w.aliases["churn"]["champion"] = "1"
			for range 2 { // the same call twice
				require.NoError(t, look())
				require.Equal(t, "p/churn@1 champion", w.models())
			}
			m, err := w.reg.FindModel(ctx, "p", "churn", "1")
			require.NoError(t, err)
			require.Equal(t, "models:/1", m.URI)
			require.Equal(t, "svc", m.Service)
			require.Equal(t, "run1", m.Tags[mlflow.RunTag])

			w.aliases["churn"]["champion"] = "2"
			require.NoError(t, look())
			require.Equal(t, "p/churn@1; p/churn@2 champion", w.models())
			w.aliases["churn"]["champion"] = "1" // and back
			require.NoError(t, look())
			require.Equal(t, "p/churn@1 champion; p/churn@2", w.models())
			delete(w.aliases["churn"], "champion")
			require.NoError(t, look())
			require.Equal(t, "p/churn@1; p/churn@2", w.models())
			moves, err := w.reg.AliasMoves(ctx, "p", "churn")
			require.NoError(t, err)
			require.Len(t, moves, 4, "nothing was moved twice")
		})
	}
}

// TestFollowNotOurs: versions that do not say what they were trained on, and what the registry refuses, are
// left out with one line, until that is mended.
func TestFollowNotOurs(t *testing.T) {
	w := newWorld(t)
	w.aliases["churn"]["champion"] = "1"
	w.aliases["other"] = map[string]string{"blue": "7"}
	w.has("churn", "1")
	w.has("other", "7", mlflow.SnapshotTag, "s3", mlflow.ServiceTag, "wrong", mlflow.ProjectTag, "p")
	for range 3 {
		require.NoError(t, w.f.Sync(ctx))
	}
	require.Empty(t, w.models())
	require.Equal(t, 1, strings.Count(w.log.String(), "does not say what it was trained on"))
	require.Equal(t, 1, strings.Count(w.log.String(), "cannot be registered"))
	require.Contains(t, w.log.String(), "snapshot s3 was made with svc@3")

	w.has("churn", "1", mlflow.SnapshotTag, "s1") // the tag came after the alias
	w.has("other", "7", mlflow.SnapshotTag, "s3", mlflow.ServiceTag, "svc", mlflow.ProjectTag, "p")
	require.NoError(t, w.f.Sync(ctx))
	require.Equal(t, "p/churn@1 champion; p/other@7 blue", w.models())

	// Where all is as it should be, nothing is asked about versions.
	w.asked = 0
	require.NoError(t, w.f.Sync(ctx))
	require.Zero(t, w.asked)
}

// TestFollowBesideOthers: models that somebody registered by hand keep their aliases.
func TestFollowBesideOthers(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.reg.RegisterModel(ctx, feature.Model{Project: "p", Name: "byhand", Version: "1", Snapshot: "s1", Aliases: []string{"champion"}})
	require.NoError(t, err)
	w.has("churn", "1", mlflow.SnapshotTag, "s1")
	w.aliases["churn"]["champion"] = "1"
	require.NoError(t, w.f.Sync(ctx))
	w.aliases = map[string]map[string]string{} // the model was deleted in MLflow
	require.NoError(t, w.f.Sync(ctx))
	require.Equal(t, "p/byhand@1 champion; p/churn@1", w.models())
}

func TestFollowAway(t *testing.T) {
	w := newWorld(t)
	w.has("churn", "1", mlflow.SnapshotTag, "s1")
	w.aliases["churn"]["champion"] = "1"
	require.NoError(t, w.f.Sync(ctx))
	w.err = feature.Errorf(feature.Unavailable, "mlflow", "", "away")
	require.Error(t, w.f.Sync(ctx))
	require.Error(t, w.f.Look(ctx, "churn", "champion"))
	require.Equal(t, "p/churn@1 champion", w.models(), "who does not answer says nothing")
}

// listing is an MLflow whose list of aliases is not what it says of each: it was read a while ago, or page by page.
type listing struct {
	*fake
	says func() []client.Model
}

func (l listing) Aliased(context.Context) ([]client.Model, error) { return l.says(), nil }

// TestFollowOldList: of MLflow's list only the names count. What a call has told meanwhile is not undone by it.
func TestFollowOldList(t *testing.T) {
	w := newWorld(t)
	w.has("churn", "1", mlflow.SnapshotTag, "s1")
	w.has("churn", "2", mlflow.SnapshotTag, "s2")
	w.aliases["churn"]["champion"] = "1"
	require.NoError(t, w.f.Sync(ctx))

	for _, old := range [][]client.Model{nil, {{Name: "churn", Aliases: map[string]string{"champion": "1"}}}} {
		w.aliases["churn"]["champion"] = "1"
		require.NoError(t, w.f.Look(ctx, "churn", "champion"))
		other := mlflow.New(mlflow.Options{Client: w.fake, Models: w.reg, Project: "p"}) // in another process
		f := mlflow.New(mlflow.Options{Models: w.reg, Project: "p", Client: listing{w.fake, func() []client.Model {
			w.aliases["churn"]["champion"] = "2"
			require.NoError(t, other.Look(ctx, "churn", "champion"))
			return old
		}}})
		require.NoError(t, f.Sync(ctx))
		require.Equal(t, "p/churn@1; p/churn@2 champion", w.models())
	}
	moves, err := w.reg.AliasMoves(ctx, "p", "churn")
	require.NoError(t, err)
	require.Len(t, moves, 4, "to 1, to 2, to 1, to 2")
}

// TestFollowProjects: a version's tag says whose it is. One of that name in another project is no reason to leave it out,
// and an alias that goes on to another project's version leaves the first.
func TestFollowProjects(t *testing.T) {
	w := newWorld(t)
	w.snapshot("q", "q1")
	_, _, err := w.reg.RegisterModel(ctx, feature.Model{Project: "q", Name: "churn", Version: "1", Snapshot: "q1", Aliases: []string{"champion"}})
	require.NoError(t, err)
	w.has("churn", "1", mlflow.SnapshotTag, "s1")
	w.has("churn", "2", mlflow.SnapshotTag, "q1", mlflow.ProjectTag, "q")
	w.aliases["churn"]["champion"] = "1"
	for range 2 {
		require.NoError(t, w.f.Sync(ctx))
		require.Equal(t, "p/churn@1 champion; q/churn@1 champion", w.models())
	}
	w.aliases["churn"]["champion"] = "2"
	for range 2 {
		require.NoError(t, w.f.Sync(ctx))
		require.Equal(t, "p/churn@1; q/churn@1; q/churn@2 champion", w.models())
	}
	w.asked = 0
	require.NoError(t, w.f.Sync(ctx))
	require.Zero(t, w.asked)
}

// TestFollowThousands: models that have nothing to do with features are asked about once, then some at a time; those that
// do are followed at once.
func TestFollowThousands(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		name := fmt.Sprint("other", i)
		w.has(name, "1")
		w.aliases[name] = map[string]string{"champion": "1"}
	}
	require.NoError(t, w.f.Sync(ctx))
	require.Equal(t, 1000, w.asked)

	w.has("other7", "1", mlflow.SnapshotTag, "s1") // the tag came after the alias
	w.has("churn", "1", mlflow.SnapshotTag, "s1")
	w.aliases["churn"]["champion"] = "1"
	w.asked = 0
	require.NoError(t, w.f.Sync(ctx))
	require.Equal(t, 201, w.asked)
	require.Contains(t, w.models(), "p/churn@1 champion")
	for range 4 {
		require.NoError(t, w.f.Sync(ctx))
	}
	require.Equal(t, 201+4*200, w.asked, "each has had its turn")
	require.Equal(t, "p/churn@1 champion; p/other7@1 champion", w.models())
}

// TestFollowGivesUp: where nothing answers, not every model is waited for.
func TestFollowGivesUp(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.aliases[fmt.Sprint("m", i)] = map[string]string{"champion": "1"}
	}
	all, err := w.Aliased(ctx)
	require.NoError(t, err)
	w.err = feature.Errorf(feature.Unavailable, "mlflow", "", "away")
	f := mlflow.New(mlflow.Options{Models: w.reg, Client: listing{w.fake, func() []client.Model { return all }}})
	require.Error(t, f.Sync(ctx))
	require.Equal(t, 5, w.asked)
}
