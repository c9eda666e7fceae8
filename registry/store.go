package registry

import (
	"context"

	"github.com/weir-ml/weir/registry/feature"
)

// Record is one version of one definition, as a Store keeps it.
type Record struct {
	Ref     feature.Ref
	Version int    // from 1; one more with every change, also across a deletion
	Body    []byte // the definition in JSON
	From    int64  // the revision that brought it
	To      int64  // the revision that replaced or deleted it; 0 while it is in force
}

// Revision is one step of the catalog.
type Revision struct {
	Number int64 `json:"revision"`
	At     int64 `json:"at"` // microseconds UTC
}

// ChangeSet is what one revision does: put new versions in force, end others. A
// ref stands in at most one of the two.
type ChangeSet struct {
	Base   int64    // the revision it was planned on; the new one is Base+1
	At     int64    // microseconds UTC
	Puts   []Record // Ref, Version and Body
	Delete []feature.Ref
	// Snapshots are the ids of those that the definitions put in force refer to.
	Snapshots []string
}

// Store keeps the catalog's history and the snapshots. Revision 0 is the empty
// catalog of a new store. Safe for concurrent use, also by several processes.
// Errors carry a feature.ErrorKind; registrytest says what a store must do.
type Store interface {
	// Revision is the newest revision.
	Revision(ctx context.Context) (int64, error)
	// Load returns the definitions in force at a revision, in no particular
	// order; feature.NotFound for a revision that does not exist.
	Load(ctx context.Context, revision int64) ([]Record, error)
	// Commit makes revision Base+1, all of it or nothing; feature.Conflict when
	// the newest revision is not Base, or when one of c.Snapshots does not exist (any more).
	Commit(ctx context.Context, c ChangeSet) error
	// History returns all versions of a definition, oldest first; none for one that never was.
	History(ctx context.Context, ref feature.Ref) ([]Record, error)
	// Revisions returns the revisions after the given one, oldest first.
	Revisions(ctx context.Context, after int64) ([]Revision, error)
	Snapshots
	Models
	// Close frees what the store opened.
	Close() error
}

// Snapshots keeps what the registry knows of training sets. They never change; they may go.
type Snapshots interface {
	// PutSnapshot records a snapshot and its profile (may be nil). Putting the
	// same again does nothing; another one under the same id is a feature.Conflict.
	PutSnapshot(ctx context.Context, s feature.Snapshot, profile []byte) error
	// Snapshot returns a snapshot of the project, of any when that is empty; feature.NotFound when there is none.
	Snapshot(ctx context.Context, project, id string) (feature.Snapshot, error)
	// SnapshotProfile returns the profile that was put with the snapshot, nil for none.
	SnapshotProfile(ctx context.Context, id string) ([]byte, error)
	// ListSnapshots returns the project's snapshots, those of all projects when that is empty; oldest first.
	ListSnapshots(ctx context.Context, project string) ([]feature.Snapshot, error)
	// DeleteSnapshot removes a snapshot with its profile; feature.NotFound when there is
	// none, feature.Conflict when the catalog's newest revision is not base: who uses
	// the snapshot was looked up in another catalog then. feature.Conflict also when a model was trained on it.
	DeleteSnapshot(ctx context.Context, id string, base int64) error
}
