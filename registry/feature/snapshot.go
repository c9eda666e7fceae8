package feature

// Clock says which time counts in a point-in-time join.
type Clock string

const (
	KnownClock Clock = "known" // a row counts if it was known by the row's time; the default
	EventClock Clock = "event" // a row counts if it had happened by the row's time
)

// Snapshot is an immutable training set, as the registry remembers it.
type Snapshot struct {
	ID             string           `json:"id"`
	Project        string           `json:"project"`
	Service        string           `json:"service"`
	ServiceVersion int              `json:"service_version"`
	Clock          Clock            `json:"clock"`
	Tables         []SnapshotTable  `json:"tables"`
	Rows           int64            `json:"rows"`
	Columns        []SnapshotColumn `json:"columns"` // feature columns, in service order
	SpineHash      string           `json:"spine_hash"`
	ContentHash    string           `json:"content_hash"` // of the values, independent of the file format
	CreatedAt      int64            `json:"created_at"`   // microseconds UTC
	Split          *SnapshotSplit   `json:"split,omitempty"`
}

// SnapshotSplit divides a training set's rows into parts; their names come out in
// the column SplitColumn, after all others. By hash of the entity, or by time.
type SnapshotSplit struct {
	Parts []SnapshotPart `json:"parts"`
	By    []string       `json:"by,omitempty"` // columns of the spine that are hashed; all join keys when empty
	Seed  uint64         `json:"seed,omitempty"`
	Time  bool           `json:"time,omitempty"`    // by time: Parts[i] begins at its From, Parts[0] with the first row
	None  int64          `json:"no_part,omitempty"` // rows without a time; they are in no part
}

// SnapshotPart is one part of a split.
type SnapshotPart struct {
	Name  string  `json:"name"`
	Share float64 `json:"share,omitempty"` // percent of the entities
	From  int64   `json:"from,omitempty"`  // microseconds UTC, inclusive
	Rows  int64   `json:"rows"`
}

// SplitColumn is the column with the name of a row's part, a string.
const SplitColumn = "split"

// NoPart stands for rows in no part where a name is needed; no part may be called so.
const NoPart = "none"

// SnapshotTable is one table version a snapshot was read from.
type SnapshotTable struct {
	View        string `json:"view"`
	ViewVersion int    `json:"view_version"`
	Version     int64  `json:"version"`       // the table's snapshot id; 0 for an empty table
	Tag         string `json:"tag,omitempty"` // keeps the version from expiry
}

// SnapshotColumn is one feature column of a snapshot.
type SnapshotColumn struct {
	Name  string `json:"name"`
	View  string `json:"view"`
	Type  Type   `json:"type"`
	Nulls int64  `json:"nulls"`
	// Column is Field.Column of the feature: the name may have another one since.
	Column string `json:"column,omitempty"`
}
