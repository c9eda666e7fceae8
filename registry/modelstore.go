package registry

import (
	"context"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Models keeps which versions of models there are, what they were trained on, and where aliases stand and stood.
type Models interface {
	// PutModel records a version of a model; its Aliases are left out (SetAlias). Putting one that is there
	// already changes its URI and tags alone, and keeps when it was created: feature.Conflict when service or snapshot are others, and when
	// the snapshot does not exist (any more).
	PutModel(ctx context.Context, m feature.Model) error
	// Model returns a version with its aliases; feature.NotFound when there is none.
	Model(ctx context.Context, project, name, version string) (feature.Model, error)
	// ListModels returns all versions in the order of feature.CompareModels: of all projects, or all models, where these are empty.
	ListModels(ctx context.Context, project, name string) ([]feature.Model, error)
	// DeleteModel removes a version; feature.Conflict while it has an alias.
	DeleteModel(ctx context.Context, project, name, version string) error
	// MoveAlias puts m.Alias at a version, away from where it was; an empty version takes it off. It reports
	// whether that changed anything; m.Snapshot is left out. feature.NotFound when there is no such version. A model keeps the order of moves, whatever the clocks say.
	MoveAlias(ctx context.Context, m feature.AliasMove) (bool, error)
	// AliasMoves returns the past of a model's aliases, oldest first.
	AliasMoves(ctx context.Context, project, name string) ([]feature.AliasMove, error)
}

// NoModel is the answer to a question for a version that does not exist.
func NoModel(project, name, version string) error {
	return feature.Errorf(feature.NotFound, "registry.model", project+"/"+name+"@"+version, "it is not registered").
		WithHint("weir model list shows what there is; weir model register adds a version")
}

// ModelTaken is the answer to another origin of a version that is registered.
func ModelTaken(is, wanted feature.Model) error {
	return feature.Errorf(feature.Conflict, "registry.put_model", is.ID(), "it was trained with service %s@%d on snapshot %s, not with %s@%d on %s",
		is.Service, is.ServiceVersion, is.Snapshot, wanted.Service, wanted.ServiceVersion, wanted.Snapshot).
		WithHint("what a version was made of never changes: register another version")
}

// ModelAliased is the answer to the deletion of a version that has an alias.
func ModelAliased(m feature.Model) error {
	return feature.Errorf(feature.Conflict, "registry.delete_model", m.ID(), "it is %s", strings.Join(m.Aliases, ", ")).
		WithHint("move the alias to another version, or take it off: weir model alias %s %s %s --delete", m.Name, m.Version, m.Aliases[0])
}

// ModelNeedsSnapshot is the answer to a version of a snapshot that does not exist.
func ModelNeedsSnapshot(id string) error {
	return feature.Errorf(feature.Conflict, "registry.put_model", "snapshot "+id, "it does not exist (any more)").
		WithHint("weir snapshot list shows what there is")
}

// SnapshotTrained is the answer to the deletion of a snapshot that models were trained on.
func SnapshotTrained(id string, by []feature.Model) error {
	return feature.Errorf(feature.Conflict, "registry.delete_snapshot", "snapshot "+id, "%s trained on it", modelNames(by)).
		WithHint("delete the model version first: weir model delete %s %s", by[0].Name, by[0].Version)
}
