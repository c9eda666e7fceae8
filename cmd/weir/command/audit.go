package command

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func (e *env) audit() *cobra.Command {
	req := &weirv1.AuditRequest{}
	var days bool
	c := &cobra.Command{
		Use:   "audit [--view V]",
		Short: "Prove that no event was lost or taken twice",
		Long: `Reads the log of every view again and holds it against the table, the quarantine and
the online store: every event below the table's position must be in the table once or in
quarantine, never both, with the values that the event has; and the online store must
have the newest row of every key. Ingestion may go on meanwhile.

The exit code is 1 when anything differs; the differences are named.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				reports, err := e.runAudit(ctx, c, req)
				if err == nil {
					return e.showAudit(reports, days)
				}
				if e.output != "json" { // which says it all or nothing
					for _, r := range reports {
						e.showReport(r, days)
					}
				}
				return err
			})
		},
	}
	f := c.Flags()
	f.StringVar(&req.View, "view", "", "only this view; all of the project when not given")
	f.BoolVar(&req.SkipLog, "skip-log", false, "do not read the log again: look for doubles and at the online store only")
	f.BoolVar(&req.SkipOnline, "skip-online", false, "leave the online store out")
	f.Int32Var(&req.Most, "limit", 100, "list this many differences of each view")
	f.Int32Var(&req.Most, "most", 100, "the same as --limit")
	_ = f.MarkHidden("most") // its name before
	f.BoolVar(&req.NoImports, "no-imports", false, "no import is under way: online rows that an abandoned one left count as differences")
	f.BoolVar(&days, "days", false, "show every day in the table, however many there are")
	return c
}

// runAudit collects the reports, one a view; with an error, those of the views
// that could be audited.
func (e *env) runAudit(ctx context.Context, c *client, req *weirv1.AuditRequest) ([]*weirv1.AuditReport, error) {
	stream, err := c.upkeep.Audit(ctx, req)
	if err != nil {
		return nil, err
	}
	bar := e.bar(-1, "auditing")
	defer func() { _ = bar.Finish() }()
	var reports []*weirv1.AuditReport
	err = each(stream, func(m *weirv1.AuditResponse) error {
		if p := m.GetProgress(); p != nil {
			bar.Describe(p.View + ": " + p.Step)
			at(bar, p.Done, p.Total)
		}
		if r := m.GetReport(); r != nil {
			reports = append(reports, r)
		}
		return nil
	})
	return reports, err
}

// mostLines is how many lines of a view are shown before days are added up.
const mostLines = 40

func (e *env) showAudit(reports []*weirv1.AuditReport, days bool) error {
	var found int64
	for _, r := range reports {
		found += r.Found
	}
	if e.output == "json" {
		if err := printJSON(e.out, auditJSON(reports, found)); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			e.showReport(r, days)
		}
		switch {
		case len(reports) == 0:
			fmt.Fprintln(e.out, "there are no views to audit")
		case found == 0:
			fmt.Fprintln(e.out, "nothing differs")
		default:
			fmt.Fprintf(e.out, "%s found\n", plural(found, "difference"))
		}
	}
	if found > 0 {
		return errNo
	}
	return nil
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

func (e *env) showReport(r *weirv1.AuditReport, days bool) {
	fmt.Fprintf(e.out, "%s/%s\n\n", r.Project, r.View)
	lines, byDay := r.Lines, true
	if len(lines) > mostLines && !days {
		lines, byDay = overDays(lines), false
	}
	head := []any{"topic", "partition", "day", "log", "table", "held back", "values"}
	if !byDay {
		head[2] = "days"
	}
	t := newTable(e.out, head...)
	var log, table, held int64
	for _, l := range lines {
		day := any(date(l.Day))
		if !byDay {
			day = l.Day // their number
		}
		logged := any(count(l.Log))
		if l.Log == 0 && !l.Compared {
			logged = "-"
		}
		t.AppendRow([]any{l.Topic, partition(l.Partition), day, logged, count(l.Table), count(l.Quarantine), values(l)})
		log, table, held = log+l.Log, table+l.Table, held+l.Quarantine
	}
	t.AppendFooter([]any{"", "", "", count(log), count(table), count(held), ""})
	t.Render()
	if o := r.Online; o != nil {
		fmt.Fprintf(e.out, "\nonline: %s keys: %s as in the table, %s expired, %s ahead of the table\n", count(o.Keys), count(o.Equal), count(o.Expired), count(o.Ahead))
	}
	for _, n := range r.Notes {
		fmt.Fprintln(e.out, "note: "+n)
	}
	if len(r.Differences) > 0 {
		fmt.Fprintln(e.out)
		t = newTable(e.out, "differs", "where", "events", "what")
		for _, d := range r.Differences {
			t.AppendRow([]any{d.Kind, where(d), count(max(1, d.Count)), d.Detail})
		}
		t.Render()
		var listed int64
		for _, d := range r.Differences {
			listed += max(1, d.Count)
		}
		if listed < r.Found {
			fmt.Fprintf(e.out, "and %s more (--most)\n", count(r.Found-listed))
		}
	}
	fmt.Fprintln(e.out)
}

// overDays adds up the days of each partition; Day becomes their number.
func overDays(lines []*weirv1.AuditLine) []*weirv1.AuditLine {
	var out []*weirv1.AuditLine
	for _, l := range lines {
		n := len(out)
		if n == 0 || out[n-1].Partition != l.Partition || string(out[n-1].TopicId) != string(l.TopicId) {
			out = append(out, &weirv1.AuditLine{Topic: l.Topic, TopicId: l.TopicId, Partition: l.Partition, Compared: true})
			n++
		}
		s := out[n-1]
		s.Day++
		s.Log, s.Table, s.Quarantine, s.Replayed = s.Log+l.Log, s.Table+l.Table, s.Quarantine+l.Quarantine, s.Replayed+l.Replayed
		s.LogHash, s.TableHash, s.QuarantineHash = s.LogHash+l.LogHash, s.TableHash+l.TableHash, s.QuarantineHash+l.QuarantineHash
		s.Compared = s.Compared && l.Compared
	}
	return out
}

func values(l *weirv1.AuditLine) string {
	switch {
	case !l.Compared:
		return "not compared"
	case l.LogHash == l.TableHash:
		return "equal"
	default:
		return "differ"
	}
}

func partition(p int32) string {
	if p == feature.ImportPartition {
		return "import"
	}
	return fmt.Sprint(p)
}

func date(day int32) string {
	return feature.Time(int64(day) * 24 * 60 * 60 * 1_000_000).Format("2006-01-02")
}

// where names the place of a difference.
func where(d *weirv1.AuditDifference) string {
	switch {
	case d.Key != "":
		return d.Key
	case d.Path != "":
		return d.Path
	}
	s := fmt.Sprintf("%s/%s", d.Topic, partition(d.Partition))
	switch {
	case d.First < d.Last:
		s += fmt.Sprintf(" offsets %d to %d", d.First, d.Last)
	default:
		s += fmt.Sprintf(" offset %d", d.First)
	}
	if d.Day != 0 {
		s += ", " + date(d.Day)
	}
	return s
}

func auditJSON(reports []*weirv1.AuditReport, found int64) any {
	views := []any{}
	for _, r := range reports {
		lines, diffs := []any{}, []any{}
		for _, l := range r.Lines {
			lines = append(lines, map[string]any{"topic": l.Topic, "topic_id": hex.EncodeToString(l.TopicId), "partition": l.Partition, "day": date(l.Day),
				"log": l.Log, "table": l.Table, "quarantine": l.Quarantine, "replayed": l.Replayed, "compared": l.Compared,
				"log_hash": hash(l.LogHash), "table_hash": hash(l.TableHash), "quarantine_hash": hash(l.QuarantineHash)})
		}
		for _, d := range r.Differences {
			m := map[string]any{"kind": d.Kind, "count": max(1, d.Count), "detail": d.Detail}
			switch {
			case d.Key != "":
				m["key"] = d.Key
			case d.Path != "":
				m["path"] = d.Path
			}
			if d.Topic != "" || len(d.TopicId) > 0 {
				m["topic"], m["topic_id"], m["partition"], m["first"], m["last"] = d.Topic, hex.EncodeToString(d.TopicId), d.Partition, d.First, d.Last
			}
			if d.Day != 0 {
				m["day"] = date(d.Day)
			}
			diffs = append(diffs, m)
		}
		v := map[string]any{"project": r.Project, "view": r.View, "snapshot": r.Snapshot, "found": r.Found, "lines": lines, "differences": diffs, "notes": append([]string{}, r.Notes...)}
		if o := r.Online; o != nil {
			v["online"] = map[string]any{"keys": o.Keys, "equal": o.Equal, "expired": o.Expired, "ahead": o.Ahead, "table_hash": hash(o.TableHash), "store_hash": hash(o.StoreHash)}
		}
		views = append(views, v)
	}
	return map[string]any{"clean": found == 0, "found": found, "views": views}
}

func hash(h uint64) string { return fmt.Sprintf("%016x", h) }
