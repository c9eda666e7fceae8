package flight

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Config bounds the spines that wait for their DoGet, and says how Feast is answered.
type Config struct {
	// Uploads is how many may wait; Bytes how much disk they may take together.
	Uploads int   `koanf:"uploads"`
	Bytes   int64 `koanf:"bytes"`
	// Age is how long one waits before it is thrown away.
	Age time.Duration `koanf:"age"`
	// FeastTime is the clock of joins that Feast's SDK asks for, which does not name one:
	// known (a row counts once it was known), or event as Feast's own engines have it.
	FeastTime string `koanf:"feast_time"`
}

// DefaultConfig is what works without any setting.
func DefaultConfig() Config {
	return Config{Uploads: 64, Bytes: 4 << 30, Age: 10 * time.Minute, FeastTime: string(feature.KnownClock)}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.Uploads < 1 {
		errs = append(errs, fmt.Errorf("flight.uploads: must be above zero (got %d)", c.Uploads))
	}
	if c.Bytes < 1 {
		errs = append(errs, fmt.Errorf("flight.bytes: must be above zero (got %d)", c.Bytes))
	}
	if c.Age <= 0 {
		errs = append(errs, fmt.Errorf("flight.age: must be above zero (got %s)", c.Age))
	}
	if _, err := clock(c.FeastTime); err != nil || c.FeastTime == "" {
		errs = append(errs, fmt.Errorf("flight.feast_time: must be known or event (got %q)", c.FeastTime))
	}
	return errors.Join(errs...)
}
