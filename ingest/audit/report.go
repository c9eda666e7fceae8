package audit

import "github.com/weir-ml/weir/registry/feature"

// Kinds of differences. The strings are part of what `weir audit -o json` prints.
const (
	Missing    = "missing"     // in the log (or below the position of an import), neither in the table nor in quarantine
	Doubled    = "doubled"     // in the table more than once
	InBoth     = "in_both"     // in the table and in quarantine
	Changed    = "changed"     // in the table (or in quarantine) with other values than the log's event has
	Unfaithful = "unfaithful"  // replayed from quarantine, with other values than its entry has
	Stranger   = "stranger"    // in the table or in quarantine, not in the log
	LostFile   = "lost_file"   // a data file of the table that cannot be read
	RolledBack = "rolled_back" // the table stands behind what others were told of it

	OnlineMissing  = "online_missing"  // the table has a row of the key, the online store has none
	OnlineStale    = "online_stale"    // the online store has an older row than the table
	OnlineChanged  = "online_changed"  // the same row with other values
	OnlineStranger = "online_stranger" // the online store has a row that the table does not have
)

// Report is what an audit of one view found.
type Report struct {
	View     *feature.View
	Snapshot int64              // version of the table that was looked at; 0 when it is empty
	At       []feature.Position // where that version stands
	Lines    []Line             // by topic, topic id, partition and day
	Online   *Online            // nil when the view is not online, or was not asked for
	// Differences are the first that were found, neighbours merged; Found counts
	// all of them, merged ones by their events.
	Differences []Difference
	Found       int64
	// Notes say what could not be compared, and why: events that the log no longer has, say.
	Notes []string
}

// Clean reports whether nothing differs.
func (r *Report) Clean() bool { return r.Found == 0 }

// Line is one partition on one day: the UTC day of effective time for rows, of
// the record's timestamp for events that are held back. Log = Table + Quarantine
// where the log is whole.
type Line struct {
	Topic     string
	TopicID   [16]byte
	Partition int32 // -1 for imports: no log
	Day       int32 // since 1970-01-01
	// Events below the table's position.
	Log, Table, Quarantine int64
	// Replayed are rows that replays from quarantine brought. They do not count under
	// Table: their events count under Quarantine, where their entries are.
	Replayed int64
	// LogHash and TableHash are sums over a hash of each row's coordinates, times
	// and values, in no order; of the log without what is in quarantine. Equal where
	// the two hold the same. 0 and not to be compared unless Compared.
	LogHash, TableHash uint64
	// QuarantineHash is the like over the entries' payloads.
	QuarantineHash uint64
	// Compared tells that the log still had every event of this line.
	Compared bool
}

// Online is the comparison of the online store with the newest rows of the table.
type Online struct {
	Keys    int64 // of the table
	Equal   int64 // the store has the table's newest row
	Expired int64 // past their ttl, and gone
	Ahead   int64 // the store has a newer row that is not in the table yet
	// TableHash and StoreHash are sums over the keys that were compared (Equal and those that differ).
	TableHash, StoreHash uint64
}

// Difference is one thing that is not as promised: a run of offsets of one
// partition, a key, a file.
type Difference struct {
	Kind      string
	Topic     string // of offsets; "" for keys and files
	TopicID   [16]byte
	Partition int32
	First     int64 // offsets First to Last, both included
	Last      int64
	Count     int64  // events in that run that differ; rows of a lost file
	Day       int32  // of the first of them; 0 when unknown
	Key       string // online kinds: the key in the store
	Path      string // lost files
	Detail    string // what the one has and what the other
}
