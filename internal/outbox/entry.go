package outbox

import (
	"context"
	"strings"
	"time"
)

// State of an entry.
type State string

const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"      // given up; Resend makes it pending again
	Discarded State = "discarded" // given up, and a person has said that it is no loss
)

// Entry is one message to one destination.
type Entry struct {
	ID          string // unique: EVENT/DESTINATION; storing it a second time changes nothing
	Seq         int64  // given by the store; the order of delivery within a key
	Destination string // a name that a Dispatcher has a Deliverer for
	Key         string // entries of one destination and key are delivered in order
	// Scope is for the deliverer alone: the project of an event.
	Scope     string
	Payload   []byte
	Headers   map[string]string
	State     State
	Attempts  int
	NextTry   int64 // microseconds UTC; also the end of a lease
	LastError string
	Created   int64 // microseconds UTC
	Updated   int64 // microseconds UTC
}

// Event is the id of the event that the entry carries.
func (e *Entry) Event() string { return strings.TrimSuffix(e.ID, "/"+e.Destination) }

// Query chooses entries; empty fields do not choose.
type Query struct {
	State       State
	Events      []string // ids of events
	Scope       string
	Below       int64 // only entries whose Seq is smaller, where it is set
	Destination string
	ID          string
	Limit       int // 100 when 0
}

// Store keeps entries. They are added by whoever owns the transaction that
// decides on them, not here.
type Store interface {
	// Claim leases up to limit entries of the destination that are due, in the
	// order of Seq. An entry is due when it and every earlier pending entry of
	// its key have NextTry <= now. A leased entry is due again
	// when its lease ends: a dispatcher that died holds nothing back for longer.
	Claim(ctx context.Context, destination string, now time.Time, lease time.Duration, limit int) ([]Entry, error)
	// Done marks entries delivered.
	Done(ctx context.Context, ids []string, now time.Time) error
	// Fail records a failed attempt: the entry is tried again at next, or is dead.
	Fail(ctx context.Context, id, cause string, now, next time.Time, dead bool) error
	// Release ends the lease of entries that were not tried.
	Release(ctx context.Context, ids []string, now time.Time) error
	// Entries lists, newest first.
	Entries(ctx context.Context, q Query) ([]Entry, error)
	// Resend makes entries pending again, whatever their state, with their attempts
	// forgotten, and says how many. They keep their places in the order.
	Resend(ctx context.Context, ids []string, now time.Time) (int64, error)
	// Discard ends those of the entries that are dead, and says how many.
	Discard(ctx context.Context, ids []string, now time.Time) (int64, error)
	// Backlogs sums up what is pending or dead, by destination and scope; in this order.
	Backlogs(ctx context.Context) ([]Backlog, error)
}

// Backlog is what a destination has not got of a scope.
type Backlog struct {
	Destination, Scope string
	Pending, Dead      int64
	Oldest             int64 // Created of the oldest pending entry; 0 where there is none
	DeadSince          int64 // Updated of the first entry that was given up; 0 where there is none
	Newest             int64 // Seq of the newest dead entry
}

// Deliverer takes entries to one destination. It returns nil only when the
// destination has acknowledged. A feature.Invalid or feature.Unsupported error is final:
// the entry is dead at once; any other is tried again.
type Deliverer interface {
	Deliver(ctx context.Context, e *Entry) error
}
