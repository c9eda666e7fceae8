package command

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) tableRollback() *cobra.Command {
	req := &weirv1.RollbackTableRequest{}
	var yes, rebuild bool
	c := &cobra.Command{
		Use:   "rollback --view V VERSION [--dry-run] [--yes] [--force] [--materialize]",
		Short: "Make an older version the newest again, and read what came after it again",
		Long: `Makes an older version the newest state of the table. Rows and positions go back together:
the events after it are read from the log again, and judged by the schema and the suite
that are in force now. So a mistake in either is mended: correct it, weir apply, roll back.

What the log no longer has, imported files and rows replayed from quarantine do not come
again by themselves; where such rows would leave, nothing is done without --force.

The online store keeps its rows until they are written again: rows of events that the suite
now holds back, or whose values are others now, stay as they were until weir materialize.
--materialize waits until the table has come as far as it was, and then does that. Drift
windows count each event once, as it was the first time.

What leaves can be read, and come back to, until it expires: weir table log shows it as rolled off.`,
		Args: exactly(1, "VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.onTable(cmd, req.View, func(ctx context.Context, c *client) error {
				req.Project, req.Version = c.project, args[0]
				return e.rollback(ctx, c, req, yes, rebuild)
			})
		},
	}
	viewFlag(c, &req.View)
	f := c.Flags()
	f.BoolVar(&req.DryRun, "dry-run", false, "say what would happen, change nothing")
	f.BoolVar(&req.Force, "force", false, "also when not all that leaves can be read again")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&rebuild, "materialize", false, "once all is read again, write the online rows again")
	return c
}

func (e *env) rollback(ctx context.Context, c *client, req *weirv1.RollbackTableRequest, yes, rebuild bool) error {
	dry := req.DryRun
	req.DryRun = true
	plan, err := c.tables.Rollback(ctx, req)
	if err != nil {
		return err
	}
	if dry {
		if e.output == "json" {
			return printJSON(e.out, rollbackJSON(plan))
		}
		e.showRollback(req.View, plan)
		return nil
	}
	if e.output != "json" {
		e.showRollback(req.View, plan)
	}
	if !yes {
		if !e.confirm(fmt.Sprintf("Roll %s back to snapshot %d?", req.View, plan.ToSnapshot)) {
			return fmt.Errorf("nothing was done: answer yes, or give --yes")
		}
	}
	req.DryRun = false
	if req.Force && !yes && plan.FromSnapshot != plan.ToSnapshot {
		// What is lost for good is what the person was shown. All else comes again, and
		// a table in use has moved on before anyone can answer.
		req.FromSnapshot = plan.FromSnapshot
	}
	req.Version = versionText(plan, req.Version)
	done, err := c.tables.Rollback(ctx, req)
	if err != nil {
		return err
	}
	var rebuilt *weirv1.MaterializeResult
	if rebuild && done.Online {
		if err := e.awaitAgain(ctx, c, req.View, done); err != nil {
			return err
		}
		if rebuilt, err = e.runMaterialize(ctx, c, &weirv1.MaterializeRequest{Project: c.project, View: req.View, Restart: true}); err != nil {
			return err
		}
	}
	if e.output == "json" {
		out := rollbackJSON(done)
		if rebuilt != nil {
			out["materialized"] = map[string]any{"rows": rebuilt.Rows, "stored": rebuilt.Stored, "removed": rebuilt.Removed, "mended": rebuilt.Mended}
		}
		return printJSON(e.out, out)
	}
	fmt.Fprintf(e.out, "\n%s stands at snapshot %d again\n", req.View, done.ToSnapshot)
	switch {
	case rebuilt != nil:
		fmt.Fprintf(e.out, "online: %s written, %s mended, %s removed\n", count(rebuilt.Stored), count(rebuilt.Mended), count(rebuilt.Removed))
	case done.Online:
		fmt.Fprintf(e.out, "the online store still has rows of what left; once the table has caught up (weir status): weir materialize --view %s\n", req.View)
	}
	return nil
}

// versionText keeps to what the plan has found: a time may mean another snapshot later on.
func versionText(plan *weirv1.RollbackTableResponse, text string) string {
	if plan.ToSnapshot == 0 {
		return text
	}
	return fmt.Sprint(plan.ToSnapshot)
}

func (e *env) showRollback(view string, p *weirv1.RollbackTableResponse) {
	fmt.Fprintf(e.out, "%s goes from snapshot %d (%s) back to snapshot %d (%s)\n", view, p.FromSnapshot, plural(p.FromRows, "row"), p.ToSnapshot, plural(p.ToRows, "row"))
	if len(p.Parts) == 0 {
		fmt.Fprintln(e.out, "no position moves: no event is read again")
		return
	}
	fmt.Fprintln(e.out)
	t := newTable(e.out, "topic", "partition", "from", "back to", "comes again")
	for _, x := range p.Parts {
		again := "yes"
		switch {
		case x.To >= x.From:
			again = "goes forward"
		case !x.Again:
			again = "NO: " + x.Why
		}
		t.AppendRow([]any{x.Topic, partition(x.Partition), x.From, x.To, again})
	}
	t.Render()
	fmt.Fprintf(e.out, "\nwhat is read again is judged by the catalog's revision %d, the newest\n", p.Revision)
}

func rollbackJSON(p *weirv1.RollbackTableResponse) map[string]any {
	parts := []any{}
	for _, x := range p.Parts {
		parts = append(parts, map[string]any{"topic": x.Topic, "topic_id": hex.EncodeToString(x.TopicId), "partition": x.Partition, "from": x.From, "to": x.To, "again": x.Again, "why": x.Why})
	}
	return map[string]any{"done": p.Done, "from_snapshot": p.FromSnapshot, "to_snapshot": p.ToSnapshot, "from_rows": p.FromRows, "to_rows": p.ToRows,
		"revision": p.Revision, "online": p.Online, "parts": parts}
}

// confirm asks a question to be answered with y or yes.
func (e *env) confirm(question string) bool {
	fmt.Fprintf(e.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(e.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false
	}
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes"
}

// awaitAgain waits until what can come again has come.
func (e *env) awaitAgain(ctx context.Context, c *client, view string, done *weirv1.RollbackTableResponse) error {
	var all int64
	for _, p := range done.Parts {
		if p.Again && p.Partition >= 0 {
			all += max(0, p.From-p.To)
		}
	}
	bar := e.bar(all, "reading again")
	defer func() { _ = bar.Finish() }()
	for {
		st, err := c.ingest.Status(ctx, &weirv1.IngestStatusRequest{Project: c.project, View: view})
		if err != nil {
			return err
		}
		at := map[string]int64{}
		for _, v := range st.Views {
			for _, p := range v.Partitions {
				at[fmt.Sprintf("%s/%d", p.Topic, p.Partition)] = p.Position
			}
		}
		left := int64(0)
		for _, p := range done.Parts {
			if p.Again && p.Partition >= 0 {
				left += max(0, p.From-max(p.To, at[fmt.Sprintf("%s/%d", p.Topic, p.Partition)]))
			}
		}
		if left == 0 {
			return nil
		}
		_ = bar.Set64(all - left)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
