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

// exportArgs is what an export is asked for.
type exportArgs struct {
	service, out, at, entities, timeColumn string
	versions                               []string
}

func (e *env) export() *cobra.Command {
	var a exportArgs
	c := &cobra.Command{
		Use:   "export --service S --out FILE",
		Short: "The newest values of every entity, for batch scoring",
		Long: `Writes one row for each entity with what a lookup of the service would answer for it: the
join keys, the moment, and the service's features. What was deleted is not there; what has
expired, is null or was never there is null.

--at asks for a moment of the past: what was known by then. Entities are those of the tables;
a service none of whose views has all join keys needs --entities, a file (CSV, JSON lines, Parquet or
Arrow) with the keys, and any columns to be carried along.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.service == "" || a.out == "" {
				return fmt.Errorf("give --service and --out")
			}
			h := &weirv1.ExportHeader{Service: a.service, Versions: a.versions, TimeColumn: a.timeColumn, Entities: a.entities != ""}
			var err error
			if h.At, err = moment("--at", a.at); err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				h.Project = c.project
				s, err := e.exportRows(ctx, c, h, a.entities, a.out)
				if err != nil {
					return err
				}
				return e.showExport(s, a.out)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&a.service, "service", "", "feature service")
	f.StringVar(&a.out, "out", "", "file to write: .parquet, .csv, .jsonl or .arrow")
	f.StringVar(&a.at, "at", "", "the moment asked about (a time like 2026-01-31T12:00:00Z, a date, or how long ago, like 2h); now when absent")
	f.StringVar(&a.entities, "entities", "", "file with the entities to export; all that the tables know when absent")
	f.StringVar(&a.timeColumn, "time-column", "event_timestamp", "column that gets the moment")
	f.StringArrayVar(&a.versions, "version", nil, "read this version of the tables (SNAPSHOT, TAG or TIME), or VIEW=VERSION for one; may be repeated")
	return c
}

// exportRows sends the entities, if any, and writes the rows.
func (e *env) exportRows(ctx context.Context, c *client, h *weirv1.ExportHeader, entities, out string) (*weirv1.ExportSummary, error) {
	files, err := newTrainingFiles(out, nil)
	if err != nil {
		return nil, err
	}
	defer files.abort()
	x := newExchange(ctx)
	defer x.fail(nil)
	var rows *tabular.Reader
	if entities != "" {
		if rows, err = tabular.Open(x.ctx, entities, tabular.ReadOptions{}); err != nil {
			return nil, err
		}
		defer rows.Close()
	}
	stream, err := c.exports.Export(x.ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&weirv1.ExportRequest{Part: &weirv1.ExportRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if rows == nil {
		x.beside(stream.CloseSend)
	} else {
		x.up(stream, rows, func(b []byte) error {
			return stream.Send(&weirv1.ExportRequest{Part: &weirv1.ExportRequest_Entities{Entities: b}})
		})
	}
	bar := e.rows("exporting")
	s := down(x, rowMessages[*weirv1.ExportResponse, weirv1.ExportSummary]{
		messages: stream, data: (*weirv1.ExportResponse).GetData, result: (*weirv1.ExportResponse).GetSummary,
		told: func(m *weirv1.ExportResponse) {
			if p := m.GetProgress(); p != nil {
				at(bar, p.RowsDone, p.RowsTotal)
			}
		},
	}, files.take)
	_ = bar.Finish()
	if err := x.wait(); err != nil {
		return nil, err
	}
	return s, files.commit()
}

func (e *env) showExport(s *weirv1.ExportSummary, out string) error {
	if e.output == "json" {
		cols := []any{}
		for _, c := range s.Columns {
			cols = append(cols, map[string]any{"name": c.Name, "view": c.View, "nulls": c.Nulls})
		}
		return printJSON(e.out, map[string]any{"service": s.Service, "service_version": s.ServiceVersion, "at": when(s.At), "rows": s.Rows, "columns": cols, "file": out})
	}
	fmt.Fprintf(e.out, "%s of service %s version %d as of %s in %s\n\n", plural(s.Rows, "row"), s.Service, s.ServiceVersion, when(s.At), out)
	t := newTable(e.out, "column", "view", "nulls")
	for _, c := range s.Columns {
		t.AppendRow([]any{c.Name, c.View, count(c.Nulls)})
	}
	t.Render()
	return nil
}
