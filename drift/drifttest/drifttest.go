// Package drifttest is what tests of drift share: what every drift.Store must do,
// rows and monitors of a view, and counts made the plain way.
//
// The one rule: it knows a store only through the interface.
package drifttest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/registry/feature"
)

var ctx = context.Background()

const hour = int64(time.Hour / time.Microsecond)

// kit is drift's profiles in the suite of tally's stores.
var kit = tallytest.Kit[*drift.Profile, *drift.Verdict]{
	Make: func(rows int64) *drift.Profile {
		s := drift.NewSketch(drift.NullsOnly)
		s.Nulls = rows
		return &drift.Profile{Rows: rows, Features: []drift.Named{{Name: "x", Sketch: s}}}
	},
	Check: func(t testing.TB, p *drift.Profile, rows int64) {
		require.Equal(t, rows, p.Rows)
		for _, f := range p.Features {
			require.Equal(t, rows, f.Rows(), f.Name)
		}
	},
	Verdict: func() *drift.Verdict {
		js, p := 0.25, 1e-9
		return &drift.Verdict{Outcome: drift.Drifted, Alpha: 0.01, Features: []drift.Result{{Name: "x", Outcome: drift.Drifted, PValue: &p, JS: &js}}}
	},
}

// Store runs tally's suite with drift's profiles; open gives a new, empty store each time.
func Store(t *testing.T, open func(t *testing.T) drift.Store) { kit.Store(t, open) }

// ExactlyOnce proves of a Tap on the store what tallytest.Kit.ExactlyOnce says, for a number of random runs.
func ExactlyOnce(t *testing.T, runs, steps int, open func() drift.Store) {
	kit.ExactlyOnce(t, runs, steps, false, open, func(v *feature.View, s tally.Stager[*drift.Profile]) *tally.Tap[*drift.Profile] {
		slid := Monitor(v, "1h")
		slid.Meta.Name, slid.Window.Slide = "m_slid", tallytest.Slide
		return drift.NewTap(v, []*feature.Monitor{Monitor(v, "1h"), Monitor(v, "1d"), slid}, s, drift.TapOptions{}).Tap
	})
}

// Put stores outbox entries the only way there is: with a judgement, made up under the given name.
func Put(t testing.TB, s drift.Store, name string, at time.Time, entries ...outbox.Entry) {
	t.Helper()
	kit.Put(t, s, name, at, entries...)
}

// Faulty is a store whose calls by a Tap fail as Fault says: before it happened, or after.
type Faulty = tallytest.Faulty[*drift.Profile, *drift.Verdict]

// Event is one row of a log.
type Event = tallytest.Event

// View is a view with a feature of every shape.
func View() *feature.View { return tallytest.View() }

// Monitor is a monitor of it, named after its window size.
func Monitor(v *feature.View, size string) *feature.Monitor {
	return &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m_" + size}, View: "v", ViewOf: v, Version: 1, Window: feature.Window{Size: size}}
}

// Batch makes rows of them, from offset first on.
func Batch(v *feature.View, topic [16]byte, p int32, first int64, rows []Event) *feature.Batch {
	return tallytest.Batch(v, topic, p, first, rows)
}

// Floor is the start of a time's window of a size, counted from 1970.
func Floor(ts, size int64) int64 { return tallytest.Floor(ts, size) }
