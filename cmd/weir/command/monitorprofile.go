package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// monitorProfile is weir monitor profile.
func (e *env) monitorProfile() *cobra.Command {
	var at string
	var features []string
	c := &cobra.Command{
		Use: "profile NAME", Short: "Show what is kept of a window's values; -o json has the sketches", Args: exactly(1, "NAME"),
		Long: `Show what is kept of the values in a window of a monitor, the newest one unless
--window says another.

With -o json, each feature has its sketches as base64, in the formats of Apache
DataSketches: "kll" (kll_doubles_sketch), "hll" (hll_sketch) and
"frequent_items" (frequent_strings_sketch).`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &weirv1.WindowProfileRequest{Monitor: args[0], Features: features}
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return fmt.Errorf("--window %s: not a time like 2026-03-01T12:00:00Z", at)
				}
				req.At = t.UnixMicro()
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				w, err := weirv1.NewProfileServiceClient(c.conn).Window(ctx, req)
				if err != nil {
					return err
				}
				return e.showProfile(w)
			})
		},
	}
	c.Flags().StringVar(&at, "window", "", "the window that this time falls in, like 2026-03-01T12:00:00Z")
	c.Flags().StringSliceVar(&features, "feature", nil, "only these features")
	return c
}

func (e *env) showProfile(w *weirv1.WindowProfile) error {
	if e.output == "json" {
		fs := []any{}
		for _, f := range w.Features {
			x := map[string]any{"feature": f.Feature, "shape": f.Shape, "count": f.Count, "nulls": f.Nulls, "odd": f.Odd, "bytes": f.Bytes,
				"rank_error": f.RankError, "category_error": f.CategoryError, "distinct_error": f.DistinctError}
			if f.Distinct != nil {
				x["distinct"] = *f.Distinct
			}
			for name, sketch := range map[string][]byte{"kll": f.Kll, "hll": f.Hll, "frequent_items": f.FrequentItems} {
				if len(sketch) > 0 {
					x[name] = sketch // base64
				}
			}
			fs = append(fs, x)
		}
		return printJSON(e.out, map[string]any{"start": when(w.Start), "end": when(w.End), "rows": w.Rows, "features": fs})
	}
	fmt.Fprintf(e.out, "%s to %s: %s rows\n\n", when(w.Start), when(w.End), count(w.Rows))
	t := newTable(e.out, "feature", "kept as", "values", "nulls", "different", "bytes")
	for _, f := range w.Features {
		different := ""
		if f.Distinct != nil {
			different = number(*f.Distinct)
			if f.DistinctError > 0 {
				different = fmt.Sprintf("about %.0f", *f.Distinct)
			}
		}
		t.AppendRow([]any{f.Feature, f.Shape, count(f.Count + f.Odd), count(f.Nulls), different, count(f.Bytes)})
	}
	t.Render()
	return nil
}
