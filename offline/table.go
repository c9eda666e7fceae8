package offline

import (
	"context"
	"io"
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// System columns of every table, after the join keys and the features.
const (
	ColEffective = "_effective_time" // timestamp, microseconds UTC: the earlier of the next two
	ColEvent     = "_event_time"     // timestamp, microseconds UTC
	ColKnown     = "_known_time"     // timestamp, microseconds UTC
	ColTopicID   = "_topic_id"       // 16 bytes
	ColPartition = "_partition"      // int32; -1 for imports
	ColOffset    = "_offset"         // int64; row number for imports
	ColTombstone = "_tombstone"      // bool
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
	ID       int // assigned once by the table, never used again for another column
	Name     string
	Type     feature.Type // Bytes for _topic_id
	Fixed    int          // 16 for _topic_id, else 0: the length of a fixed-length value
	Required bool         // join keys and system columns
}

// State is a table at one version. It is shared: do not change it.
type State struct {
	Snapshot    int64              // 0: empty
	Positions   []feature.Position // where that version stands; ordered by topic, topic id and partition
	Files       []File
	Rows        int64
	CommittedAt int64 // microseconds UTC; 0: empty
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

	// Stats go into the table's metadata for other engines; given to Append,
	// left nil by Load.
	Stats []ColumnStats
}

// ColumnStats describes one column of one file.
type ColumnStats struct {
	ID            int
	Values, Nulls int64
	Bytes         int64 // compressed size of the column
	// Min and Max are in Parquet's plain encoding without length (little-endian
	// numbers, raw bytes); nil when unknown or all null. Max of a text may be a bound above it.
	Min, Max []byte
}

// Version names a state of a table; the zero Version is the newest.
type Version struct {
	Snapshot int64
	Tag      string
}

// Table is the rows of one view. All methods may be called in parallel.
type Table interface {
	// View is the definition the table was opened with.
	View() *feature.View
	// Columns are the columns that files are written with: join keys, features
	// in the view's order, system columns. Shared; do not change it.
	Columns() []Column
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
	Close() error
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
