package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) replayQuarantine() *cobra.Command {
	var f quarantineFilter
	req := &weirv1.ReplayQuarantineRequest{}
	c := &cobra.Command{
		Use: "replay --view V [PARTITION/OFFSET...]", Short: "Take events held back through today's schema and suite again",
		Long: `Takes events that are held back through today's schema and suite again. Those that pass become
rows of the table and of the online store, known from now on; the others stay held back, with
today's reasons. Each event counts once, however often this is called: when it was cut off,
call it again for the rest.

The exit code is 1 when some events were not replayed.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if req.Filter, err = f.of(args); err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project, req.View, req.By = c.project, f.view, caller()
				r, err := e.runReplay(ctx, c, req)
				if err != nil {
					return err
				}
				return e.showReplay(r, req.DryRun)
			})
		},
	}
	f.flags(c)
	c.Flags().Int64Var(&req.Limit, "limit", 0, "at most this many, oldest first")
	c.Flags().BoolVar(&req.DryRun, "dry-run", false, "only tell what would pass")
	return c
}

// caller is who asks, for the record.
func caller() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	host, _ := os.Hostname()
	return u.Username + "@" + host
}

func (e *env) runReplay(ctx context.Context, c *client, req *weirv1.ReplayQuarantineRequest) (*weirv1.ReplayResult, error) {
	stream, err := c.quarantine.Replay(ctx, req)
	if err != nil {
		return nil, err
	}
	bar := e.bar(-1, "replaying")
	defer func() { _ = bar.Finish() }()
	return last(stream, (*weirv1.ReplayQuarantineResponse).GetResult, func(m *weirv1.ReplayQuarantineResponse) {
		if p := m.GetProgress(); p != nil {
			at(bar, p.Scanned, p.Total)
		}
	})
}

func (e *env) showReplay(r *weirv1.ReplayResult, dry bool) error {
	rules := map[string]int64{}
	for _, x := range r.Rules {
		rules[x.Rule] = x.Rows
	}
	if e.output == "json" {
		if err := printJSON(e.out, map[string]any{"replayed": r.Replayed, "held": r.Held, "undecided": r.Undecided, "lost": r.Lost,
			"rules": rules, "known_time": when(r.KnownTime), "revision": r.Revision, "dry_run": dry}); err != nil {
			return err
		}
	} else {
		replayed := "replayed"
		if dry {
			replayed = "would pass"
		}
		t := newTable(e.out, "", "events")
		t.AppendRow([]any{replayed, count(r.Replayed)})
		t.AppendRow([]any{"still held back", count(r.Held)})
		for _, x := range r.Rules {
			t.AppendRow([]any{"  " + x.Rule, count(x.Rows)})
		}
		if r.Lost > 0 {
			t.AppendRow([]any{"payload lost: too large to keep, and not in the source any more", count(r.Lost)})
		}
		if r.Undecided > 0 {
			t.AppendRow([]any{"left alone: ingestion has not passed them yet", count(r.Undecided)})
		}
		t.Render()
		if r.Replayed > 0 && !dry {
			fmt.Fprintf(e.out, "\nknown from %s on, judged by catalog revision %d\n", when(r.KnownTime), r.Revision)
		}
	}
	if r.Held+r.Lost > 0 {
		return errNo
	}
	return nil
}

func (e *env) discardQuarantine() *cobra.Command {
	var f quarantineFilter
	var yes bool
	req := &weirv1.DiscardQuarantineRequest{}
	c := &cobra.Command{
		Use: "discard --view V --reason TEXT [PARTITION/OFFSET...]", Short: "Give events held back up",
		Long: `Gives events that are held back up. Payloads, keys and values are removed for good; coordinates, time,
rules, size and hash of each stay, with the reason, so that an audit still accounts for it.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if req.Filter, err = f.of(args); err != nil {
				return err
			}
			if req.Reason == "" && !req.DryRun {
				return errors.New("give --reason: it is kept with each event")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project, req.View, req.By = c.project, f.view, caller()
				if !yes && !req.DryRun {
					if ok, err := e.agrees(ctx, c, req); err != nil || !ok {
						return err
					}
				}
				r, err := e.runDiscard(ctx, c, req)
				if err != nil {
					return err
				}
				return e.showDiscard(r, req.DryRun)
			})
		},
	}
	f.flags(c)
	c.Flags().Int64Var(&req.Limit, "limit", 0, "at most this many, oldest first")
	c.Flags().StringVar(&req.Reason, "reason", "", "why; kept with each event")
	c.Flags().BoolVar(&req.DryRun, "dry-run", false, "only tell how many there are")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// agrees asks at the terminal whether to go on. Where there is none, --yes is needed.
func (e *env) agrees(ctx context.Context, c *client, req *weirv1.DiscardQuarantineRequest) (bool, error) {
	mute := errors.New("discarding removes payloads for good: give --yes (or --dry-run to see how many)")
	st, err := os.Stdin.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false, mute
	}
	dry := &weirv1.DiscardQuarantineRequest{Project: req.Project, View: req.View, Filter: req.Filter, Limit: req.Limit, DryRun: true}
	r, err := e.runDiscard(ctx, c, dry)
	if err != nil {
		return false, err
	}
	if r.Discarded == 0 {
		fmt.Fprintln(e.err, "no such event is held back")
		return false, nil
	}
	fmt.Fprintf(e.err, "give %s of %s up for good? [y/N] ", plural(r.Discarded, "event"), req.View)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && answer == "" { // nobody is there, as with /dev/null
		fmt.Fprintln(e.err)
		return false, mute
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

func (e *env) runDiscard(ctx context.Context, c *client, req *weirv1.DiscardQuarantineRequest) (*weirv1.DiscardQuarantineResponse, error) {
	stream, err := c.quarantine.Discard(ctx, req)
	if err != nil {
		return nil, err
	}
	var last *weirv1.DiscardQuarantineResponse
	err = each(stream, func(m *weirv1.DiscardQuarantineResponse) error { last = m; return nil })
	if err == nil && last == nil {
		err = errors.New("the server ended without a result")
	}
	return last, err
}

func (e *env) showDiscard(r *weirv1.DiscardQuarantineResponse, dry bool) error {
	if e.output == "json" {
		return printJSON(e.out, map[string]any{"discarded": r.Discarded, "undecided": r.Undecided, "dry_run": dry})
	}
	what := "discarded"
	if dry {
		what = "would be discarded"
	}
	fmt.Fprintf(e.out, "%s %s\n", plural(r.Discarded, "event"), what)
	if r.Undecided > 0 {
		fmt.Fprintf(e.out, "%s left alone: ingestion has not passed them yet\n", plural(r.Undecided, "event"))
	}
	return nil
}
