package drift

import (
	"errors"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
)

// Config is how monitors are watched.
type Config struct {
	Poll          time.Duration `koanf:"poll"`           // how often to look when no flush tells of new rows
	KeepSettled   time.Duration `koanf:"keep_settled"`   // how long ids of landed commits are remembered
	KeepProfiles  time.Duration `koanf:"keep_profiles"`  // how long the profiles of judged windows are kept
	KeepDelivered time.Duration `koanf:"keep_delivered"` // how long delivered outbox entries are kept
	Outbox        outbox.Config `koanf:"outbox"`
}

// DefaultConfig is right for a stream whose windows are minutes or longer.
func DefaultConfig() Config {
	d := tally.DefaultConfig()
	return Config{Poll: d.Poll, KeepSettled: d.KeepSettled, KeepProfiles: d.KeepProfiles, KeepDelivered: d.KeepDelivered, Outbox: outbox.DefaultConfig()}
}

func (c Config) watch() tally.Config {
	return tally.Config{Poll: c.Poll, KeepSettled: c.KeepSettled, KeepProfiles: c.KeepProfiles, KeepDelivered: c.KeepDelivered}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	return errors.Join(c.watch().Validate("drift"), c.Outbox.Validate("drift.outbox"))
}
