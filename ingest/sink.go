package ingest

import (
	"context"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// Sink takes the good rows of one view. offline.Writer, online.Writer and
// drift.Tap satisfy it without importing it.
//
// The life of a row: Write, then Cut (fast, draws the line between two
// commits), Stage (slow, makes everything before the line durable but not yet
// visible), then the table commit that names all of it, then Settle. A sink
// that shows rows at once (the online store) has done so when Write returns.
//
// Guarantees to the sink: Write is called by one goroutine for a partition, for
// different partitions in parallel, in offset order; Assign comes before the
// first Write of a partition; Cut runs while no Write of a partition that it
// names does (Writes of other partitions may be under way); Stage, Settle and
// Discard run beside later Writes, one commit at a time, in the order of the cuts.
//
// Replaying an Origin (the same batch written again after a crash, or one that
// overlaps it) must change nothing. ingest/sinktest tests all of this on any sink.
type Sink interface {
	// Name is for logs and metrics: "offline", "online", "drift".
	Name() string
	// Assign tells where the table stands on partitions this worker now owns. The
	// sink brings itself to exactly there: work staged under Position.Commit has
	// landed and is to be settled if it is not yet, everything else staged for the
	// partition has not and is dropped, rows missing below Next are fetched again.
	Assign(ctx context.Context, at []feature.Position) error
	// Revoke drops everything of partitions that this worker no longer owns and that was not cut.
	Revoke(parts []feature.Position)
	// Write takes one batch. It may not keep b.Rows after it returns without retaining it.
	Write(ctx context.Context, b *feature.Batch) error
	// Cut closes the set of rows that belongs to commit c: everything written so
	// far for the partitions that c names (and for no other). Must not block or do I/O.
	Cut(c *feature.Commit)
	// Stage makes the rows of c durable. May be called again after an error.
	Stage(ctx context.Context, c *feature.Commit) error
	// Settle tells that c has landed in the table. May be called again after an error.
	Settle(ctx context.Context, c *feature.Commit) error
	// Discard tells that c will never land (its base was stale). After an Assign its
	// rows, and those written after them, come again through Write where they are
	// not in the table.
	Discard(c *feature.Commit)
	// Buffered is the memory, in bytes, of rows written and not yet settled.
	Buffered() int64
}

// Shower is a Sink whose rows are seen as soon as Write returns, as those of the
// online store are. A row of the log that was shown and not committed comes again; a replayed
// one may not. So a replay writes here once its commit has landed.
type Shower interface {
	Sink
	Shows() bool
}

// HeldTaker is a Sink that also wants the rows that the suite held back
// (feature.Batch.Held), as results of windows do; a batch of which all was held back
// has no rows then. Without such a sink nobody makes them. Those of rows that are
// read again come again, as the rows do; a replay has none.
type HeldTaker interface {
	Sink
	TakesHeld() bool
}

func takesHeld(s Sink) bool {
	h, ok := s.(HeldTaker)
	return ok && h.TakesHeld()
}

func (o *Outlets) takesHeld() bool { return slices.ContainsFunc(o.Sinks, takesHeld) }

func releaseBatch(b *feature.Batch) {
	b.Rows.Release()
	if b.Held != nil {
		b.Held.Rows.Release()
	}
}

// Committer is the table side of a flush: the one place where a commit becomes
// true. offline.Writer is both a Sink and the Committer.
type Committer interface {
	// Positions returns where the table stands, for all partitions it knows.
	Positions(ctx context.Context) ([]feature.Position, error)
	// Commit names everything staged under c and moves the positions, as one
	// compare-and-swap. A feature.Conflict error means that the table does not
	// stand at some Advance.From and has not taken c; nil also means that an
	// earlier, uncertain attempt of the same c has landed.
	Commit(ctx context.Context, c *feature.Commit) error
}
