package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// Tell prints the story of a report: what came, what was held back and why, what
// a server gets, what a training job gets, what drifted, and what was sent.
// newTable gives tables their look; program is how the reader started this one, server how commands reach
// this Weir ("" when it is the default).
func (r *Report) Tell(w io.Writer, newTable func(io.Writer, ...any) table.Writer, program, server string) {
	head := func(s string) { fmt.Fprintf(w, "\n%s\n\n", s) }

	head(fmt.Sprintf("1. %s events came; %s are in the table for training and in Redis for inference, %s were held back.",
		thousands(r.Published), thousands(r.OfflineRows), thousands(r.Quarantined)))
	t := newTable(w, "rule", "events")
	for _, x := range r.held.GetRules() {
		t.AppendRow([]any{x.Rule, thousands(x.Rows)})
	}
	t.Render()
	if n := len(r.held.GetEntries()); n > 0 {
		q := r.held.Entries[n/2]
		fmt.Fprintf(w, "\nFor example partition %d, offset %d:\n  %s\n", q.Partition, q.Offset, q.Payload)
		for _, x := range q.Reasons {
			fmt.Fprintf(w, "  -> %s %s: got %s, wants %s\n", x.Rule, x.Path, orNothing(x.Value), x.Expected)
		}
	}

	head(fmt.Sprintf("2. What an inference server gets for customer %s (service %s):", r.customer, service))
	t = newTable(w, "feature", "value", "status", "event time")
	for _, c := range r.lookup.GetColumns() {
		v := r.lookup.Views[c.View]
		t.AppendRow([]any{c.Name, show(c), strings.TrimPrefix(v.Statuses[0].String(), "STATUS_"), clock(v.EventTimes[0])})
	}
	t.Render()

	head(fmt.Sprintf("3. What a training job gets: %s rows with the values known at each row's time (snapshot %s):", thousands(r.SnapshotRows), r.SnapshotID))
	for i, rec := range r.training {
		row := make([]any, len(rec))
		for j, v := range rec {
			row[j] = v
		}
		if i == 0 {
			t = newTable(w, row...)
			continue
		}
		t.AppendRow(row)
	}
	t.Render()

	if r.summary == nil {
		return
	}
	head(fmt.Sprintf("4. The stream drifted. Monitor %s compares every hour with the first %d:", monitor, Reference))
	t = newTable(w, "hour", "rows", "feature", "p", "effect", "")
	for i := len(r.windows) - 1; i >= 0; i-- { // oldest first
		win := r.windows[i]
		for _, f := range win.Features {
			if f.Feature != "monthly_charges" && !f.Drifted {
				continue
			}
			p, effect := "", ""
			if x := telling(f); x != nil {
				p, effect = fmt.Sprintf("%s %.2g", x.Test, x.GetPValue()), fmt.Sprintf("%s %.3f", x.Effect, x.Statistic)
			}
			mark := ""
			switch {
			case f.Drifted:
				mark = "DRIFT"
			case f.Skipped != "":
				mark = f.Skipped
			}
			t.AppendRow([]any{time.UnixMicro(win.Start).UTC().Format("15:04"), thousands(win.Rows), f.Feature, p, effect, mark})
		}
	}
	t.Render()

	for _, e := range r.events {
		head(fmt.Sprintf("5. An event asks for retraining (%s, topic weir.%s.events, %s):", e.Type, project, e.State))
		fmt.Fprintf(w, "  id %s\n  %s\n", e.Id, cut(string(e.Data), 400))
	}

	head("6. What that starts:")
	r.tellSends(w)

	head("7. Look further, in another terminal:")
	s := ""
	if server != "" {
		s = " --server " + server
	}
	for _, cmd := range []string{
		"status", "get all", "describe view " + view,
		"quarantine list --view " + view,
		"lookup --service " + service + " --entity customer_id=" + r.customer,
		"snapshot list", "monitor show " + monitor, "events list",
	} {
		fmt.Fprintln(w, "  "+program+" "+cmd+s)
	}
}

// telling is the test that made a feature drift, of one that did not its distribution's.
func telling(f *weirv1.FeatureResult) *weirv1.TestResult {
	for _, x := range f.Tests {
		if x.Exceeded == f.Drifted && (f.Drifted || x.Check == "distribution") {
			return x
		}
	}
	return nil
}

func show(c *weirv1.FeatureColumn) any {
	if len(c.Validity) > 0 && c.Validity[0]&1 == 0 {
		return "null"
	}
	switch v := c.Values.Kind.(type) {
	case *weirv1.Values_Int64S:
		return v.Int64S.Values[0]
	case *weirv1.Values_Doubles:
		return v.Doubles.Values[0]
	case *weirv1.Values_Strings:
		return v.Strings.Values[0]
	}
	return c.Values
}

func clock(micros int64) string {
	if micros == 0 {
		return "-"
	}
	return time.UnixMicro(micros).UTC().Format(time.RFC3339)
}

func thousands[N int | int64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
