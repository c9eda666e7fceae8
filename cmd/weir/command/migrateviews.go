package command

import (
	"context"
	"fmt"
	"strings"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// pair is a view of the other store and the one of Weir that takes its rows.
type pair struct{ from, to string }

// pairs are what --view says; all views of the project where it says nothing.
func (c *client) pairs(ctx context.Context, views []string) (out []pair, err error) {
	if len(views) == 0 {
		r, err := c.registry.List(ctx, &weirv1.ListRequest{Kind: string(feature.KindView), Project: c.project})
		if err != nil {
			return nil, err
		}
		for _, d := range r.Definitions {
			out = append(out, pair{d.Name, d.Name})
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("project %s has no views: make them first (weir apply), by the names that they and their features have in Feast", c.project)
		}
		return out, nil
	}
	from, to := map[string]bool{}, map[string]bool{}
	for _, v := range views {
		a, b, mapped := strings.Cut(v, "=")
		if !mapped {
			b = a
		}
		if a == "" || b == "" {
			return nil, fmt.Errorf("--view %s: write it as NAME or FEAST=WEIR", v)
		}
		if from[a] || to[b] {
			return nil, fmt.Errorf("--view %s: that view is named twice", v)
		}
		from[a], to[b] = true, true
		out = append(out, pair{a, b})
	}
	return out, nil
}

// view fetches a view with its keys and its source, as a catalog has it.
func (c *client) view(ctx context.Context, name string) (*feature.View, error) {
	d, err := c.definition(ctx, feature.KindView, name)
	if err != nil {
		return nil, err
	}
	v := d.(*feature.View)
	if d, err = c.definition(ctx, feature.KindSource, v.Source); err != nil {
		return nil, err
	}
	v.SourceOf = d.(*feature.Source)
	for _, name := range v.Entities {
		d, err := c.definition(ctx, feature.KindEntity, name)
		if err != nil {
			return nil, err
		}
		for _, k := range d.(*feature.Entity).JoinKeys {
			if k.Path = k.Name; v.KeyPaths[k.Name] != "" {
				k.Path = v.KeyPaths[k.Name]
			}
			v.Keys = append(v.Keys, k)
		}
	}
	return v, nil
}

func (c *client) definition(ctx context.Context, kind feature.Kind, name string) (feature.Definition, error) {
	r, err := c.registry.Get(ctx, &weirv1.GetRequest{Kind: string(kind), Project: c.project, Name: name})
	if err != nil {
		return nil, err
	}
	d, err := registry.Decode(kind, r.Definition.Json)
	if err != nil {
		return nil, fmt.Errorf("%s %s of the server cannot be read; is it newer than this weir? %w", kind, name, err)
	}
	return d, nil
}
