package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) resume() *cobra.Command {
	var view string
	var accept bool
	c := &cobra.Command{
		Use: "resume --view V", Short: "Let a view go on that paused because too many of its events were bad", Args: cobra.NoArgs,
		Long: `A view with spec.quality.max_reject_rate pauses before a larger share of its last events is
held back. Applying a corrected suite, schema or limit has it judge the events that wait anew; this
command does so without a change, and it pauses again if they are as bad. With --accept the bad ones
that the log has now go to quarantine, on all partitions; what comes later is judged by the limit again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if view == "" {
				return fmt.Errorf("give --view with the view that is paused (weir status shows it)")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.ingest.Resume(ctx, &weirv1.ResumeRequest{Project: c.project, View: view, Accept: accept})
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"view": view, "accept": accept, "partitions": r.Partitions})
				}
				how := "judging anew"
				if accept {
					how = "with the bad events that wait"
				}
				fmt.Fprintf(e.out, "%s goes on with %s, %s\n", view, plural(int64(len(r.Partitions)), "partition"), how)
				return nil
			})
		},
	}
	c.Flags().StringVar(&view, "view", "", "the view")
	c.Flags().BoolVar(&accept, "accept", false, "take the events that wait as they are, the bad ones into quarantine")
	return c
}

// showGuards prints what suites in shadow have counted, and what made views wait.
func (e *env) showGuards(r *weirv1.IngestStatusResponse) {
	for _, v := range r.Views {
		if p := v.RejectPause; p != nil && len(p.Rules) > 0 {
			fmt.Fprintf(e.out, "\n%s/%s: %s\n", v.Project, v.View, "of the events that wait, the first batch has bad ones by")
			t := newTable(e.out, "rule", "events")
			for _, x := range p.Rules {
				t.AppendRow([]any{x.Rule, count(x.Rows)})
			}
			t.Render()
		}
		s := v.Shadow
		if s == nil {
			continue
		}
		if s.Since == 0 {
			fmt.Fprintf(e.out, "\n%s/%s: suite %s is in shadow and has judged nothing in this process yet\n", v.Project, v.View, s.Suite)
			continue
		}
		fmt.Fprintf(e.out, "\n%s/%s: suite %s is in shadow; it would have held back %s of %s since %s\n", v.Project, v.View, s.Suite, count(s.Rejected), plural(s.Rows, "row"), when(s.Since))
		if s.Fault != "" {
			fmt.Fprintf(e.out, "  %s\n", s.Fault)
		}
		if len(s.Rules) == 0 {
			continue
		}
		t := newTable(e.out, "expectation", "column", "failed", "of", "severity")
		for _, x := range s.Rules {
			t.AppendRow([]any{x.Expectation, x.Column, count(x.Failed), count(x.Evaluated), x.Severity})
		}
		t.Render()
	}
}

func shadowJSON(s *weirv1.ShadowStatus) any {
	if s == nil {
		return nil
	}
	rules := []any{}
	for _, x := range s.Rules {
		rules = append(rules, map[string]any{"expectation": x.Expectation, "column": x.Column, "expected": x.Expected, "severity": x.Severity,
			"rejects": x.Rejects, "evaluated": x.Evaluated, "failed": x.Failed})
	}
	return map[string]any{"suite": s.Suite, "version": s.Version, "since": when(s.Since), "rows": s.Rows, "rejected": s.Rejected, "fault": s.Fault, "rules": rules}
}

func rejectPauseJSON(p *weirv1.RejectPause) any {
	if p == nil {
		return nil
	}
	rules := map[string]int64{}
	for _, x := range p.Rules {
		rules[x.Rule] = x.Rows
	}
	parts := []int32{}
	return map[string]any{"since": when(p.Since), "rejected": p.Rejected, "judged": p.Judged, "limit": p.Limit, "events": p.Events, "rules": rules,
		"partitions": append(parts, p.Partitions...), "accepting": p.Accepting}
}
