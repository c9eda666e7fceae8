package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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
	c := &cobra.Command{
		Use: "list --view V [PARTITION/OFFSET...]", Short: "List events held back, with the rules that failed",
		Long: `Lists the events of a view that were held back, newest first. An event whose row has come
into the table since then is not held back any more: --state replayed shows those that a replay
brought, taken those that were read again after a rollback, discarded those that were given up.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := f.of(args)
			if err != nil {
				return err
			}
			if slices.Contains(states, "all") {
				states = []string{"held", "replayed", "taken", "discarded"}
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.quarantine.List(ctx, &weirv1.ListQuarantineRequest{Project: c.project, View: f.view, Filter: chosen, States: states, Limit: limit})
				if err != nil {
					return err
				}
				return e.showQuarantine(r)
			})
		},
	}
	f.flags(c)
	c.Flags().Int32Var(&limit, "limit", 20, "newest this many")
	c.Flags().StringSliceVar(&states, "state", nil, "held (the default), replayed, taken, discarded or all")
	return c
}

func (e *env) showQuarantined() *cobra.Command {
	var view string
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
				r, err := c.quarantine.Show(ctx, &weirv1.ShowQuarantineRequest{Project: c.project, View: view, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset})
				if err != nil {
					return err
				}
				return e.showEntry(r.Entry)
			})
		},
	}
	c.Flags().StringVar(&view, "view", "", "feature view")
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

type jsonReason struct {
	Rule     string `json:"rule"`
	Path     string `json:"path"`
	Value    string `json:"value"`
	Expected string `json:"expected"`
	Severity string `json:"severity"`
}

type jsonEntry struct {
	View      string       `json:"view"`
	Topic     string       `json:"topic"`
	TopicID   string       `json:"topic_id"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Time      string       `json:"time"`
	Revision  int64        `json:"revision"`
	Reasons   []jsonReason `json:"reasons"`
	Payload   string       `json:"payload"`
	State     string       `json:"state"`
	Omitted   bool         `json:"payload_omitted"` // too large to keep, or discarded
	Size      int64        `json:"payload_size"`
	Discarded *jsonDiscard `json:"discarded,omitempty"`
}

type jsonDiscard struct {
	At     string `json:"at"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

func entryJSON(q *weirv1.QuarantineEntry) jsonEntry {
	j := jsonEntry{View: q.View, Topic: q.Topic, TopicID: hex.EncodeToString(q.TopicId), Partition: q.Partition, Offset: q.Offset,
		Time: when(q.RecordTime), Revision: q.Revision, Payload: printable(q.Payload), State: q.State, Omitted: q.PayloadOmitted, Size: q.PayloadSize}
	if d := q.Discarded; d != nil {
		j.Discarded = &jsonDiscard{when(d.At), d.By, d.Reason}
	}
	j.Reasons = []jsonReason{}
	for _, r := range q.Reasons {
		j.Reasons = append(j.Reasons, jsonReason{r.Rule, r.Path, r.Value, r.Expected, r.Severity})
	}
	return j
}

func (e *env) showQuarantine(r *weirv1.ListQuarantineResponse) error {
	if e.output == "json" {
		out := struct {
			Total   int64            `json:"total"`
			Rules   map[string]int64 `json:"rules"`
			States  map[string]int64 `json:"states"`
			Entries []jsonEntry      `json:"entries"`
		}{r.Total, map[string]int64{}, map[string]int64{}, []jsonEntry{}}
		for state, n := range r.States {
			out.States[state] = n
		}
		for _, x := range r.Rules {
			out.Rules[x.Rule] = x.Rows
		}
		for _, q := range r.Entries {
			out.Entries = append(out.Entries, entryJSON(q))
		}
		return printJSON(e.out, out)
	}
	t := newTable(e.out, "rule", "events")
	for _, x := range r.Rules {
		t.AppendRow([]any{x.Rule, count(x.Rows)})
	}
	t.AppendFooter([]any{"events", count(r.Total)})
	t.Render()
	fmt.Fprintln(e.out)
	t = newTable(e.out, "event", "time", "why", "payload", "state")
	for _, q := range r.Entries {
		t.AppendRow([]any{eventText(q), when(q.RecordTime), reasons(q.Reasons), short(payload(q), 60), q.State})
	}
	t.Render()
	if n := r.States["discarded"] + r.States["replayed"] + r.States["taken"]; n > 0 {
		fmt.Fprintf(e.out, "\nof all that were ever held back: %s held, %s replayed, %s discarded, %s in the table after a rollback\n",
			count(r.States["held"]), count(r.States["replayed"]), count(r.States["discarded"]), count(r.States["taken"]))
	}
	return nil
}

// eventText is an event as parseEvent reads it. Rows of files share partition -1, so they need the file.
func eventText(q *weirv1.QuarantineEntry) string {
	if q.Partition >= 0 {
		return fmt.Sprintf("%d/%d", q.Partition, q.Offset)
	}
	return fmt.Sprintf("%s/%d/%d", q.Topic, q.Partition, q.Offset)
}

func (e *env) showEntry(q *weirv1.QuarantineEntry) error {
	if e.output == "json" {
		return printJSON(e.out, entryJSON(q))
	}
	t := newTable(e.out)
	t.AppendRow([]any{"view", q.Project + "/" + q.View})
	t.AppendRow([]any{"from", fmt.Sprintf("%s partition %d offset %d", q.Topic, q.Partition, q.Offset)})
	t.AppendRow([]any{"record time", when(q.RecordTime)})
	t.AppendRow([]any{"judged by", fmt.Sprintf("catalog revision %d", q.Revision)})
	t.AppendRow([]any{"record key", printable(q.Key)})
	t.AppendRow([]any{"why", reasons(q.Reasons)})
	t.AppendRow([]any{"bytes", count(q.PayloadSize)})
	t.AppendRow([]any{"state", q.State})
	if d := q.Discarded; d != nil {
		t.AppendRow([]any{"discarded", when(d.At) + " by " + d.By + ": " + d.Reason})
	}
	t.Render()
	fmt.Fprintf(e.out, "\n%s\n", payload(q))
	return nil
}

// payload is an event's, or why it is not there.
func payload(q *weirv1.QuarantineEntry) string {
	switch {
	case q.Discarded != nil:
		return "(discarded)"
	case q.PayloadOmitted:
		return "(too large to keep; sha256 " + q.PayloadSha256 + ")"
	}
	return printable(q.Payload)
}

// printable shows bytes that may be anything.
func printable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strconv.QuoteToASCII(string(b))
}
