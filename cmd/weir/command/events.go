package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/docs"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) events() *cobra.Command {
	c := &cobra.Command{Use: "events", Short: "The events that were told, and how their delivery stands"}
	c.AddCommand(e.eventsList(), e.eventsShow(), e.eventsResend(), e.eventsDiscard(), e.eventsSchema())
	return c
}

func (e *env) eventsList() *cobra.Command {
	var req weirv1.ListEventsRequest
	c := &cobra.Command{
		Use: "list", Short: "List events, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := c.events.List(ctx, &req)
				if err != nil {
					return err
				}
				if e.output == "json" {
					out := []any{}
					for _, v := range r.Events {
						out = append(out, eventJSON(v))
					}
					return printJSON(e.out, out)
				}
				t := newTable(e.out, "time", "type", "about", "state", "id")
				for _, v := range r.Events {
					t.AppendRow([]any{when(v.Time), v.Type, v.Project + "/" + v.Monitor, v.State, v.Id})
				}
				t.Render()
				return nil
			})
		},
	}
	c.Flags().StringVar(&req.Monitor, "monitor", "", "only about this: a monitor, VIEW/SUITE, VIEW:RULE, delivery@DESTINATION or snapshot@ID")
	c.Flags().StringVar(&req.View, "view", "", "only of this view")
	c.Flags().StringVar(&req.Type, "type", "", "only of this type, like io.weir.quality.failed.v1")
	c.Flags().StringVar(&req.State, "state", "", "only with a delivery that is pending, delivered, dead or discarded")
	c.Flags().Int32Var(&req.Limit, "limit", 50, "newest this many")
	return c
}

func eventJSON(v *weirv1.Event) map[string]any {
	deliveries := []any{}
	for _, d := range v.Deliveries {
		x := map[string]any{"destination": d.Destination, "state": d.State, "attempts": d.Attempts, "last_error": d.LastError, "updated": when(d.UpdatedAt)}
		if d.NextTry > 0 {
			x["next_try"] = when(d.NextTry)
		}
		deliveries = append(deliveries, x)
	}
	return map[string]any{"id": v.Id, "type": v.Type, "subject": v.Subject, "time": when(v.Time), "project": v.Project,
		"monitor": v.Monitor, "view": v.View, "state": v.State, "attempts": v.Attempts, "last_error": v.LastError, "data": json.RawMessage(v.Data), "deliveries": deliveries}
}

func (e *env) eventsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an event as it was told, and each of its deliveries", Args: exactly(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.events.Get(ctx, &weirv1.GetEventRequest{Id: args[0]})
				if err != nil {
					return err
				}
				if e.output == "json" {
					out := eventJSON(r.Event)
					out["event"] = json.RawMessage(r.Payload)
					return printJSON(e.out, out)
				}
				v := r.Event
				fmt.Fprintf(e.out, "%s\n%s about %s/%s\n\n", v.Id, v.Type, v.Project, v.Monitor)
				t := newTable(e.out, "destination", "state", "attempts", "since", "next attempt", "last error")
				for _, d := range v.Deliveries {
					next := ""
					if d.NextTry > 0 {
						next = when(d.NextTry)
					}
					t.AppendRow([]any{d.Destination, d.State, d.Attempts, when(d.UpdatedAt), next, d.LastError})
				}
				t.Render()
				fmt.Fprintln(e.out)
				return printJSON(e.out, json.RawMessage(r.Payload))
			})
		},
	}
}

// meant is what resend and discard are asked for.
type meant struct {
	destination string
	dead        bool
}

func (m *meant) flags(c *cobra.Command) {
	c.Flags().StringVar(&m.destination, "destination", "", "only to this one")
	c.Flags().BoolVar(&m.dead, "dead", false, "all that were given up, in the place of an ID")
}

func (m *meant) id(args []string) (string, error) {
	switch {
	case m.dead && len(args) == 0:
		return "", nil
	case !m.dead && len(args) == 1:
		return args[0], nil
	}
	return "", errors.New("name an event's ID, or give --dead for all that were given up")
}

func (e *env) eventsResend() *cobra.Command {
	var m meant
	c := &cobra.Command{
		Use: "resend ID | --dead", Short: "Send an event again, or all that were given up", Args: cobra.MaximumNArgs(1),
		Long: `Sends an event again to all its destinations, or to one: under the same id, in its old place among the
events of its key. Whoever has seen the id may leave it at that.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := m.id(args)
			if err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.events.Resend(ctx, &weirv1.ResendEventsRequest{Id: id, Destination: m.destination, Dead: m.dead, Project: c.project})
				if err != nil {
					return err
				}
				return e.deliveriesAre("pending again", r.Entries)
			})
		},
	}
	m.flags(c)
	return c
}

func (e *env) eventsDiscard() *cobra.Command {
	var m meant
	c := &cobra.Command{
		Use: "discard ID | --dead", Short: "Say that deliveries that were given up are no loss", Args: cobra.MaximumNArgs(1),
		Long: `Ends deliveries that were given up: they are not sent, and the alert that there are some ends.
"weir events resend" sends them after all.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := m.id(args)
			if err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.events.Discard(ctx, &weirv1.DiscardEventsRequest{Id: id, Destination: m.destination, Dead: m.dead, Project: c.project})
				if err != nil {
					return err
				}
				return e.deliveriesAre("discarded", r.Entries)
			})
		},
	}
	m.flags(c)
	return c
}

func (e *env) deliveriesAre(what string, n int64) error {
	if e.output == "json" {
		return printJSON(e.out, map[string]any{"deliveries": n})
	}
	deliveries := "deliveries are"
	if n == 1 {
		deliveries = "delivery is"
	}
	_, err := fmt.Fprintf(e.out, "%s %s %s\n", count(n), deliveries, what)
	return err
}

func (e *env) eventsSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema NAME", Short: "Print the JSON Schema of events' data: drift, quality or delivery", Args: exactly(1, "drift, quality or delivery, or what dataschema says"),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := docs.EventSchema(args[0])
			if err != nil {
				return err
			}
			_, err = e.out.Write(b)
			return err
		},
	}
}
