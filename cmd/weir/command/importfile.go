package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) importFiles() *cobra.Command {
	var view, format string
	var nulls []string
	c := &cobra.Command{
		Use:   "import --view V FILE...",
		Short: "Bring files in, through the same checks as the stream",
		Long: `Brings CSV, JSON lines or Parquet files into a view. Every row takes the way of an
event: the same schema, the same suite, the same quarantine. A file is known by its
content: importing it again changes nothing, and an interrupted import goes on where
it stopped. The windows of drift monitors that a file touches are closed at its end.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if view == "" {
				return fmt.Errorf("give --view")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				var all []importOutcome
				for _, f := range args {
					r, err := e.importOne(ctx, c, view, f, format, nulls)
					if err != nil {
						return fmt.Errorf("%s: %w", f, c.explain(err))
					}
					all = append(all, r)
				}
				return e.showImports(all)
			})
		},
	}
	c.Flags().StringVar(&view, "view", "", "feature view that takes the rows")
	c.Flags().StringVar(&format, "format", "", "csv, jsonl or parquet; by the file's name when not given")
	c.Flags().StringSliceVar(&nulls, "null", nil, "texts that mean null in CSV, beside the source's null_values")
	return c
}

type importOutcome struct {
	File            string           `json:"file"`
	Rows            int64            `json:"rows"`
	Quarantined     int64            `json:"quarantined"`
	AlreadyImported bool             `json:"already_imported"`
	ID              string           `json:"id"`
	Rules           map[string]int64 `json:"rules,omitempty"`
}

// importOne sends a file and waits for the result.
func (e *env) importOne(ctx context.Context, c *client, view, path, format string, nulls []string) (importOutcome, error) {
	var out importOutcome
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return out, err
	}
	stream, err := c.ingest.Import(ctx)
	if err != nil {
		return out, err
	}
	h := &weirv1.ImportHeader{Project: c.project, View: view, Format: format, FileName: filepath.Base(path), Size: st.Size(), Options: map[string]string{}}
	if len(nulls) > 0 {
		h.Options["null_values"] = strings.Join(nulls, ",")
	}
	if err := stream.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return out, err
	}
	buf := make([]byte, 256<<10)
	for {
		n, rerr := f.Read(buf)
		if n > 0 {
			if err := stream.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Data{Data: buf[:n]}}); err != nil {
				break // the server's reason comes from Recv
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return out, rerr
		}
	}
	if err := stream.CloseSend(); err != nil {
		return out, err
	}
	bar := e.bar(st.Size(), "importing "+filepath.Base(path))
	defer func() { _ = bar.Finish() }()
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return out, fmt.Errorf("the server ended without a result")
		}
		if err != nil {
			return out, err
		}
		if p := m.GetProgress(); p != nil {
			_ = bar.Set64(min(p.Bytes, st.Size()))
		}
		if r := m.GetResult(); r != nil {
			out = importOutcome{path, r.Rows, r.Quarantined, r.AlreadyImported, r.FileHash, map[string]int64{}}
			for _, rule := range r.Rules {
				out.Rules[rule.Rule] = rule.Rows
			}
			return out, nil
		}
	}
}

// bar is a progress bar on standard error; silent where that is not a terminal.
func (e *env) bar(total int64, what string) *progressbar.ProgressBar {
	w := e.err
	visible := false
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			visible = true
		}
	}
	return progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionSetVisibility(visible), progressbar.OptionShowCount(), progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
}

func (e *env) showImports(all []importOutcome) error {
	if e.output == "json" {
		return printJSON(e.out, all)
	}
	t := newTable(e.out, "file", "rows", "held back", "")
	for _, r := range all {
		note := ""
		if r.AlreadyImported {
			note = "imported before; nothing changed"
		}
		t.AppendRow([]any{r.File, count(r.Rows), count(r.Quarantined), note})
	}
	t.Render()
	return nil
}
