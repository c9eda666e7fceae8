package modeltags

import (
	"context"
	"encoding/json"

	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/registry/feature"
)

// The tags of a model version.
const (
	Requested = "retraining.requested" // the event's id; set last
	Monitor   = "retraining.monitor"
	At        = "retraining.at" // the event's time
)

// Champion is the alias of the version in use, whose tags are set where the event does not say which version it judged by.
const Champion = "champion"

// Registry is what is needed of MLflow.
type Registry interface {
	ModelVersion(ctx context.Context, name, version string) (mlflow.Version, error)
	VersionByAlias(ctx context.Context, name, alias string) (mlflow.Version, error)
	SetVersionTag(ctx context.Context, name, version, key, value string) error
}

// Deliverer implements outbox.Deliverer.
type Deliverer struct{ to Registry }

var _ outbox.Deliverer = (*Deliverer)(nil)

// New makes a deliverer.
func New(r Registry) *Deliverer { return &Deliverer{r} }

// Deliver sets the tags. A model that MLflow does not have, or whose versions have no alias, may be
// registered later: it is tried again, and given up with that as its reason.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	ev, err := pipeline.ReadEvent(e.Payload)
	if err != nil {
		return err
	}
	v, err := d.version(ctx, ev, e.Payload)
	if err != nil {
		if feature.KindOf(err) == feature.NotFound {
			return feature.Errorf(feature.Unavailable, "modeltags", "model "+ev.Model, "%w", err).
				WithHint("register it in MLflow and give the version in use the alias %s", Champion)
		}
		return err
	}
	for _, tag := range [][2]string{{Monitor, ev.Monitor}, {At, ev.Time}, {Requested, ev.ID}} {
		if err := d.to.SetVersionTag(ctx, v.Name, v.Version, tag[0], tag[1]); err != nil {
			if feature.KindOf(err) == feature.NotFound { // it was deleted just now
				return feature.Errorf(feature.Unavailable, "modeltags", "model "+ev.Model, "%w", err)
			}
			return err
		}
	}
	return nil
}

// version is the one that the event's windows were compared with, where it names one that MLflow has, else the one in use.
func (d *Deliverer) version(ctx context.Context, ev *pipeline.Event, payload []byte) (mlflow.Version, error) {
	var in struct {
		Data struct {
			Reference struct {
				Model   string
				Version string `json:"model_version"`
			}
		}
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return mlflow.Version{}, feature.Errorf(feature.Invalid, "modeltags", "event", "%w", err)
	}
	if r := in.Data.Reference; r.Model == ev.Model && r.Version != "" {
		v, err := d.to.ModelVersion(ctx, ev.Model, r.Version)
		// A version that is known here alone may have a name that is none of MLflow's.
		if k := feature.KindOf(err); err == nil || k != feature.NotFound && k != feature.Invalid {
			return v, err
		}
	}
	return d.to.VersionByAlias(ctx, ev.Model, Champion)
}
