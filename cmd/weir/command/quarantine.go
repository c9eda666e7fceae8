package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) quarantine() *cobra.Command {
	c := &cobra.Command{Use: "quarantine", Short: "The events that were held back: see them, replay them, give them up"}
	c.AddCommand(e.listQuarantine(), e.showQuarantined(), e.replayQuarantine(), e.discardQuarantine())
	return c
}

func (e *env) listQuarantine() *cobra.Command {
	var f quarantineFilter
	var limit int32
	var states []string
	var by string
	var payload bool
	c := &cobra.Command{
		Use: "list [--view V] [PARTITION/OFFSET...]", Short: "List events held back, with the rules that failed",
		Long: `Counts the events of a view, or of all views, that were held back, by view, rule and path, with
the first and the newest of each, and lists the newest. An event whose row has come
into the table since then is not held back any more: --state replayed shows those that a replay
brought, taken those that were read again after a rollback, discarded those that were given up.

What a view masks (quality.mask) is shown as (masked), and its payloads only with --payload.`,
		Example: `  weir quarantine list --view orders
  weir quarantine list --group-by path --limit 0 --since 2h
  weir quarantine list --view orders --group-by none -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"", "rule", "path", "none"}, by) {
				return fmt.Errorf("--group-by %s: use rule, path or none, or leave it out for both", by)
			}
			if len(args) > 0 && f.view == "" {
				return fmt.Errorf("give --view: events are those of a view")
			}
			chosen, err := f.some(args)
			if err != nil {
				return err
			}
			if slices.Contains(states, "all") {
				states = []string{"held", "replayed", "taken", "discarded"}
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.quarantine.List(ctx, &weirv1.ListQuarantineRequest{Project: c.project, View: f.view, Filter: chosen, States: states, Limit: max(1, limit), GroupBy: by, Payload: payload})
				if err != nil {
					return err
				}
				if limit <= 0 {
					r.Entries = nil
				}
				return e.showQuarantine(r, by, f.view == "", payload)
			})
		},
	}
	f.flags(c)
	c.Flags().Int32Var(&limit, "limit", 20, "list the newest this many; 0 lists none")
	c.Flags().StringVar(&by, "group-by", "", "count by rule, by path, or by none; by both when not given")
	c.Flags().BoolVar(&payload, "payload", false, "show payloads and keys of views that mask values, too")
	c.Flags().StringSliceVar(&states, "state", nil, "held (the default), replayed, taken, discarded or all")
	return c
}

func (e *env) showQuarantined() *cobra.Command {
	var view string
	var withPayload bool
	c := &cobra.Command{
		Use: "show --view V [TOPIC/]PARTITION/OFFSET", Short: "Show one event held back, with its payload as it came", Args: exactly(1, "PARTITION/OFFSET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if view == "" {
				return fmt.Errorf("give --view")
			}
			at, err := parseEvent(args[0])
			if err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.quarantine.Show(ctx, &weirv1.ShowQuarantineRequest{Project: c.project, View: view, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, Payload: withPayload})
				if err != nil {
					return err
				}
				return e.showEntry(r.Entry, withPayload)
			})
		},
	}
	c.Flags().StringVar(&view, "view", "", "feature view")
	c.Flags().BoolVar(&withPayload, "payload", false, "show the payload and the key also where the view masks some of their values")
	return c
}

func reasons(rs []*weirv1.Reason) string {
	var out []string
	for _, r := range rs {
		s := r.Rule
		if r.Path != "" {
			s += "(" + r.Path + ")"
		}
		if r.Value != "" {
			s += " got " + short(r.Value, 40)
		}
		if r.Expected != "" {
			s += ", wants " + short(r.Expected, 60)
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}
