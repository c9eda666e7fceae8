package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) tableRows() *cobra.Command {
	req := &weirv1.TableRowsRequest{}
	var out string
	c := &cobra.Command{
		Use:   "rows --view V [--version VERSION] [--limit N] [--out FILE]",
		Short: "Show the newest rows of a version, or write all of them to a file",
		Long: `Shows the newest rows of a version. With --out, writes rows to a Parquet, CSV, JSON lines
or Arrow file: all of them when --limit is not given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out != "" {
				if _, err := tabular.FormatOf(out); err != nil {
					return fmt.Errorf("--out: %w", err)
				}
			}
			if !cmd.Flags().Changed("limit") && out == "" {
				req.Limit = 10
			}
			if req.Limit < 0 || req.Limit == 0 && out == "" {
				return fmt.Errorf("--limit %d: give how many rows", req.Limit)
			}
			return e.onTable(cmd, req.View, func(ctx context.Context, c *client) error {
				req.Project = c.project
				if out == "" {
					return e.printRows(ctx, c, req)
				}
				end, err := receiveRows(ctx, c, req, func(r io.Reader) error { return writeArrow(r, out) })
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"snapshot": end.Snapshot, "rows": end.Rows, "total": end.Total, "file": out})
				}
				fmt.Fprintf(e.out, "%s of snapshot %d in %s\n", plural(end.Rows, "row"), end.Snapshot, out)
				return nil
			})
		},
	}
	viewFlag(c, &req.View)
	f := c.Flags()
	f.StringVar(&req.Version, "version", "", "SNAPSHOT, TAG or TIME; the newest when not given")
	f.Int64Var(&req.Limit, "limit", 0, "the newest so many rows, newest first (10; all with --out)")
	f.StringVar(&out, "out", "", "file to write: .parquet, .csv, .jsonl or .arrow")
	return c
}

// receiveRows hands the Arrow IPC stream to read; it returns what the server says at the end.
func receiveRows(ctx context.Context, c *client, req *weirv1.TableRowsRequest, read func(io.Reader) error) (*weirv1.TableRowsEnd, error) {
	x := newExchange(ctx)
	defer x.fail(nil)
	stream, err := c.tables.Rows(x.ctx, req)
	if err != nil {
		return nil, err
	}
	end := down(x, rowMessages[*weirv1.TableRowsResponse, weirv1.TableRowsEnd]{
		messages: stream, data: (*weirv1.TableRowsResponse).GetData, result: (*weirv1.TableRowsResponse).GetEnd,
	}, read)
	return end, x.wait()
}

// printRows shows rows as a table, or as JSON objects.
func (e *env) printRows(ctx context.Context, c *client, req *weirv1.TableRowsRequest) error {
	if e.output == "json" {
		// The values are written as in a file; a list of them is what a program can parse.
		f, err := os.CreateTemp("", "weir-rows-*.jsonl")
		if err != nil {
			return err
		}
		name := f.Name()
		defer os.Remove(name)
		if err := f.Close(); err != nil {
			return err
		}
		if _, err := receiveRows(ctx, c, req, func(r io.Reader) error { return writeArrow(r, name) }); err != nil {
			return err
		}
		return e.printLines(name)
	}
	var rows [][]any
	var head []any
	end, err := receiveRows(ctx, c, req, func(r io.Reader) error {
		ar, err := ipc.NewReader(r)
		if err != nil {
			return err
		}
		defer ar.Release()
		for _, f := range ar.Schema().Fields() {
			head = append(head, f.Name)
		}
		for ar.Next() {
			rec := ar.RecordBatch()
			for i := range int(rec.NumRows()) {
				row := make([]any, rec.NumCols())
				for k, col := range rec.Columns() {
					row[k] = "null"
					if !col.IsNull(i) {
						row[k] = short(col.ValueStr(i), 40)
					}
				}
				rows = append(rows, row)
			}
		}
		return ar.Err()
	})
	if err != nil {
		return err
	}
	t := newTable(e.out, head...)
	for _, row := range rows {
		t.AppendRow(row)
	}
	t.Render()
	fmt.Fprintf(e.out, "\n%s of %s of snapshot %d\n", count(end.Rows), count(end.Total), end.Snapshot)
	return nil
}

// printLines prints a file of JSON lines as one list.
func (e *env) printLines(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rows := []json.RawMessage{}
	for line := range bytes.Lines(text) {
		rows = append(rows, json.RawMessage(bytes.TrimSpace(line)))
	}
	return printJSON(e.out, rows)
}
