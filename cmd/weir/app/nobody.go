package app

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
)

// nobodyError says why waiting is of no use.
type nobodyError struct{ why string }

func (e *nobodyError) Error() string { return e.why }

// vigil notices that what a call waits for nobody will do.
type vigil struct {
	w      *writes
	looked time.Time
	empty  int // times in a row that nobody read a source
}

const (
	vigilEvery = 400 * time.Millisecond
	// A worker that is just starting, or a group that divides its partitions anew, looks empty for a moment.
	vigilTimes = 3
)

// look is an error where a view was deleted, or reads another source, or nobody reads its source.
func (g *vigil) look(ctx context.Context, views []*feature.View) error {
	a := g.w.a
	if a == nil || a.registry == nil {
		return nil
	}
	cat, err := a.registry.Current(ctx)
	if err != nil {
		return nil // that passes
	}
	for _, v := range views {
		now, err := cat.View(v.Meta.Project, v.Meta.Name)
		switch {
		case feature.KindOf(err) == feature.NotFound:
			return &nobodyError{fmt.Sprintf("view %s has been deleted meanwhile", v.Meta.Name)}
		case err == nil && now.Source != v.Source:
			return &nobodyError{fmt.Sprintf("view %s reads source %s by now", v.Meta.Name, now.Source)}
		}
	}
	if a.supervisor != nil || time.Since(g.looked) < vigilEvery { // one of this process begins by itself
		return nil
	}
	g.looked = time.Now()
	idle, err := g.w.unread(ctx, views)
	if err != nil || idle == "" { // who may not see groups waits
		g.empty = 0
		return nil
	}
	if g.empty++; g.empty < vigilTimes {
		return nil
	}
	return &nobodyError{fmt.Sprintf("no worker reads source %s: start one (weir run --role ingest)", idle)}
}

// unread is a source of the views that no worker reads; "" where there is none.
func (w *writes) unread(ctx context.Context, views []*feature.View) (string, error) {
	groups, err := kadm.NewClient(w.a.producer).ListGroups(ctx)
	if err != nil {
		return "", err
	}
	read := func(name string) bool {
		g, ok := groups[name]
		return ok && g.State != "Empty" && g.State != "Dead"
	}
	for _, v := range views {
		if p := v.Meta.Project; !read(ingest.GroupOf(p, v.Source, "")) && !read(ingest.GroupOf(p, v.Source, v.Meta.Name)) {
			return v.Source, nil
		}
	}
	return "", nil
}
