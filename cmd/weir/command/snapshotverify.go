package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) snapshotVerify() *cobra.Command {
	var spine, timeColumn, timeUnit string
	c := &cobra.Command{
		Use:   "verify ID --spine FILE",
		Short: "Make a snapshot again, and compare it value for value",
		Long: `Joins the spine once more with the versions of the tables that the snapshot was made from,
and with the definitions of then, and compares the hash of all values with the recorded one.
The spine is the file that the snapshot was made for; the training set itself will do, unless
it was written as a file for each part.

The exit code is 1 when anything differs; what differs is named.`,
		Args: exactly(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if spine == "" {
				return fmt.Errorf("give --spine: the file that the snapshot was made for, or the training set itself")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := e.verifySnapshot(ctx, c, &weirv1.VerifySnapshotHeader{Id: args[0], TimeColumn: timeColumn, TimeUnit: timeUnit}, spine)
				if err != nil {
					return err
				}
				return e.showVerified(r)
			})
		},
	}
	c.Flags().StringVar(&spine, "spine", "", "the spine, or the training set itself")
	c.Flags().StringVar(&timeColumn, "time-column", "event_timestamp", "the spine's column with the row's time")
	c.Flags().StringVar(&timeUnit, "time-unit", "", "what a time column of integers counts since 1970: s, ms, us or ns")
	return c
}

func (e *env) verifySnapshot(ctx context.Context, c *client, h *weirv1.VerifySnapshotHeader, path string) (*weirv1.VerifySnapshotResponse, error) {
	x := newExchange(ctx)
	defer x.fail(nil)
	spine, err := tabular.Open(x.ctx, path, tabular.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer spine.Close()
	h.SpineRows = spine.Rows()
	stream, err := c.snapshots.Verify(x.ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&weirv1.VerifySnapshotRequest{Part: &weirv1.VerifySnapshotRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	x.up(stream, spine, func(b []byte) error {
		return stream.Send(&weirv1.VerifySnapshotRequest{Part: &weirv1.VerifySnapshotRequest_Spine{Spine: b}})
	})
	bar := e.rows("sending the spine")
	r, err := last(stream, func(m *weirv1.VerifySnapshotResponse) *weirv1.VerifySnapshotResponse {
		if m.Progress != nil {
			return nil
		}
		return m
	}, func(m *weirv1.VerifySnapshotResponse) {
		bar.Describe(m.Progress.Stage)
		at(bar, m.Progress.RowsDone, m.Progress.RowsTotal)
	})
	_ = bar.Finish()
	if err != nil {
		x.fail(err)
	}
	return r, x.wait()
}

func (e *env) showVerified(r *weirv1.VerifySnapshotResponse) error {
	if e.output == "json" {
		if err := printJSON(e.out, map[string]any{"id": r.Recorded.GetId(), "equal": r.Equal, "rows": r.Rows, "content_hash": r.ContentHash,
			"spine_hash": r.SpineHash, "differences": emptyNotNil(r.Differences), "notes": emptyNotNil(r.Notes)}); err != nil {
			return err
		}
	} else if r.Equal {
		fmt.Fprintf(e.out, "snapshot %s: %s made again, each value the same\ncontent %s\n", r.Recorded.GetId(), plural(r.Rows, "row"), r.ContentHash)
	} else {
		fmt.Fprintf(e.out, "snapshot %s cannot be made again as it was:\n", r.Recorded.GetId())
		for _, d := range r.Differences {
			fmt.Fprintln(e.out, "  "+d)
		}
	}
	if e.output != "json" {
		for _, n := range r.Notes {
			fmt.Fprintln(e.out, "note: "+n)
		}
	}
	if !r.Equal {
		return errNo
	}
	return nil
}
