package schemaregistry

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/weir-ml/weir/internal/secret"
)

// Config says where the schema registry is.
type Config struct {
	// URLs of the registry's servers, tried in turn; none when empty.
	URLs     []string      `koanf:"urls"`
	User     string        `koanf:"user"`
	Password secret.Text   `koanf:"password"`
	Timeout  time.Duration `koanf:"timeout"` // of a request
}

// DefaultConfig has no registry.
func DefaultConfig() Config { return Config{Timeout: 10 * time.Second} }

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	for _, s := range c.URLs {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			errs = append(errs, errors.New("schema_registry.urls: must be http://host:port or https://host:port, each"))
		case u.User != nil:
			errs = append(errs, errors.New("schema_registry.urls: must not hold a password; use schema_registry.user and schema_registry.password"))
		}
	}
	if (c.User == "") != (c.Password == "") {
		errs = append(errs, errors.New("schema_registry.user and schema_registry.password: set both, or none of them"))
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Hour {
		errs = append(errs, fmt.Errorf("schema_registry.timeout: must be from 100ms to 1h (got %s)", c.Timeout))
	}
	return errors.Join(errs...)
}
