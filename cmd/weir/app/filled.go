package app

import (
	"context"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// standing is where the table of a view of the online store stands (redis.Table).
func (a *App) standing(ctx context.Context, view string) ([]feature.Position, error) {
	cat, err := a.registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	project, name, _ := strings.Cut(view, "/")
	v, err := cat.View(project, name)
	if feature.KindOf(err) == feature.NotFound {
		return nil, nil // of a schema, say, or dropped since
	}
	if err != nil {
		return nil, err
	}
	return a.positionsNow(ctx, v)
}

// filled tells of a view whose rows the online store may not have. Once it had all of them, or lacks only what nobody fills, it
// is not asked any more: lookups find losses by themselves, and answer for what is there.
func (a *App) filled(ctx context.Context) error {
	if a.hasAll.Load() {
		return nil
	}
	cat, err := a.registry.Current(ctx)
	if err != nil {
		return err
	}
	var views []string
	for _, v := range cat.Views() {
		if v.IsOnline() {
			views = append(views, v.ID())
		}
	}
	if err := a.lookups.Whole(ctx, views); err != nil {
		return err
	}
	a.hasAll.Store(true)
	return nil
}

// answers tells whether lookups are answered, each row of them.
func (a *App) answers(ctx context.Context) error {
	if err := a.store.Ping(ctx); err != nil {
		return err
	}
	return a.filled(ctx)
}
