package offline

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// The point-in-time join. For each spine row with key k and time T, and each
// view of the service, the answer is one row of the view's table or none:
//
//	known clock  of the rows of k with known time <= T the last by (effective,
//	             known, partition, offset): feature.Stamp's order
//	event clock  of the rows of k with event time <= T the last by (event, known,
//	             partition, offset)
//
// If that row is a tombstone, or its effective (event) time lies before T - ttl,
// the features are null: an older row is never taken in its place.
//
// How: the spine is sorted by (key, T) once for each set of join keys. Every row
// group of every file is sorted by key as well, and is merged with the spine on
// its own: only keys and times are decoded, and each spine row keeps its best
// candidate so far. The order makes candidates comparable across files, so files
// may come in any order; they come newest first, because a spine row whose
// candidate is newer than all that is left needs no more files. Then the features
// of the winning rows, and only of them, are fetched file by file in the order
// in which they stand there.
//
// A heap merge of all files was tried in a spike: as fast for few files, slower and
// with several times the memory for thousands.

// JoinRequest asks for the features of a service at the rows of a spine.
type JoinRequest struct {
	Service *feature.Service // resolved
	Tables  []TableAt        // one for each of Service.Views, in their order
	Spine   Spine
	Clock   feature.Clock // feature.KnownClock when empty
	// Progress is told, from one goroutine at a time, how many of the spine's rows
	// are done; total is what is known of it: Spine.Count, or the rows read so far.
	Progress func(done, total int64)
	// Memory is about how many bytes a part of the spine may take together with
	// what is joined to it; the spine is joined in as many parts as that needs, each
	// of which reads the tables' keys again. 256 MiB when 0. Beside it stand, for each
	// worker, two row groups' keys and times (some 10 MiB) and one page of each feature.
	Memory  int64
	Workers int // goroutines that decode; GOMAXPROCS when 0
}

// TableAt is a table at one of its versions.
type TableAt struct {
	Table   Table
	Version Version
}

// JoinResult says what a join did.
type JoinResult struct {
	Rows         int64   // of the spine, and of the output
	NullTimes    int64   // spine rows without a time
	Nulls        []int64 // by service column
	FilesRead    int64   // files opened
	FilesSkipped int64   // files that could not matter, by their bounds
	RowsRead     int64   // table rows whose keys were looked at
}

// Join gives sink the spine's rows in their order, one for one, each with the
// service's columns after the spine's. The batches belong to Join: sink retains what it keeps.
// An error, of sink or ctx too, ends the join at once.
func Join(ctx context.Context, req JoinRequest, sink func(arrow.RecordBatch) error) (JoinResult, error) {
	j, err := newJoiner(ctx, req)
	if err != nil {
		return JoinResult{}, err
	}
	reader := &spineReader{rows: req.Spine.Rows, schema: j.shape.schema, budget: j.memory, perRow: j.rowBytes()}
	defer reader.close()
	for {
		if ctx.Err() != nil {
			return j.result, context.Cause(ctx)
		}
		chunk, err := reader.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return j.result, err
		}
		err = j.chunk(ctx, chunk, sink)
		chunk.release()
		if err != nil {
			return j.result, err
		}
	}
	j.progress.end()
	return j.result, nil
}

// JoinSchema checks a spine against a service and returns the schema of what Join
// will give: the spine's columns, then the service's.
func JoinSchema(s *feature.Service, spine Spine) (*arrow.Schema, error) {
	sh, err := spine.shape(s)
	if err != nil {
		return nil, err
	}
	return sh.joined(s), nil
}
