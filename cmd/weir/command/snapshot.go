package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) snapshot() *cobra.Command {
	c := &cobra.Command{Use: "snapshot", Short: "Training sets: point-in-time joins that can be made again"}
	c.AddCommand(e.snapshotCreate(), e.snapshotList(), e.snapshotShow(), e.snapshotVerify(), e.snapshotDelete())
	return c
}

// snapshotArgs is what makes a snapshot.
type snapshotArgs struct {
	service, spine, out, clock, timeColumn, timeUnit string
	versions                                         []string
	split                                            splitArgs
}

func (e *env) snapshotCreate() *cobra.Command {
	var a snapshotArgs
	c := &cobra.Command{
		Use:   "create --service S --spine FILE --out FILE",
		Short: "Join a spine with the features known at each row's time",
		Long: `Reads the spine (CSV, JSON lines, Parquet or Arrow, also .gz and .zst: the join keys, a
time, any other columns), and writes one row for each of its rows, in its order, with the
values of the service's features that were known at the row's time.

--time event asks for what had happened by the row's time instead, for history that was
loaded later. --version reads the tables as they were.

--split puts each row into a part by the hash of its entity: an entity is in the same part in
every set, however the spine grows and whatever its order. --split-at does it by the row's
time. The part's name is in the last column, split; --out 'set-{split}.parquet' writes a file
for each part instead (and set-none for rows without a time, where there are any).

The files have their names once the snapshot is recorded. Until then, and when it is
broken off, what was there before is as it was.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.service == "" || a.spine == "" || a.out == "" {
				return fmt.Errorf("give --service, --spine and --out")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				s, err := e.createSnapshot(ctx, c, a)
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, snapshotJSON(s))
				}
				fmt.Fprintf(e.out, "snapshot %s: %s in %s\n\n", s.Id, plural(s.Rows, "row"), a.out)
				e.showSnapshot(s, nil)
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&a.service, "service", "", "feature service")
	f.StringVar(&a.spine, "spine", "", "file with the rows to train on")
	f.StringVar(&a.out, "out", "", "file to write: .parquet, .csv, .jsonl or .arrow; with {split} in its name, one for each part")
	f.StringVar(&a.clock, "time", "known", "which time counts: known or event")
	f.StringArrayVar(&a.versions, "version", nil, "read this version of the tables (SNAPSHOT, TAG or TIME), or VIEW=VERSION for one; may be repeated")
	f.StringVar(&a.timeColumn, "time-column", "event_timestamp", "the spine's column with the row's time")
	f.StringVar(&a.timeUnit, "time-unit", "", "what a time column of integers counts since 1970: s, ms, us or ns")
	a.split.flags(c)
	return c
}

// createSnapshot sends the spine, writes the training set and returns the snapshot.
// After an error there is no file, and no snapshot.
func (e *env) createSnapshot(ctx context.Context, c *client, a snapshotArgs) (*weirv1.Snapshot, error) {
	clock := weirv1.Clock_CLOCK_KNOWN
	switch a.clock {
	case "known", "":
	case "event":
		clock = weirv1.Clock_CLOCK_EVENT
	default:
		return nil, fmt.Errorf("--time %s: use known or event", a.clock)
	}
	split, err := a.split.of()
	if err != nil {
		return nil, err
	}
	files, err := newTrainingFiles(a.out, partNames(split))
	if err != nil {
		return nil, err
	}
	defer files.abort()
	x := newExchange(ctx)
	defer x.fail(nil)
	spine, err := tabular.Open(x.ctx, a.spine, tabular.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer spine.Close()
	stream, err := c.snapshots.Create(x.ctx)
	if err != nil {
		return nil, err
	}
	h := &weirv1.SnapshotHeader{Project: c.project, Service: a.service, Clock: clock, TimeColumn: a.timeColumn, TimeUnit: a.timeUnit,
		Versions: a.versions, Split: split, SpineRows: spine.Rows()}
	if err := stream.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	x.up(stream, spine, func(b []byte) error {
		return stream.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Spine{Spine: b}})
	})
	bar := e.rows("sending the spine")
	s := down(x, rowMessages[*weirv1.CreateSnapshotResponse, weirv1.Snapshot]{
		messages: stream, data: (*weirv1.CreateSnapshotResponse).GetData, result: (*weirv1.CreateSnapshotResponse).GetSnapshot,
		told: func(m *weirv1.CreateSnapshotResponse) {
			if p := m.GetProgress(); p != nil {
				bar.Describe(p.Stage)
				at(bar, p.RowsDone, p.RowsTotal)
			}
		},
	}, files.take)
	_ = bar.Finish()
	if err = x.wait(); err == nil {
		err = files.commit()
	}
	if err != nil && s != nil { // it is recorded, and will have no file
		err = c.giveUp(s, err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// giveUp deletes a snapshot whose files could not be written.
func (c *client) giveUp(s *weirv1.Snapshot, why error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := c.snapshots.Delete(ctx, &weirv1.DeleteSnapshotRequest{Id: s.Id}); err != nil {
		return fmt.Errorf("%w; snapshot %s is recorded without a file (remove it: weir snapshot delete %s)", why, s.Id, s.Id)
	}
	return why
}

// rows is a bar that counts rows, with the time that is left.
func (e *env) rows(what string) *progressbar.ProgressBar {
	return e.bar(-1, what, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"))
}
