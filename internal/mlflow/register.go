package mlflow

import (
	"context"
	"net/http"

	"github.com/weir-ml/weir/registry/feature"
)

// Register makes a version of a model, and the model where there is none of that name yet, and
// gives the version an alias. Of v, Name, Source and Tags count.
func (c *Client) Register(ctx context.Context, v Version, description, alias string) (Version, error) {
	err := c.ask(ctx, http.MethodPost, "registered-models/create", nil, map[string]string{"name": v.Name}, nil)
	if err != nil && feature.KindOf(err) != feature.Conflict {
		return Version{}, err
	}
	type tag struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	tags := []tag{}
	for k, x := range v.Tags {
		tags = append(tags, tag{k, x})
	}
	var made versionAnswer
	body := map[string]any{"name": v.Name, "source": v.Source, "description": description, "tags": tags}
	if err := c.ask(ctx, http.MethodPost, "model-versions/create", nil, body, &made); err != nil {
		return Version{}, err
	}
	out := made.version()
	if err := c.ask(ctx, http.MethodPost, "registered-models/alias", nil, map[string]string{"name": v.Name, "alias": alias, "version": out.Version}, nil); err != nil {
		return Version{}, err
	}
	out.Aliases = []string{alias}
	return out, nil
}
