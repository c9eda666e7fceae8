package drift

import (
	"context"

	"github.com/weir-ml/weir/registry/feature"
)

// Models tells which version of a model an alias stands at; false where it stands at none.
type Models interface {
	AliasedModel(ctx context.Context, project, name, alias string) (feature.Model, bool, error)
}

// ResolveReference returns the monitor as windows are judged with it now: where its reference names a model, with the
// snapshot that the version with the alias was trained on. Where no version has it, the snapshot or
// the times beside it stay. An alias that moves so changes what the next windows are compared with; those
// that are judged for good keep their verdict.
func ResolveReference(ctx context.Context, models Models, m *feature.Monitor) (*feature.Monitor, error) {
	r := m.Reference
	if r.Model == "" || models == nil {
		return m, nil
	}
	version, ok, err := models.AliasedModel(ctx, m.Meta.Project, r.Model, r.AliasOrChampion())
	if err != nil || !ok {
		return m, err
	}
	c := *m
	c.Reference = r.Of(version)
	return &c, nil
}

// Compared is what a window was compared with, as its verdict keeps it: an alias may have moved since.
type Compared struct {
	Snapshot string `json:"snapshot"`
	Model    string `json:"model,omitempty"`
	Version  string `json:"version,omitempty"`
}

// comparedWith is nil for times, which the monitor's definition tells.
func comparedWith(m *feature.Monitor) *Compared {
	r := &m.Reference
	if r.Snapshot == "" {
		return nil
	}
	c := &Compared{Snapshot: r.Snapshot}
	if r.ModelVersion != "" {
		c.Model, c.Version = r.Model, r.ModelVersion
	}
	return c
}
