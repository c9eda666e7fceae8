package registry

import (
	"errors"
	"fmt"
	"time"
)

// Config is the registry's part of the configuration.
type Config struct {
	// URL of the database: sqlite:/path/file.db or postgres://user:password@host/db.
	// Empty means a file in the data folder, chosen by whoever opens the store.
	URL string `koanf:"url"`
	// PollInterval is how often a process looks for changes that others made.
	PollInterval time.Duration `koanf:"poll_interval"`
	// ConflictRetries is how often Apply plans anew after somebody else was faster.
	ConflictRetries int `koanf:"conflict_retries"`
}

// DefaultConfig polls every second.
func DefaultConfig() Config {
	return Config{PollInterval: time.Second, ConflictRetries: 50}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.PollInterval <= 0 {
		errs = append(errs, fmt.Errorf("registry.poll_interval: must be above zero (got %s)", c.PollInterval))
	}
	if c.ConflictRetries < 0 {
		errs = append(errs, fmt.Errorf("registry.conflict_retries: must not be negative (got %d)", c.ConflictRetries))
	}
	return errors.Join(errs...)
}
