package offline

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// TrainingRequest asks for a training set by names, as clients do: the command
// line, Arrow Flight, Feast's SDK.
type TrainingRequest struct {
	Project string // the default project when empty
	Service string
	// Features ("view:feature", "view:*") are asked for in place of a service. No
	// service stands for them, so that nothing is recorded.
	Features []string
	// FullNames names every feature column view__feature, not only those whose name two views have.
	FullNames bool
	Clock     feature.Clock // feature.KnownClock when empty
	// Versions of the tables, the newest where nothing is said: VERSION for all views, VIEW=VERSION for one.
	Versions []string
	// Unrecorded makes no snapshot: nothing is tagged, profiled or remembered.
	Unrecorded bool
	// Split puts each row into a part; nil for none. Rows and None count nothing here.
	Split    *feature.SnapshotSplit
	Spine    Spine
	Progress func(done, total int64) // as in JoinRequest; may be nil
	Stage    func(stage string)      // as in JoinRequest; may be nil
	// Begin hears, before the first batch, the schema of all of them and the id that
	// the snapshot will have, empty when it is not recorded. May be nil.
	Begin func(schema *arrow.Schema, id string) error
	// Sink gets the rows, as from Join.
	Sink func(arrow.RecordBatch) error
	// Commit is as in CreateRequest; may be nil.
	Commit func() error
}

// Trainer makes training sets; the program resolves the names.
type Trainer interface {
	// Train makes one. Of an unrecorded one only Rows and Join are told.
	Train(ctx context.Context, req TrainingRequest) (Created, error)
}
