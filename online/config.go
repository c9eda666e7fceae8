package online

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Config holds what the online room lets one choose.
type Config struct {
	// KeepMin and KeepMax bound how much longer than its ttl a row stays in the
	// store; in between it stays for another ttl.
	KeepMin time.Duration `koanf:"keep_min"`
	KeepMax time.Duration `koanf:"keep_max"`
}

// DefaultConfig is what holds where nothing is configured.
func DefaultConfig() Config {
	return Config{KeepMin: time.Hour, KeepMax: 24 * time.Hour}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.KeepMin < time.Second {
		errs = append(errs, fmt.Errorf("online.keep_min: must be at least 1s (got %s)", c.KeepMin))
	}
	if c.KeepMax < c.KeepMin {
		errs = append(errs, fmt.Errorf("online.keep_max: must be at least online.keep_min, %s (got %s)", c.KeepMin, c.KeepMax))
	}
	return errors.Join(errs...)
}

// expiry is how long from now (microseconds UTC) the store keeps a row: what is left of its
// ttl, and then as long again within KeepMin and KeepMax. 0 is for ever.
//
// What is left counts from the effective time, as expiry does everywhere, and
// is never below zero, so a row that is too old already still stays for a while
// and is answered OUTSIDE_MAX_AGE. When the store drops a row (or the tombstone
// that hides its key), every older row is beyond the ttl too: one that still
// arrives can come back as expired, never as present.
func (c Config) expiry(s feature.Stamp, ttl feature.Duration, now int64) time.Duration {
	if ttl <= 0 {
		return 0
	}
	const most = 100 * 365 * 24 * time.Hour
	left := max(s.Effective()+ttl.Micros()-now, 0)
	if left > most.Microseconds() {
		return most
	}
	return time.Duration(left)*time.Microsecond + min(max(time.Duration(ttl), c.KeepMin), max(c.KeepMax, c.KeepMin))
}
