package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func (e *env) expire() *cobra.Command {
	req := &weirv1.ExpireRequest{}
	var age string
	var keep int32
	c := &cobra.Command{
		Use:   "expire [--view V|all] [--older-than 5d] [--keep N] [--orphans] [--dry-run]",
		Short: "Forget old snapshots of tables and remove the files that only they name",
		Long: `Forgets the snapshots that stopped being the newest longer ago than --older-than, and
removes the files that no other snapshot names. Kept are the newest snapshot, --keep more
before it, and those with a tag: training sets have one. A process with the role upkeep
does this by itself.

--orphans removes files that no snapshot names and that are older than the setting
offline.upkeep.orphan_age: what broken-off commits have left.

Whoever reads a version that expires has to begin again, so --older-than should be longer
than reading takes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("older-than") {
				d, err := feature.ParseDuration(age)
				if err != nil || d < 0 {
					return fmt.Errorf("--older-than %s: give how long ago, like 5d or 120h", age)
				}
				req.Before = time.Now().Add(-time.Duration(d)).UnixMicro()
			}
			if cmd.Flags().Changed("keep") {
				if keep < 0 {
					return fmt.Errorf("--keep %d: give how many snapshots, 0 or more", keep)
				}
				req.Keep = &keep
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				if req.View == "all" {
					req.View = ""
				}
				all, err := e.runExpire(ctx, c, req)
				return e.shown(len(all), err, func() error { return e.showExpired(all, req) })
			})
		},
	}
	f := c.Flags()
	f.StringVar(&req.View, "view", "", "only this view; all of the project when not given, or all")
	f.StringVar(&age, "older-than", "", "forget what stopped being the newest longer ago than this, like 5d or 12h (setting: offline.upkeep.snapshot_age)")
	f.Int32Var(&keep, "keep", 0, "snapshots before the newest that stay whatever their age (setting: offline.upkeep.snapshots_kept)")
	f.BoolVar(&req.Orphans, "orphans", false, "remove old files that no snapshot names, too")
	f.BoolVar(&req.DryRun, "dry-run", false, "say what would go, change nothing")
	return c
}

func (e *env) runExpire(ctx context.Context, c *client, req *weirv1.ExpireRequest) ([]*weirv1.ExpireResult, error) {
	stream, err := c.upkeep.Expire(ctx, req)
	if err != nil {
		return nil, err
	}
	bar := e.bar(-1, "expiring")
	defer func() { _ = bar.Finish() }()
	var out []*weirv1.ExpireResult
	err = each(stream, func(m *weirv1.ExpireResponse) error {
		if v := m.GetView(); v != "" {
			bar.Describe("expiring snapshots of " + v)
		}
		if r := m.GetResult(); r != nil {
			out = append(out, r)
			_ = bar.Add(1)
		}
		return nil
	})
	return out, err
}

func (e *env) showExpired(all []*weirv1.ExpireResult, req *weirv1.ExpireRequest) error {
	if e.output == "json" {
		out := []any{}
		for _, r := range all {
			out = append(out, map[string]any{"project": r.Project, "view": r.View, "snapshots": r.Snapshots, "kept": r.Kept, "files": r.Files, "bytes": r.Bytes,
				"orphans": r.Orphans, "orphan_bytes": r.OrphanBytes, "dry_run": req.DryRun})
		}
		return printJSON(e.out, out)
	}
	verb := "removed"
	if req.DryRun {
		verb = "to remove"
	}
	head := []any{"view", "snapshots expired", "kept", "files " + verb, "data"}
	if req.DryRun {
		head[1] = "snapshots to expire"
	}
	if req.Orphans {
		head = append(head, "orphans "+verb, "size")
	}
	t := newTable(e.out, head...)
	for _, r := range all {
		row := []any{r.View, count(r.Snapshots), count(r.Kept), count(r.Files), bytesText(r.Bytes)}
		if req.Orphans {
			row = append(row, count(r.Orphans), bytesText(r.OrphanBytes))
		}
		t.AppendRow(row)
	}
	t.Render()
	return nil
}
