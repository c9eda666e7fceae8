package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) table() *cobra.Command {
	c := &cobra.Command{
		Use:   "table",
		Short: "Versions of a view's table: list, name, compare, read, go back",
		Long: `Every commit makes a snapshot of the table. Until it expires it can be listed, named by a
tag (which keeps it from expiry), compared, read, and made the newest state again.

A VERSION is a snapshot's number, a tag, or a time: 2026-03-01T12:00:00Z or 2026-03-01, the
state at that time.`,
	}
	c.AddCommand(e.tableLog(), e.tableTag(), e.tableUntag(), e.tableDiff(), e.tableRows(), e.tableRollback())
	return c
}

// viewFlag is --view of the commands of one table.
func viewFlag(c *cobra.Command, view *string) {
	c.Flags().StringVar(view, "view", "", "feature view")
}

func (e *env) onTable(cmd *cobra.Command, view string, f func(context.Context, *client) error) error {
	if view == "" {
		return fmt.Errorf("give --view")
	}
	return e.call(cmd.Context(), f)
}

func (e *env) tableLog() *cobra.Command {
	req := &weirv1.TableLogRequest{}
	c := &cobra.Command{
		Use: "log --view V", Short: "List a table's snapshots, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.onTable(cmd, req.View, func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := c.tables.Log(ctx, req)
				if err != nil {
					return err
				}
				return e.showLog(r.Snapshots)
			})
		},
	}
	viewFlag(c, &req.View)
	c.Flags().Int32Var(&req.Limit, "limit", 30, "show this many; 0 for all")
	return c
}

func (e *env) showLog(all []*weirv1.TableSnapshot) error {
	if e.output == "json" {
		out := []any{}
		for _, s := range all {
			out = append(out, map[string]any{"id": s.Id, "parent": s.Parent, "committed_at": when(s.CommittedAt), "operation": s.Operation, "commit": s.Commit,
				"tags": emptyNotNil(s.Tags), "current": s.Current, "rolled_off": !s.Reached, "files": s.Files, "rows": s.Rows, "bytes": s.Bytes,
				"added_rows": s.AddedRows, "removed_rows": s.RemovedRows, "added_files": s.AddedFiles, "removed_files": s.RemovedFiles})
		}
		return printJSON(e.out, out)
	}
	t := newTable(e.out, "snapshot", "made", "operation", "rows", "added", "removed", "files", "size", "")
	for _, s := range all {
		var notes []string
		if s.Current {
			notes = append(notes, "current")
		}
		if !s.Reached {
			notes = append(notes, "rolled off")
		}
		if s.Commit == "" {
			notes = append(notes, "by another engine")
		}
		notes = append(notes, tagNotes(s.Tags)...)
		t.AppendRow([]any{s.Id, when(s.CommittedAt), s.Operation, count(s.Rows), signed("+", s.AddedRows), signed("-", s.RemovedRows), count(s.Files), bytesText(s.Bytes), strings.Join(notes, ", ")})
	}
	t.Render()
	return nil
}

// tagNotes names all tags that people set, and the first few of those that training sets have.
func tagNotes(tags []string) (out []string) {
	const few = 3
	sets := int64(0)
	for _, name := range tags {
		if strings.HasPrefix(name, "weir-snapshot-") {
			if sets++; sets > few {
				continue
			}
		}
		out = append(out, "tag "+name)
	}
	if sets > few {
		out = append(out, "tags of "+count(sets-few)+" more training sets")
	}
	return out
}

func signed(sign string, n int64) string {
	if n == 0 {
		return ""
	}
	return sign + count(n)
}

func emptyNotNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (e *env) tableTag() *cobra.Command {
	req := &weirv1.TagTableRequest{}
	c := &cobra.Command{
		Use: "tag --view V NAME [--version VERSION]", Short: "Name a version, so that it does not expire", Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.onTable(cmd, req.View, func(ctx context.Context, c *client) error {
				req.Project, req.Name = c.project, args[0]
				r, err := c.tables.Tag(ctx, req)
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"view": req.View, "tag": req.Name, "snapshot": r.Snapshot})
				}
				fmt.Fprintf(e.out, "tag %s names snapshot %d of %s\n", req.Name, r.Snapshot, req.View)
				return nil
			})
		},
	}
	viewFlag(c, &req.View)
	c.Flags().StringVar(&req.Version, "version", "", "SNAPSHOT, TAG or TIME; the newest when not given")
	return c
}

func (e *env) tableUntag() *cobra.Command {
	req := &weirv1.UntagTableRequest{}
	c := &cobra.Command{
		Use: "untag --view V NAME", Short: "Take a tag away; the version may expire then", Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.onTable(cmd, req.View, func(ctx context.Context, c *client) error {
				req.Project, req.Name = c.project, args[0]
				if _, err := c.tables.Untag(ctx, req); err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"view": req.View, "untagged": req.Name})
				}
				fmt.Fprintf(e.out, "%s has no tag %s any more\n", req.View, req.Name)
				return nil
			})
		},
	}
	viewFlag(c, &req.View)
	return c
}

func (e *env) tableDiff() *cobra.Command {
	req := &weirv1.DiffTableRequest{}
	c := &cobra.Command{
		Use:   "diff --view V A B",
		Short: "Compare two versions: rows, columns, positions",
		Long: `Compares two versions of a table. A row is known by its coordinates (topic, partition,
offset), so that rows that compaction only moved are equal. Columns that were added, renamed
or widened between the two are named. The exit code is 1 when rows or columns differ.`,
		Args: exactly(2, "two versions"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.onTable(cmd, req.View, func(ctx context.Context, c *client) error {
				req.Project, req.From, req.To = c.project, args[0], args[1]
				if req.Limit == 0 {
					req.Limit = -1
				}
				d, err := e.runDiff(ctx, c, req)
				if err != nil {
					return err
				}
				return e.showDiff(d)
			})
		},
	}
	viewFlag(c, &req.View)
	c.Flags().Int32Var(&req.Limit, "limit", 20, "list this many rows that differ")
	return c
}

