package offline

import (
	"context"
	"io"
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// System columns of every table, after the join keys and the features.
const (
	ColEffective = "_effective_time"  // timestamp, microseconds UTC: the earlier of the next two
	ColEvent     = "_event_time"      // timestamp, microseconds UTC
	ColKnown     = "_known_time"      // timestamp, microseconds UTC
	ColTopicID   = "_topic_id"        // 16 bytes
	ColPartition = "_topic_partition" // int32; -1 for imports. Not _partition: Iceberg keeps that name for itself, and Spark refuses such a table
	ColOffset    = "_offset"          // int64; row number for imports
	ColTombstone = "_tombstone"       // bool
)

// Unknown bounds of a File: nothing can be concluded from them.
const (
	UnknownMin = math.MinInt64
	UnknownMax = math.MaxInt64
)

// Day is the unit of the table's partitioning, in microseconds.
const Day = 24 * 60 * 60 * 1_000_000

// DayOf is the UTC day of a time in microseconds, counted from 1970-01-01.
func DayOf(micros int64) int32 {
	d := micros / Day
	if micros%Day < 0 {
		d--
	}
	return int32(d)
}

// Column is one column of a table's files, found there by its field id (or, in
// files that a column is newer than, not at all: its values are null then).
type Column struct {
	ID   int // assigned once by the table, never used again for another column
	Name string
	// Stored is what the view keeps the column's values under, whatever they are
	// called now (feature.Field.Stored); the name, but for renamed features.
	Stored   string
	Type     feature.Type // Bytes for _topic_id
	Element  int          // of arrays: the id that their elements have in files, one of the table's as ID is
	Fixed    int          // 16 for _topic_id, else 0: the length of a fixed-length value
	Required bool         // join keys and system columns
}

// State is a table at one version. It is shared: do not change it.
type State struct {
	Snapshot    int64              // 0: empty
	Positions   []feature.Position // where that version stands; ordered by topic, topic id and partition. Of a past one without the imports that its own commit did not move: see PositionsAt
	Files       []File
	Rows        int64
	CommittedAt int64 // microseconds UTC; 0: empty
	// Columns are those of the table at that version, as AllColumns; nil where that is not known.
	Columns []Column
}

// File is one data file: rows of one UTC day of effective time. Bounds are
// inclusive microseconds (or offsets), UnknownMin and UnknownMax where the
// table does not know them.
type File struct {
	Path        string
	Rows, Bytes int64
	// Sorted tells that the rows are in the table's order: key bytes
	// (feature.AppendKey), effective time, known time, partition, offset. True of
	// every file that Writer makes; other engines may write unsorted ones.
	Sorted bool

	MinEffective, MaxEffective int64
	MinKnown, MaxKnown         int64
	MinEvent, MaxEvent         int64
	MinOffset, MaxOffset       int64 // over all partitions in the file
	MinPartition, MaxPartition int64

	// Has are the ids of the columns that the table says the file has, ascending;
	// nil where it does not say. From Load.
	Has []int

	// Stats go into the table's metadata for other engines; given to Append,
	// left nil by Load.
	Stats []ColumnStats
	// CreatedAt is when writing the file began, microseconds UTC by the writer's
	// clock; given to Append and Replace, which refuse files from before the last
	// sweep of orphans (it may have taken them); 0 from Load.
	CreatedAt int64
}

// ColumnStats describes one column of one file.
type ColumnStats struct {
	ID      int
	Element int // of arrays, else 0: the id under which what follows goes into the metadata
	// Nulls count as values. Of arrays it is the elements that count, and one that is
	// empty or null as a null.
	Values, Nulls int64
	NullRows      int64
	Bytes         int64 // compressed size of the column
	// Min and Max are in Parquet's plain encoding without length (little-endian
	// numbers, raw bytes); nil when unknown or all null. Max of a text may be a bound above it.
	Min, Max []byte
}

// Version names a state of a table; the zero Version is the newest. At most one
// of its fields is set.
type Version struct {
	Snapshot int64
	Tag      string
	// At asks for the state at that time, microseconds UTC: of the snapshot that was
	// the newest then, before rollbacks that came later.
	At int64
}

// Table is the rows of one view. All methods may be called in parallel.
type Table interface {
	// View is the definition the table was opened with.
	View() *feature.View
	// Columns are the columns that files are written with: join keys, features
	// in the view's order, system columns. Shared; do not change it.
	Columns() []Column
	// AllColumns are the columns of the table as it was last seen (by Load, say),
	// in the order of its schema: those that the view has lost, or does not have
	// yet, too. Files that take the place of others are written with all of them.
	// Type is InvalidType where another engine added a column that Weir has no type for.
	AllColumns() []Column
	// Positions is where the newest version stands; cheaper than Load.
	Positions(ctx context.Context) ([]feature.Position, error)
	// Load returns the table at v; NotFound when there is no such version.
	Load(ctx context.Context, v Version) (*State, error)
	// Append names files (made with Create) and moves the positions to every
	// Advance.To, as one compare-and-swap: Conflict, with nothing changed, when
	// the table does not stand at some Advance.From. Nil also when this very
	// commit (by ID) has landed before: one with files as long as its snapshot is
	// kept, one without while it is the last of some partition. Any other error leaves
	// the outcome open: call again with the same commit and files. Files may be empty.
	Append(ctx context.Context, c *feature.Commit, files []File) error
	// Create starts a data file; name is unique within the table, slash-separated
	// parts become folders.
	Create(ctx context.Context, name string) (FileWriter, error)
	// Open opens a file that a State names.
	Open(ctx context.Context, path string) (FileReader, error)
	// Tag names a snapshot so that expiry keeps it. The same tag on the same
	// snapshot again changes nothing; on another one it is a Conflict.
	Tag(ctx context.Context, name string, snapshot int64) error
	// Untag takes a tag away; one that is not there is not an error.
	Untag(ctx context.Context, name string) error
	Upkeep
	Close() error
}

// Upkeep is what keeps a table small and fast over years, and what goes back in
// its history. All of it may run beside commits of any worker.
type Upkeep interface {
	// History lists the snapshots that the table still has, newest first by the
	// time at which they were made; those that a rollback took off the table too.
	History(ctx context.Context) ([]Snapshot, error)
	// Replace names files in the place of others that hold the same rows, as one
	// compare-and-swap: Conflict, with nothing changed, when one of r.Gone is no
	// longer in the newest version. Positions stay; commits that land meanwhile
	// survive. Nil also when this very rewrite (by ID) has landed before.
	Replace(ctx context.Context, r *Rewrite) error
	// Rollback makes an older snapshot the newest state again. Rows and positions
	// go back together, so what came after is read from the log again; workers that
	// stand further on get a Conflict and reload.
	Rollback(ctx context.Context, r *Rollback) error
	// PositionsAt is where a Rollback to that snapshot would leave the table, imports
	// and replays included, which State.Positions of a past version may not tell; the
	// error is the one that Rollback would give. Commit and Revision say nothing.
	PositionsAt(ctx context.Context, snapshot int64) ([]feature.Position, error)
	// Rollbacks are those that Rollback made, oldest first: the last twenty at most.
	Rollbacks(ctx context.Context) ([]RolledBack, error)
	// Expire forgets snapshots: those that stopped being the newest before
	// o.Before. Kept are the newest, o.Keep snapshots before it, and tagged ones.
	// Files that no kept snapshot names are removed after the commit.
	Expire(ctx context.Context, o ExpireOptions) (Expired, error)
	// Sweep removes files in the table's folder that nothing names and that were
	// written before o.Before, never one of a commit under way: what is that old may
	// not be committed any more (see File.CreatedAt).
	Sweep(ctx context.Context, o SweepOptions) (Swept, error)
}

// Snapshot is one state in a table's history.
type Snapshot struct {
	ID          int64
	Parent      int64 // 0: none, or it has expired
	CommittedAt int64 // microseconds UTC
	// Operation is append, replace, overwrite or delete, as Iceberg names them.
	Operation                string
	Commit                   string // id of the commit or rewrite of ours that made it; "" for another engine's
	Tags                     []string
	Current                  bool // the newest state
	Reached                  bool // an ancestor of the newest state, or it; false for those that a rollback took off
	Files                    int64
	Rows                     int64
	Bytes                    int64
	AddedRows, RemovedRows   int64 // against its parent
	AddedFiles, RemovedFiles int64
}

// Rewrite replaces files by others with the same rows.
type Rewrite struct {
	ID   string // unique, the name of the rewrite in the snapshot's summary
	Gone []File // as Load gave them
	New  []File // made with Create
}

// Rollback goes back to a snapshot; or forward again, to one that a rollback
// took off and that has not expired.
type Rollback struct {
	ID string // unique: becomes the commit of the positions that it sets
	To int64  // 0: the table without rows
	// Revision is the catalog revision that judges what is read again; 0 for those
	// that judged it the first time.
	Revision int64
}

// ExpireOptions say what may be forgotten.
type ExpireOptions struct {
	Before int64 // microseconds UTC
	Keep   int   // that many snapshots before the newest are kept whatever their age
	DryRun bool  // count, change nothing
}

// Expired is what an expiry forgot and removed.
type Expired struct {
	Snapshots, Kept int
	Files           int   // data files, manifests and lists
	Bytes           int64 // of data files
}

// SweepOptions say which orphans may go.
type SweepOptions struct {
	Before int64 // microseconds UTC
	DryRun bool
}

// Swept is what a sweep removed.
type Swept struct {
	Files int
	Bytes int64
}

// FileWriter writes one data file. Nothing is visible before Commit.
type FileWriter interface {
	io.Writer
	// Commit makes the file durable (contents and name) and returns its path.
	Commit() (path string, err error)
	// Abort drops what was written; no effect after Commit.
	Abort()
}

// FileReader reads one data file; ReadAt may be called in parallel.
type FileReader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Store holds the tables of all views.
type Store interface {
	// Table opens the table of a view, making it first if need be. Features that
	// the view has gained become nullable columns; a feature that the view has
	// lost keeps its column in the table, unread. Any other difference is an
	// Invalid error that says what to do.
	Table(ctx context.Context, view *feature.View) (Table, error)
	// Drop removes a view's table with its files; nothing to remove is not an error.
	Drop(ctx context.Context, project, view string) error
	Close() error
}
