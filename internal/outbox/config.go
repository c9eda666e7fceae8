package outbox

import (
	"errors"
	"fmt"
	"time"
)

// Config is how the outbox is worked off.
type Config struct {
	Poll        time.Duration `koanf:"poll"`         // how often to look when nothing tells of new entries
	Batch       int           `koanf:"batch"`        // entries leased at a time
	Parallel    int           `koanf:"parallel"`     // keys delivered side by side
	Timeout     time.Duration `koanf:"timeout"`      // for one delivery
	Lease       time.Duration `koanf:"lease"`        // how long a dispatcher that died holds entries back
	Backoff     time.Duration `koanf:"backoff"`      // after the first failure; doubles with each
	MaxBackoff  time.Duration `koanf:"max_backoff"`  // at most
	MaxAttempts int           `koanf:"max_attempts"` // then the entry is dead
}

// DefaultConfig retries for about nine hours.
func DefaultConfig() Config {
	return Config{
		Poll: time.Second, Batch: 200, Parallel: 8, Timeout: 10 * time.Second, Lease: time.Minute,
		Backoff: time.Second, MaxBackoff: 10 * time.Minute, MaxAttempts: 60,
	}
}

// Validate reports every setting that cannot work. prefix is where the settings stand, like "drift.outbox".
func (c Config) Validate(prefix string) error {
	var errs []error
	above := func(name string, ok bool, got any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s.%s: must be above zero (got %v)", prefix, name, got))
		}
	}
	above("poll", c.Poll > 0, c.Poll)
	above("batch", c.Batch > 0, c.Batch)
	above("parallel", c.Parallel > 0, c.Parallel)
	above("timeout", c.Timeout > 0, c.Timeout)
	above("backoff", c.Backoff > 0, c.Backoff)
	above("max_attempts", c.MaxAttempts > 0, c.MaxAttempts)
	if c.Lease < 2*c.Timeout {
		errs = append(errs, fmt.Errorf("%s.lease: must be at least twice %s.timeout (got %v)", prefix, prefix, c.Lease))
	}
	if c.MaxBackoff < c.Backoff {
		errs = append(errs, fmt.Errorf("%s.max_backoff: must be at least %s.backoff (got %v)", prefix, prefix, c.MaxBackoff))
	}
	return errors.Join(errs...)
}
