package mlflow

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
)

// Config says where MLflow is and who asks. Nothing is asked where it has no address.
type Config struct {
	URL string `koanf:"url"` // of the tracking server, without /api/2.0/mlflow
	// User and Password log in, or Token does as a bearer token. References: env:NAME or file:PATH.
	User     string        `koanf:"user"`
	Password secret.Ref    `koanf:"password"`
	Token    secret.Ref    `koanf:"token"`
	Timeout  time.Duration `koanf:"timeout"` // of a request
}

// DefaultConfig has no server.
func DefaultConfig() Config { return Config{Timeout: posting.DefaultTimeout} }

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		base := posting.CheckBase(c.URL)
		switch {
		case base != nil:
			errs = append(errs, fmt.Errorf("mlflow.url: %w", base))
		case err == nil && u.User != nil:
			errs = append(errs, errors.New("mlflow.url: must not hold a password; use mlflow.user and mlflow.password"))
		}
	}
	if err := c.Password.Check(); err != nil {
		errs = append(errs, fmt.Errorf("mlflow.password: %w", err))
	}
	if err := c.Token.Check(); err != nil {
		errs = append(errs, fmt.Errorf("mlflow.token: %w", err))
	}
	if (c.User == "") != (c.Password == "") {
		errs = append(errs, errors.New("mlflow.user and mlflow.password: set both, or none of them"))
	}
	if c.User != "" && c.Token != "" {
		errs = append(errs, errors.New("mlflow.token: give it or a user, not both"))
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Hour {
		errs = append(errs, fmt.Errorf("mlflow.timeout: must be from 100ms to 1h (got %s)", c.Timeout))
	}
	return errors.Join(errs...)
}
