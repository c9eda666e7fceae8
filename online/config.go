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
	// CacheTTL is how long lookups are answered from a local cache, without asking the store; such an
	// answer is as old as that at most. 0: never.
	CacheTTL time.Duration `koanf:"cache_ttl"`
	// StaleFor is how old a value may be that is answered because the store does not
	// answer: as PRESENT, with its event time, while its view's ttl allows. 0: STORE_ERROR is answered.
	StaleFor time.Duration `koanf:"stale_for"`
	// CacheBytes is the memory for both.
	CacheBytes int64 `koanf:"cache_bytes"`
	// Coalesce has requests share questions for the same keys that are under way. It costs
	// each key some tenths of a microsecond, and pays where many ask for few keys.
	Coalesce bool `koanf:"coalesce"`
}

// DefaultConfig is what holds where nothing is configured.
func DefaultConfig() Config {
	return Config{KeepMin: time.Hour, KeepMax: 24 * time.Hour, CacheBytes: 64 << 20}
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
	if c.CacheTTL < 0 {
		errs = append(errs, fmt.Errorf("online.cache_ttl: must not be negative (got %s)", c.CacheTTL))
	}
	if c.StaleFor != 0 && c.StaleFor <= c.CacheTTL {
		errs = append(errs, fmt.Errorf("online.stale_for: must be 0 or above online.cache_ttl, %s (got %s)", c.CacheTTL, c.StaleFor))
	}
	if c.CacheBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("online.cache_bytes: must be at least 1 MiB (got %d)", c.CacheBytes))
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
