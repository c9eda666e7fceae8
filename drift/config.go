package drift

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
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
	const day = 24 * time.Hour
	return Config{Poll: time.Second, KeepSettled: 7 * day, KeepProfiles: 90 * day, KeepDelivered: 30 * day, Outbox: outbox.DefaultConfig()}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	least := func(name string, got, want time.Duration) {
		if got < want {
			errs = append(errs, fmt.Errorf("drift.%s: must be at least %s (got %s)", name, want, got))
		}
	}
	least("poll", c.Poll, time.Millisecond)
	least("keep_settled", c.KeepSettled, time.Hour)
	least("keep_profiles", c.KeepProfiles, time.Hour)
	least("keep_delivered", c.KeepDelivered, time.Minute)
	errs = append(errs, c.Outbox.Validate("drift.outbox"))
	return errors.Join(errs...)
}
