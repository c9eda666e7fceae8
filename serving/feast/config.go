package feast

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the settings of what Feast's clients use.
type Config struct {
	// Project is asked where a request names none, and Feast's never do. Empty is the
	// project of the command line.
	Project string `koanf:"project"`
	// Partial answers what the store did give, with the status INVALID for the rest. Without
	// it the call fails: Feast's clients read values, and hardly any of them statuses.
	Partial bool `koanf:"partial"`
	// WriteTimeout is how long a write waits until it can be read.
	WriteTimeout time.Duration `koanf:"write_timeout"`
	// MaxWriteRows bounds the rows of one write: each takes about a kilobyte until it is told of.
	MaxWriteRows int `koanf:"max_write_rows"`
}

// DefaultConfig is what holds where nothing is configured.
func DefaultConfig() Config { return Config{WriteTimeout: 30 * time.Second, MaxWriteRows: 100_000} }

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.WriteTimeout <= 0 {
		errs = append(errs, fmt.Errorf("feast.write_timeout: must be above zero (got %s)", c.WriteTimeout))
	}
	if c.MaxWriteRows < 1 {
		errs = append(errs, fmt.Errorf("feast.max_write_rows: must be above zero (got %d)", c.MaxWriteRows))
	}
	return errors.Join(errs...)
}
