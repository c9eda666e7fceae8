package offline

import (
	"errors"
	"fmt"
	"time"
)

// UpkeepConfig says how the tables are kept small by themselves, by processes
// that run the role upkeep.
type UpkeepConfig struct {
	// Enabled lets the role work; off, it only shows the tables' sizes.
	Enabled bool `koanf:"enabled"`
	// Interval is how long after a table was looked at it is looked at again, a
	// fifth more or less.
	Interval time.Duration `koanf:"interval"`
	// SnapshotAge is how long a snapshot that is not the newest any more can be
	// read. Longer than any audit, training set or lookup of a version takes.
	SnapshotAge time.Duration `koanf:"snapshot_age"`
	// SnapshotsKept are kept whatever their age, beside the newest and those with a tag.
	SnapshotsKept int `koanf:"snapshots_kept"`
	// SnapshotsMost is how many snapshots a table has at most: more make each commit
	// slower. Above it the oldest go before SnapshotAge is over, but none that was the newest
	// within the last hour. 0 is no limit.
	SnapshotsMost int `koanf:"snapshots_most"`
	// OrphanAge is how old a file that nothing names must be before it goes. A
	// commit that takes longer than this is refused and done again.
	OrphanAge time.Duration `koanf:"orphan_age"`
	// SweepInterval is how often files that nothing names are looked for; the whole folder is listed.
	SweepInterval time.Duration `koanf:"sweep_interval"`
	// Pause is between two tables.
	Pause time.Duration `koanf:"pause"`
	// Concurrent is how many tables are worked on at a time.
	Concurrent int `koanf:"concurrent"`
}

// leastOrphanAge is the shortest OrphanAge: a file that is being written looks like an orphan.
const leastOrphanAge = time.Hour

// youngest is how long ago a snapshot must have been the newest before SnapshotsMost takes it.
const youngest = time.Hour

// DefaultUpkeepConfig is what works without any setting.
func DefaultUpkeepConfig() UpkeepConfig {
	return UpkeepConfig{
		Enabled:       true,
		Interval:      10 * time.Minute,
		SnapshotAge:   5 * 24 * time.Hour,
		SnapshotsKept: 1,
		SnapshotsMost: 5000,
		OrphanAge:     72 * time.Hour,
		SweepInterval: 24 * time.Hour,
		Pause:         time.Second,
		Concurrent:    1,
	}
}

// Validate reports all faults at once.
func (c UpkeepConfig) Validate() error {
	var errs []error
	fault := func(bad bool, field, must string, got any) {
		if bad {
			errs = append(errs, fmt.Errorf("offline.upkeep.%s: must be %s (got %v)", field, must, got))
		}
	}
	fault(c.Interval <= 0, "interval", "above zero", c.Interval)
	fault(c.SnapshotAge < 0, "snapshot_age", "zero or more", c.SnapshotAge)
	fault(c.SnapshotsKept < 0, "snapshots_kept", "zero or more", c.SnapshotsKept)
	fault(c.SnapshotsMost < 0 || c.SnapshotsMost > 0 && c.SnapshotsMost <= c.SnapshotsKept, "snapshots_most", "0 or above snapshots_kept", c.SnapshotsMost)
	fault(c.OrphanAge < leastOrphanAge, "orphan_age", "at least "+leastOrphanAge.String(), c.OrphanAge)
	fault(c.SweepInterval <= 0, "sweep_interval", "above zero", c.SweepInterval)
	fault(c.Pause < 0, "pause", "zero or more", c.Pause)
	fault(c.Concurrent < 1 || c.Concurrent > 16, "concurrent", "from 1 to 16", c.Concurrent)
	return errors.Join(errs...)
}
