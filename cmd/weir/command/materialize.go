package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) materialize() *cobra.Command {
	req := &weirv1.MaterializeRequest{}
	c := &cobra.Command{
		Use:   "materialize --view V",
		Short: "Write a view's online rows again from its table",
		Long: `Writes the newest row of every key from the table into the online store, and removes
rows that the table does not have. Ingestion goes on meanwhile, and what it writes wins.
Broken off, it goes on where it was when it is run again.

An online store that restarted empty or lost its last writes is mended without this.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.View == "" {
				return fmt.Errorf("give --view")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := e.runMaterialize(ctx, c, req)
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"rows": r.Rows, "stored": r.Stored, "removed": r.Removed, "mended": r.Mended, "resumed": r.Resumed})
				}
				fmt.Fprintf(e.out, "%s of the table: %s written, %s mended, %s removed that the table does not have\n",
					plural(r.Rows, "key"), count(r.Stored), count(r.Mended), count(r.Removed))
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&req.View, "view", "", "feature view")
	f.BoolVar(&req.Restart, "restart", false, "begin anew instead of where a former run broke off")
	f.BoolVar(&req.KeepStrangers, "keep-strangers", false, "leave rows that the table does not have in the store")
	f.BoolVar(&req.NoImports, "no-imports", false, "no import is under way: remove what an abandoned one left, too")
	return c
}

func (e *env) runMaterialize(ctx context.Context, c *client, req *weirv1.MaterializeRequest) (*weirv1.MaterializeResult, error) {
	stream, err := c.upkeep.Materialize(ctx, req)
	if err != nil {
		return nil, err
	}
	bar := e.bar(-1, "materializing "+req.View)
	defer func() { _ = bar.Finish() }()
	return last(stream, (*weirv1.MaterializeResponse).GetResult, func(m *weirv1.MaterializeResponse) {
		if p := m.GetProgress(); p != nil {
			at(bar, p.Rows, p.Total)
		}
	})
}