func (e *env) runDiff(ctx context.Context, c *client, req *weirv1.DiffTableRequest) (*weirv1.TableDiff, error) {
	stream, err := c.tables.Diff(ctx, req)
	if err != nil {
		return nil, err
	}
	bar := e.bar(-1, "comparing")
	defer func() { _ = bar.Finish() }()
	return last(stream, (*weirv1.DiffTableResponse).GetResult, func(m *weirv1.DiffTableResponse) {
		if p := m.GetProgress(); p != nil {
			at(bar, p.Done, p.Total)
		}
	})
}

func (e *env) showDiff(d *weirv1.TableDiff) error {
	differs := d.Added+d.Removed+d.Changed > 0 || len(d.Schema) > 0
	if e.output == "json" {
		if err := printJSON(e.out, diffJSON(d, differs)); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.out, "snapshot %d: %s\nsnapshot %d: %s\n\n", d.FromSnapshot, plural(d.FromRows, "row"), d.ToSnapshot, plural(d.ToRows, "row"))
		fmt.Fprintf(e.out, "%s added, %s removed, %s changed (%s compared)\n", count(d.Added), count(d.Removed), count(d.Changed), plural(d.FilesCompared, "file"))
		for _, c := range d.Schema {
			fmt.Fprintln(e.out, "  "+schemaText(c))
		}
		for _, c := range d.Columns {
			fmt.Fprintf(e.out, "  %s: another value in %s\n", c.Name, plural(c.Changed, "row"))
		}
		e.showDiffRows(d)
		if len(d.Positions) > 0 {
			fmt.Fprintln(e.out)
			t := newTable(e.out, "moved", "partition", "from", "to")
			for _, p := range d.Positions {
				t.AppendRow([]any{p.Topic, partition(p.Partition), offsetText(p.From), offsetText(p.To)})
			}
			t.Render()
		}
	}
	if differs {
		return errNo
	}
	return nil
}

func (e *env) showDiffRows(d *weirv1.TableDiff) {
	if len(d.Rows) == 0 {
		return
	}
	fmt.Fprintln(e.out)
	t := newTable(e.out, "row", "topic", "partition", "offset", "values")
	for _, r := range d.Rows {
		var values []string
		for i, c := range r.Columns {
			switch {
			case i < len(r.Before) && i < len(r.After):
				values = append(values, c+": "+short(r.Before[i], 30)+" -> "+short(r.After[i], 30))
			case i < len(r.After):
				values = append(values, c+"="+short(r.After[i], 30))
			case i < len(r.Before):
				values = append(values, c+"="+short(r.Before[i], 30))
			}
		}
		t.AppendRow([]any{r.Kind, r.Topic, partition(r.Partition), r.Offset, short(strings.Join(values, ", "), 120)})
	}
	t.Render()
	if n := d.Added + d.Removed + d.Changed - int64(len(d.Rows)); n > 0 {
		fmt.Fprintf(e.out, "and %s more (--limit)\n", count(n))
	}
}

// schemaText says in words how a column differs.
func schemaText(c *weirv1.SchemaChange) string {
	switch {
	case c.WasName == "":
		return fmt.Sprintf("column %s (%s) was added", c.Name, c.Type)
	case c.Name == "":
		return fmt.Sprintf("column %s (%s) was removed", c.WasName, c.WasType)
	}
	var how []string
	if c.Name != c.WasName {
		how = append(how, "is called "+c.Name+" now")
	}
	if c.Type != c.WasType {
		how = append(how, fmt.Sprintf("is %s now, was %s", c.Type, c.WasType))
	}
	return "column " + c.WasName + " " + strings.Join(how, " and ")
}

func offsetText(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func diffJSON(d *weirv1.TableDiff, differs bool) map[string]any {
	columns, rows, positions, schema := map[string]int64{}, []any{}, []any{}, []any{}
	for _, c := range d.Schema {
		schema = append(schema, map[string]any{"kind": c.Kind, "name": c.Name, "type": c.Type, "was_name": c.WasName, "was_type": c.WasType})
	}
	for _, c := range d.Columns {
		columns[c.Name] = c.Changed
	}
	for _, r := range d.Rows {
		rows = append(rows, map[string]any{"kind": r.Kind, "topic": r.Topic, "topic_id": hex.EncodeToString(r.TopicId), "partition": r.Partition, "offset": r.Offset,
			"columns": emptyNotNil(r.Columns), "before": emptyNotNil(r.Before), "after": emptyNotNil(r.After)})
	}
	for _, p := range d.Positions {
		positions = append(positions, map[string]any{"topic": p.Topic, "topic_id": hex.EncodeToString(p.TopicId), "partition": p.Partition, "from": p.From, "to": p.To})
	}
	return map[string]any{"differs": differs, "from_snapshot": d.FromSnapshot, "to_snapshot": d.ToSnapshot, "from_rows": d.FromRows, "to_rows": d.ToRows,
		"added": d.Added, "removed": d.Removed, "changed": d.Changed, "files_compared": d.FilesCompared, "columns": columns, "schema": schema,
		"rows": rows, "positions": positions}
}
