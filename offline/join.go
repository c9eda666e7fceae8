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
	// Progress is told, from one goroutine at a time and about ten times a second, how
	// far the join is, as rows of the spine: done of total. It is the share of the whole
	// work, not the rows given out, so that done / (time so far) is a rate to estimate the end from;
	// done never falls. While the spine is read, total is Spine.Count or the rows so far.
	Progress func(done, total int64)
	// Stage is told, by the same rule, what the join comes to: StageWaiting,
	// StageReading, StageSorting, StageJoining, StageWriting; some more than once. May be nil.
	Stage func(stage string)
	// Joins is the place to run in: its memory, spill folder and limit of joins at a
	// time. Without one the join runs at once, and spills to a folder of its own.
	Joins *Joins
	// Memory is about how many bytes the spine may take together with what is joined
	// to it; what is more is kept on disk. Joins' setting when 0. Beside it stand, for each
	// worker, two row groups' keys and times (some 10 MiB) and one page of each feature.
	Memory  int64
	Workers int // goroutines that decode; GOMAXPROCS when 0

	way joinWay // tests choose
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
	Spilled      int64   // bytes written to the spill folder
	Way          string  // memory, chunks or partitions: see docs/decisions/008-spine-spill.md
}

// Join gives sink the spine's rows in their order, one for one, each with the
// service's columns after the spine's. The batches belong to Join: sink retains what it keeps.
// The spine is read to its end before the first of them. An error, of sink or ctx too,
// ends the join at once, and leaves no file; Spine.Rows.Read should end with ctx.
func Join(ctx context.Context, req JoinRequest, sink func(arrow.RecordBatch) error) (res JoinResult, err error) {
	place, done := req.Joins.orOwn()
	defer done()
	if req.Memory <= 0 {
		req.Memory = place.cfg.Memory
	}
	if _, err := req.Spine.shape(req.Service); err != nil {
		return JoinResult{}, err // before it waits for anything
	}
	p := &progress{report: req.Progress, stage: req.Stage}
	leave, err := place.enter(ctx, req.Service.Meta.Name, func() { p.step(StageWaiting, 0) })
	if err != nil {
		return JoinResult{}, err
	}
	defer leave()
	p.step(StageReading, shareOfReading)
	j, err := newJoiner(ctx, req)
	if err != nil {
		return JoinResult{}, err
	}
	j.progress, j.texts, j.spill = p, newTextLengths(req.Service), place.spill()
	defer func() {
		res.Spilled = j.spill.written
		if cerr := j.spill.close(); cerr != nil {
			place.log.Warn("a spill file of a join is left behind", "err", cerr)
		}
		if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
			err = context.Cause(ctx) // what it broke off shows in many ways
		}
	}()
	s, err := j.spool(ctx, req.Spine, req.way == wayChunks || req.way == wayPartitions)
	if err != nil {
		return j.result, err
	}
	defer s.chunk.release()
	switch j.choose(s, req.way) {
	case wayMemory:
		p.step(StageJoining, 1-shareOfReading)
		err = j.part(ctx, &s.chunk, sink)
	case wayChunks:
		err = j.inChunks(ctx, s, sink)
	case wayPartitions:
		err = j.inPartitions(ctx, s, sink)
	}
	if err != nil {
		return j.result, err
	}
	p.end(j.result.Rows)
	return j.result, nil
}

// inChunks joins a spine on disk in its order, as much at a time as memory holds.
func (j *joiner) inChunks(ctx context.Context, s *spooled, sink func(arrow.RecordBatch) error) error {
	rows := s.disk.reader()
	defer rows.close()
	r := j.chunks(rows, s)
	defer r.close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, err := r.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		j.progress.step(StageJoining, (1-shareOfReading)*share(int64(c.rows), s.rows))
		err = j.part(ctx, c, sink)
		c.release()
		if err != nil {
			return err
		}
	}
}

// chunks cuts what is on disk into the fewest chunks that fit, of about one size.
func (j *joiner) chunks(rows RowReader, s *spooled) *spineReader {
	size := j.memory
	if s.memory > j.memory {
		n := (s.memory + j.memory - 1) / j.memory
		size = min(j.memory, s.memory/n+s.memory/(n*50))
	}
	return &spineReader{rows: rows, size: size, budget: func(rec arrow.RecordBatch) int64 {
		return recordBytes(rec) + rec.NumRows()*j.rowBytes()
	}}
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
