package openlineage

import (
	"errors"
	"fmt"

	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
)

// Config says where events of training sets go. Nothing is sent where it has no address.
type Config struct {
	URL       string     `koanf:"url"`       // that takes events by POST, like http://marquez:5000/api/v1/lineage
	Token     secret.Ref `koanf:"token"`     // bearer token. A reference: env:NAME or file:PATH
	Namespace string     `koanf:"namespace"` // of jobs and data sets
}

// DefaultConfig sends nothing.
func DefaultConfig() Config { return Config{Namespace: "weir"} }

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.URL != "" {
		if err := posting.CheckURL(c.URL); err != nil {
			errs = append(errs, fmt.Errorf("openlineage.url: %w, for instance https://host:port/api/v1/lineage", err))
		}
	}
	if err := c.Token.Check(); err != nil {
		errs = append(errs, fmt.Errorf("openlineage.token: %w", err))
	}
	if c.Namespace == "" {
		errs = append(errs, errors.New("openlineage.namespace: must not be empty"))
	}
	return errors.Join(errs...)
}
