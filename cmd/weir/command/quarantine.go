package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) quarantine() *cobra.Command {
	c := &cobra.Command{Use: "quarantine", Short: "The events that were held back, and why"}
	var view, rule string
	var limit int32
	list := &cobra.Command{
		Use: "list --view V", Short: "List events held back, with the rules that failed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if view == "" {
				return fmt.Errorf("give --view")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.quarantine.List(ctx, &weirv1.ListQuarantineRequest{Project: c.project, View: view, Rule: rule, Limit: limit})
				if err != nil {
					return err
				}
				return e.showQuarantine(r)
			})
		},
	}
	list.Flags().StringVar(&view, "view", "", "feature view")
	list.Flags().StringVar(&rule, "rule", "", "only events that failed this rule")
	list.Flags().Int32Var(&limit, "limit", 20, "newest this many")
	show := &cobra.Command{
		Use: "show --view V [TOPIC/]PARTITION/OFFSET", Short: "Show one event held back, with its payload as it came", Args: exactly(1, "PARTITION/OFFSET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := strings.Split(args[0], "/")
			if len(parts) < 2 || view == "" {
				return fmt.Errorf("give --view and PARTITION/OFFSET, like 0/1234")
			}
			p, err1 := strconv.ParseInt(parts[len(parts)-2], 10, 32)
			o, err2 := strconv.ParseInt(parts[len(parts)-1], 10, 64)
			if err1 != nil || err2 != nil {
				return fmt.Errorf("%s: write it as PARTITION/OFFSET, like 0/1234", args[0])
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.quarantine.Show(ctx, &weirv1.ShowQuarantineRequest{Project: c.project, View: view,
					Topic: strings.Join(parts[:len(parts)-2], "/"), Partition: int32(p), Offset: o})
				if err != nil {
					return err
				}
				return e.showEntry(r.Entry)
			})
		},
	}
	show.Flags().StringVar(&view, "view", "", "feature view")
	c.AddCommand(list, show)
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
}

func entryJSON(q *weirv1.QuarantineEntry) jsonEntry {
	j := jsonEntry{View: q.View, Topic: q.Topic, TopicID: hex.EncodeToString(q.TopicId), Partition: q.Partition, Offset: q.Offset,
		Time: when(q.RecordTime), Revision: q.Revision, Payload: printable(q.Payload)}
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
			Entries []jsonEntry      `json:"entries"`
		}{r.Total, map[string]int64{}, []jsonEntry{}}
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
	t.AppendFooter([]any{"events held back", count(r.Total)})
	t.Render()
	fmt.Fprintln(e.out)
	t = newTable(e.out, "partition/offset", "time", "why", "payload")
	for _, q := range r.Entries {
		t.AppendRow([]any{fmt.Sprintf("%d/%d", q.Partition, q.Offset), when(q.RecordTime), reasons(q.Reasons), short(printable(q.Payload), 60)})
	}
	t.Render()
	return nil
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
	t.Render()
	fmt.Fprintf(e.out, "\n%s\n", printable(q.Payload))
	return nil
}

// printable shows bytes that may be anything.
func printable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strconv.QuoteToASCII(string(b))
}
