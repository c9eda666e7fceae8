package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/secret"
	models "github.com/weir-ml/weir/registry/mlflow"
)

// MLflowConfig is the MLflow whose model versions are tied to their training data.
type MLflowConfig struct {
	mlflow.Config `koanf:",squash"`
	// WebhookSecret signs the calls that MLflow makes when an alias moves; without it none are taken. A reference.
	WebhookSecret secret.Ref `koanf:"webhook_secret"`
	// Sync is how often all aliases are looked at, whatever calls came; 0 for never.
	Sync time.Duration `koanf:"sync"`
}

// DefaultMLflowConfig has no server; where there is one, its aliases are looked at every minute.
func DefaultMLflowConfig() MLflowConfig {
	return MLflowConfig{Config: mlflow.DefaultConfig(), Sync: time.Minute}
}

// Validate reports all faults at once.
func (c MLflowConfig) Validate() error {
	errs := []error{c.Config.Validate()}
	if err := c.WebhookSecret.Check(); err != nil {
		errs = append(errs, fmt.Errorf("mlflow.webhook_secret: %w", err))
	}
	if c.WebhookSecret != "" && c.URL == "" {
		errs = append(errs, errors.New("mlflow.webhook_secret: give mlflow.url as well, which is asked what the calls are about"))
	}
	if c.Sync < 0 || c.Sync > 0 && c.Sync < time.Second {
		errs = append(errs, fmt.Errorf("mlflow.sync: must be 0 or at least 1s (got %s)", c.Sync))
	}
	return errors.Join(errs...)
}

// hookPath is where MLflow's webhooks call.
const hookPath = "/v1/hooks/mlflow"

// openMLflow makes what follows MLflow's models, where it is set, and takes its webhooks' calls.
func (a *App) openMLflow() {
	c := a.cfg.MLflow
	if c.URL == "" {
		return
	}
	m := models.NewMetrics(a.metrics)
	a.follower = models.New(models.Options{Client: mlflow.New(c.Config), Models: a.registry, Project: a.cfg.Project, Every: c.Sync, Log: a.log, Metrics: m})
	if c.WebhookSecret != "" {
		a.http.mux.Handle("POST "+hookPath, &models.Hook{Look: a.follower.Look, Secret: c.WebhookSecret, Log: a.log, Metrics: m, Now: time.Now})
	}
}
