package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) compact() *cobra.Command {
	req := &weirv1.CompactRequest{}
	c := &cobra.Command{
		Use:   "compact [--view V|all] [--dry-run]",
		Short: "Merge small files of tables into sorted ones",
		Long: `Merges the small data files of each day into large sorted ones, where that is worth it.
Ingestion and reading go on meanwhile; the rows stay the same. A process with the role
upkeep does this by itself.

The files that were merged stay on disk until the snapshots that name them expire.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				if req.View == "all" {
					req.View = ""
				}
				all, err := e.runCompact(ctx, c, req)
				return e.shown(len(all), err, func() error { return e.showCompacted(all, req.DryRun) })
			})
		},
	}
	c.Flags().StringVar(&req.View, "view", "", "only this view; all of the project when not given, or all")
	c.Flags().BoolVar(&req.DryRun, "dry-run", false, "say what would be merged, change nothing")
	return c
}

// shown prints results, of which an error may have cut off the rest: people see
// what there is, programs see it all or nothing.
func (e *env) shown(results int, err error, show func() error) error {
	if err != nil && (e.output == "json" || results == 0) {
		return err
	}
	if serr := show(); err == nil {
		err = serr
	}
	return err
}

func (e *env) runCompact(ctx context.Context, c *client, req *weirv1.CompactRequest) ([]*weirv1.CompactResult, error) {
	stream, err := c.upkeep.Compact(ctx, req)
	if err != nil {
		return nil, err
	}
	bar := e.bar(-1, "compacting")
	defer func() { _ = bar.Finish() }()
	var out []*weirv1.CompactResult
	err = each(stream, func(m *weirv1.CompactResponse) error {
		if p := m.GetProgress(); p != nil {
			bar.Describe("compacting " + p.View)
			at(bar, p.Rows, p.Total)
		}
		if r := m.GetResult(); r != nil {
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

func (e *env) showCompacted(all []*weirv1.CompactResult, dry bool) error {
	if e.output == "json" {
		out := []any{}
		for _, r := range all {
			out = append(out, map[string]any{"project": r.Project, "view": r.View, "files": r.Files, "made": r.Made, "rows": r.Rows, "bytes": r.Bytes,
				"bytes_made": r.BytesMade, "files_left": r.FilesLeft, "conflicts": r.Conflicts, "dry_run": dry})
		}
		return printJSON(e.out, out)
	}
	head := []any{"view", "files merged", "into", "rows", "size before", "after", "files now"}
	if dry {
		head = []any{"view", "files to merge", "", "rows", "size", "", "files now"}
	}
	t := newTable(e.out, head...)
	var lost int64
	for _, r := range all {
		made, after := any(count(r.Made)), any(bytesText(r.BytesMade))
		if dry {
			made, after = "", ""
		}
		t.AppendRow([]any{r.View, count(r.Files), made, count(r.Rows), bytesText(r.Bytes), after, count(r.FilesLeft)})
		lost += r.Conflicts
	}
	t.Render()
	if lost > 0 {
		fmt.Fprintf(e.out, "%s given up because somebody else had changed the files meanwhile; run it again\n", plural(lost, "merge"))
	}
	return nil
}

// bytesText shows a size as people say it.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 4 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[i])
}
