package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func clockName(c weirv1.Clock) string {
	if c == weirv1.Clock_CLOCK_EVENT {
		return "event"
	}
	return "known"
}

func snapshotJSON(s *weirv1.Snapshot) map[string]any {
	tables, cols := []any{}, []any{}
	for _, t := range s.Tables {
		tables = append(tables, map[string]any{"view": t.View, "view_version": t.ViewVersion, "version": t.Version, "tag": t.Tag})
	}
	for _, c := range s.Columns {
		cols = append(cols, map[string]any{"name": c.Name, "view": c.View, "type": typeName(c.Type), "nulls": c.Nulls})
	}
	return map[string]any{"id": s.Id, "project": s.Project, "service": s.Service, "service_version": s.ServiceVersion, "time": clockName(s.Clock),
		"rows": s.Rows, "tables": tables, "columns": cols, "spine_hash": s.SpineHash, "content_hash": s.ContentHash, "created_at": when(s.CreatedAt), "split": splitJSON(s.Split)}
}

// showSnapshot prints a snapshot, with what its profile says of each column where there is one.
func (e *env) showSnapshot(s *weirv1.Snapshot, profile []*weirv1.ProfiledColumn) {
	of := map[string]*weirv1.ProfiledColumn{}
	for _, p := range profile {
		of[p.Name] = p
	}
	head := []any{"column", "type", "view", "nulls"}
	if profile != nil {
		head = append(head, "values")
	}
	t := newTable(e.out, head...)
	for _, c := range s.Columns {
		row := []any{c.Name, typeName(c.Type), c.View, count(c.Nulls)}
		if profile != nil {
			row = append(row, profileText(c.Type, of[c.Name]))
		}
		t.AppendRow(row)
	}
	t.Render()
	e.showSplit(s.Split)
	fmt.Fprintf(e.out, "\n%s, service %s version %d, %s time, made %s\ncontent %s\nspine   %s\n", plural(s.Rows, "row"), s.Service, s.ServiceVersion,
		clockName(s.Clock), when(s.CreatedAt), s.ContentHash, s.SpineHash)
	for _, t := range s.Tables {
		if t.Version == 0 {
			fmt.Fprintf(e.out, "table %s: had no rows yet\n", t.View)
			continue
		}
		fmt.Fprintf(e.out, "table %s: version %d\n", t.View, t.Version)
	}
}

// profileText is a column's values in a few words.
func profileText(t weirv1.Type, p *weirv1.ProfiledColumn) string {
	switch {
	case feature.Type(t).IsArray():
		return "(of arrays only nulls are counted)"
	case p == nil:
		return ""
	case p.Numbers != nil:
		n := p.Numbers
		return fmt.Sprintf("%s to %s, mean %s, median %s", number(n.Min), number(n.Max), number(n.Mean), number(n.Median))
	}
	var top []string
	for _, v := range p.Top {
		if len(top) == 3 {
			break
		}
		top = append(top, fmt.Sprintf("%s (%s)", short(v.Value, 20), count(v.Count)))
	}
	return strings.Join(top, ", ")
}

func profileJSON(profile []*weirv1.ProfiledColumn) []any {
	out := []any{}
	for _, p := range profile {
		m := map[string]any{"name": p.Name, "values": p.Values, "nulls": p.Nulls, "odd": p.Odd}
		if n := p.Numbers; n != nil {
			m["min"], m["max"], m["mean"], m["deviation"], m["median"] = n.Min, n.Max, n.Mean, n.Deviation, n.Median
		} else if len(p.Top) > 0 {
			top := []any{}
			for _, v := range p.Top {
				top = append(top, map[string]any{"value": v.Value, "count": v.Count})
			}
			m["top"], m["other"] = top, p.Other
		}
		out = append(out, m)
	}
	return out
}

func (e *env) snapshotList() *cobra.Command {
	req := &weirv1.ListSnapshotsRequest{}
	c := &cobra.Command{
		Use: "list [--service S] [--limit N]", Short: "List the project's snapshots, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Limit < 1 {
				return fmt.Errorf("--limit %d: give how many, 1 or more", req.Limit)
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := c.snapshots.List(ctx, req)
				if err != nil {
					return err
				}
				if e.output == "json" {
					out := []any{}
					for _, s := range r.Snapshots {
						out = append(out, snapshotJSON(s))
					}
					return printJSON(e.out, out)
				}
				t := newTable(e.out, "id", "service", "rows", "time", "split", "made")
				for _, s := range r.Snapshots {
					t.AppendRow([]any{s.Id, fmt.Sprintf("%s@%d", s.Service, s.ServiceVersion), count(s.Rows), clockName(s.Clock), strings.Join(partNames(s.Split), ", "), when(s.CreatedAt)})
				}
				t.Render()
				return nil
			})
		},
	}
	c.Flags().StringVar(&req.Service, "service", "", "only those of this feature service")
	c.Flags().Int32Var(&req.Limit, "limit", 100, "at most this many")
	return c
}

func (e *env) snapshotShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a snapshot: columns with nulls and values, parts, versions, hashes", Args: exactly(1, "ID"),
		Long: `Shows what a training set was made from and what is in it. -o openlineage prints the
OpenLineage event of the run that made it.`,
		Annotations: map[string]string{outputsOf: "openlineage"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.snapshots.Get(ctx, &weirv1.GetSnapshotRequest{Id: args[0]})
				if err != nil {
					return err
				}
				if e.output == "openlineage" {
					return e.printOpenLineage(r.Snapshot)
				}
				if e.output == "json" {
					m := snapshotJSON(r.Snapshot)
					m["profile"] = profileJSON(r.Profile)
					return printJSON(e.out, m)
				}
				e.showSnapshot(r.Snapshot, r.Profile)
				return nil
			})
		},
	}
}

func (e *env) snapshotDelete() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete ID [--yes]",
		Short: "Forget a snapshot, and let the versions go that it keeps",
		Long: `Forgets a snapshot and its profile, and takes its tags off the tables, so that the versions
it was made from can expire. The training set's file stays; nobody can make it again then.

A snapshot that a monitor compares with stays: change the monitor first.`,
		Args: exactly(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				if !yes {
					r, err := c.snapshots.Get(ctx, &weirv1.GetSnapshotRequest{Id: args[0]})
					if err != nil {
						return err
					}
					s := r.Snapshot
					if !e.confirm(fmt.Sprintf("Delete snapshot %s (%s, %s, made %s)?", s.Id, s.Service, plural(s.Rows, "row"), when(s.CreatedAt))) {
						return fmt.Errorf("nothing was done: answer yes, or give --yes")
					}
				}
				r, err := c.snapshots.Delete(ctx, &weirv1.DeleteSnapshotRequest{Id: args[0]})
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"deleted": snapshotJSON(r.Snapshot), "tags_left": emptyNotNil(r.TagsLeft)})
				}
				fmt.Fprintf(e.out, "deleted snapshot %s of %s\n", r.Snapshot.Id, r.Snapshot.Service)
				for _, left := range r.TagsLeft {
					fmt.Fprintf(e.out, "its tag is left, and upkeep will take it off: %s\n", left)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func typeName(t weirv1.Type) string {
	if ft := feature.Type(t); ft.Known() {
		return ft.String()
	}
	return ""
}
