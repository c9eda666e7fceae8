package tally

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// Watched is a line of windows to be judged, and how. D is what the owner calls its definition.
type Watched[D any] struct {
	Series
	ViewID string // View.ID of the view whose rows they are
	View   string // its name, kept in the state
	// Version is the definition's, kept in the state.
	Version int
	// Window says how late rows may come, when a quiet partition no longer holds windows
	// open, and of how many panes a window is made.
	Window feature.Window
	// Keep is for how long before the newest window profiles are needed by windows to come, in event
	// time (microseconds), beside those that a window is put together of.
	Keep int64
	// Fire is how many bad windows in a row begin to fire, Resolve how many good ones end it; 1 when 0.
	Fire, Resolve int
	// With are other streams that the verdict needs: a time is past, as Judge is told, when they have come so far too.
	With []With
	Of   D
}

// With is a stream that is waited for.
type With struct {
	ViewID string
	After  int64 // microseconds: how much further than the time it must have come
}

func (w *Watched[D]) String() string { return w.Project + "/" + w.Owner }

// Judge is what the owner of the windows does. Its methods are called by one goroutine at a time.
type Judge[D any, T Tally[T], V comparable] interface {
	// Watched lists what is to be judged now. It begins each pass.
	Watched(ctx context.Context) ([]Watched[D], error)
	// Skips reports whether a window is only counted (Skipped) and gets no verdict.
	Skips(w *Watched[D], start, end int64) bool
	// Waits reports whether a window that has no verdict yet would have to wait, so that its profiles need not be read; r is
	// the whole window, without its profile and counts.
	Waits(ctx context.Context, w *Watched[D], r *Record[T, V], past func(int64) bool) (bool, error)
	// Judge gives a window's verdict; r is the whole window, of all its panes. Its profile may be nil. wait puts it off: what it
	// is compared with is not there yet. past tells whether a time is over in the stream.
	Judge(ctx context.Context, w *Watched[D], r *Record[T, V], past func(int64) bool) (v V, o Outcome, wait bool, err error)
	// Turned makes the event of a change of state that a verdict brings, and its outbox entries;
	// both may be empty. The id must be the same each time it is asked for the
	// same change, and another one for each (r.Amended tells verdicts of one window apart).
	Turned(w *Watched[D], r *Record[T, V], v V, t Turn, now time.Time) (*Event, []outbox.Entry, error)
	// Recorded tells what was stored: for logs and metrics. j.Event is nil where nothing
	// changed; r has the verdict already, j.State Open means an early one.
	Recorded(w *Watched[D], r *Record[T, V], j *Judgement[V])
}

// Config is how windows are watched.
type Config struct {
	Poll          time.Duration `koanf:"poll"`           // how often to look when no flush tells of new rows
	KeepSettled   time.Duration `koanf:"keep_settled"`   // how long ids of landed commits are remembered
	KeepProfiles  time.Duration `koanf:"keep_profiles"`  // how long the profiles of judged windows are kept
	KeepDelivered time.Duration `koanf:"keep_delivered"` // how long delivered outbox entries are kept
}

// DefaultConfig is right for a stream whose windows are minutes or longer.
func DefaultConfig() Config {
	const day = 24 * time.Hour
	return Config{Poll: time.Second, KeepSettled: 7 * day, KeepProfiles: 90 * day, KeepDelivered: 30 * day}
}

// Validate reports every setting that cannot work. prefix is where the settings stand, like "drift".
func (c Config) Validate(prefix string) error {
	var errs []error
	least := func(name string, got, want time.Duration) {
		if got < want {
			errs = append(errs, fmt.Errorf("%s.%s: must be at least %s (got %s)", prefix, name, want, got))
		}
	}
	least("poll", c.Poll, time.Millisecond)
	least("keep_settled", c.KeepSettled, time.Hour)
	least("keep_profiles", c.KeepProfiles, time.Hour)
	least("keep_delivered", c.KeepDelivered, time.Minute)
	return errors.Join(errs...)
}
