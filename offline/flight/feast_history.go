package flight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// history is get_historical_features.
type history struct {
	project string
	full    bool
	clock   feature.Clock
	refs    []feastRef
}

// feastRef is one feature that is asked for.
type feastRef struct {
	called        string // what the client calls the view: an alias, or its name
	view, feature string
}

// historical joins, exactly one row for each of the client's, in their order.
func (s *Service) historical(ctx context.Context, c *feastCommand, in *inbox, out arrowflight.DataStreamWriter) error {
	h, err := s.parseHistory(ctx, c)
	if err != nil {
		return err
	}
	rows, err := in.open()
	if err != nil {
		return err
	}
	defer rows.Release()
	at, err := entityTime(rows.Schema())
	if err != nil {
		return err
	}
	_, err = s.run(ctx, offline.TrainingRequest{Project: h.project, Features: h.features(), FullNames: true, Clock: h.clock, Unrecorded: true,
		Spine: offline.Spine{Rows: rows, Time: at}}, out, h.rename)
	return h.explain(err)
}

func (s *Service) parseHistory(ctx context.Context, c *feastCommand) (*history, error) {
	if err := c.only("feature_view_names", "name_aliases", "feature_refs", "project", "full_feature_names", "entity_df_sql",
		"start_date", "end_date", "filter_by_created_timestamp"); err != nil {
		return nil, err
	}
	for _, x := range []struct{ arg, what, hint string }{
		{"entity_df_sql", "an entity_df in SQL", "run the query where its tables are, and pass the rows"},
		{"start_date", "a range of time without an entity_df", "pass the rows as entity_df; all of a view's history is in its Iceberg table"},
		{"end_date", "a range of time without an entity_df", "pass the rows as entity_df; all of a view's history is in its Iceberg table"},
	} {
		if _, there := c.args[x.arg]; there {
			return nil, feature.Errorf(feature.Unsupported, opFeast, c.API, "%s is not supported", x.what).WithHint("%s", x.hint)
		}
	}
	h := &history{clock: feature.Clock(s.opts.Config.FeastTime)}
	var names, refs []string
	var aliases []*string
	var project string
	var created bool
	if err := errors.Join(c.arg("feature_view_names", &names), c.arg("name_aliases", &aliases), c.arg("feature_refs", &refs), c.arg("project", &project),
		c.arg("full_feature_names", &h.full), c.arg("filter_by_created_timestamp", &created)); err != nil {
		return nil, feastInvalid(c.API, "%w", err)
	}
	if created {
		h.clock = feature.KnownClock
	}
	if len(refs) == 0 {
		return nil, feastInvalid(c.API, "no feature is asked for")
	}
	cat, err := s.opts.Catalogs.Current(ctx)
	if err != nil {
		return nil, err
	}
	h.project = feastProject(cat, project)
	views := map[string]string{} // by what the client calls them
	for i, name := range names {
		called := name
		if i < len(aliases) && aliases[i] != nil && *aliases[i] != "" {
			called = *aliases[i]
		}
		v, err := cat.View(h.project, name)
		if err != nil {
			return nil, noSuchView(err)
		}
		for other, same := range views {
			if same == name && other != called {
				return nil, feature.Errorf(feature.Unsupported, opFeast, "view "+name, "it is asked for twice, as %s and as %s", other, called).
					WithHint("the SDK does not say which keys each of them goes by: ask once for each, with the entity_df's columns renamed")
			}
		}
		views[called] = v.Meta.Name
	}
	for _, ref := range refs {
		called, name, ok := strings.Cut(ref, ":")
		view, known := views[called]
		switch {
		case !ok:
			return nil, feastInvalid("feature "+ref, "it is not view:feature")
		case !known:
			return nil, feature.Errorf(feature.Unsupported, opFeast, "feature "+ref, "%s is no feature view of the request; features on demand are computed by Feast's own server", called).
				WithHint("ask for the features that it is made of, and compute it from them: transform_arrow of the on-demand view")
		}
		h.refs = append(h.refs, feastRef{called, view, name})
	}
	return h, nil
}

// features are what the join is asked for, each once.
func (h *history) features() []string {
	var out []string
	for _, r := range h.refs {
		if f := r.view + ":" + r.feature; !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// rename chooses and names the columns as Feast does: the entity_df's, then the features in the order of the request.
func (h *history) rename(c *columns) error {
	c.from, c.names = c.from[:c.spine], c.names[:c.spine]
	for _, r := range h.refs {
		at := slices.IndexFunc(c.joined, func(f arrow.Field) bool { return f.Name == r.view+"__"+r.feature })
		if at < c.spine {
			return feature.Errorf(feature.Internal, opFeast, "feature "+r.view+":"+r.feature, "the join has no column of it")
		}
		name := r.feature
		if h.full {
			name = r.called + "__" + r.feature
		}
		if i := slices.Index(c.names, name); i >= c.spine {
			return feastInvalid("feature "+r.called+":"+r.feature, "a second one called %s", name).WithHint("ask with full_feature_names=True")
		} else if i >= 0 {
			return feastInvalid("feature "+r.called+":"+r.feature, "entity_df has a column of this name").
				WithHint("ask with full_feature_names=True, or rename the column")
		}
		c.from, c.names = append(c.from, at), append(c.names, name)
	}
	return nil
}

// explain adds what only a client of Feast needs to hear.
func (h *history) explain(err error) error {
	if err == nil || feature.KindOf(err) != feature.Invalid {
		return err
	}
	for _, r := range h.refs {
		if r.called != r.view {
			return fmt.Errorf("%w; view %s is called %s in this request: keys renamed with with_join_key_map are not passed on by the SDK, rename the entity_df's columns instead", err, r.view, r.called)
		}
	}
	return err
}

// entityTime is the column of row times, found as the SDK does it: event_timestamp, or
// else the only column with times.
func entityTime(schema *arrow.Schema) (string, error) {
	var times []string
	for _, f := range schema.Fields() {
		if f.Name == offline.DefaultTimeColumn {
			return f.Name, nil
		}
		if f.Type.ID() == arrow.TIMESTAMP {
			times = append(times, f.Name)
		}
	}
	if len(times) == 1 {
		return times[0], nil
	}
	return "", feastInvalid("entity_df", "no column is called %s, and %d columns have times", offline.DefaultTimeColumn, len(times)).
		WithHint("call the column of row times %s", offline.DefaultTimeColumn)
}
