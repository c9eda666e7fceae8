package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) status() *cobra.Command {
	var view string
	c := &cobra.Command{
		Use: "status", Short: "Where every stream stands", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.ingest.Status(ctx, &weirv1.IngestStatusRequest{Project: c.project, View: view})
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, statusJSON(r))
				}
				t := newTable(e.out, "view", "topic", "rows", "held back", "lag", "newest event", "")
				for _, v := range r.Views {
					var lag int64
					note := v.Paused
					for _, p := range v.Partitions {
						lag += p.Lag
						if p.Stopped != "" {
							note = fmt.Sprintf("partition %d: %s", p.Partition, p.Stopped)
						}
					}
					t.AppendRow([]any{v.Project + "/" + v.View, v.Topic, count(v.Rows), count(v.Quarantined), count(lag), when(v.NewestEventTime), note})
				}
				t.Render()
				e.showGuards(r)
				return nil
			})
		},
	}
	c.Flags().StringVar(&view, "view", "", "only this view")
	return c
}

func statusJSON(r *weirv1.IngestStatusResponse) any {
	out := []any{}
	for _, v := range r.Views {
		parts := []any{}
		for _, p := range v.Partitions {
			parts = append(parts, map[string]any{"topic": p.Topic, "partition": p.Partition, "position": p.Position, "end_offset": p.EndOffset, "lag": p.Lag, "stopped": p.Stopped})
		}
		out = append(out, map[string]any{"project": v.Project, "view": v.View, "topic": v.Topic, "rows": v.Rows, "quarantined": v.Quarantined,
			"paused": v.Paused, "newest_event_time": when(v.NewestEventTime), "last_commit": when(v.LastCommit), "partitions": parts,
			"shadow": shadowJSON(v.Shadow), "reject_pause": rejectPauseJSON(v.RejectPause)})
	}
	return out
}
