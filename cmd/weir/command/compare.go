package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/cmd/weir/check"
	"github.com/weir-ml/weir/drift/compare"
	"github.com/weir-ml/weir/internal/tabular"
)

// compareFlags are what people say to `weir compare`.
type compareFlags struct {
	file                    fileFlags
	reference, current      string
	columns                 []string
	method, html            string
	alpha, threshold, share float64
	memory                  int64
}

func (e *env) compare() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare --reference FILE --current FILE",
		Short: "Tell which columns of a file have drifted from another's; no server is needed",
		Long: `Compares the columns of two CSV, JSON lines, Parquet or Arrow files by every usual test of
drift: Kolmogorov-Smirnov, Wasserstein, PSI, Jensen-Shannon, Hellinger, Kullback-Leibler,
chi-square and G, missing values, new categories, outliers. All rows are used, no sample.

By default a column has drifted when its difference is both significant, adjusted for all
tests together (--alpha), and large (--threshold). With nothing drifted, the chance of any
alarm is at most --alpha, however many columns and rows there are.

--method evidently decides as Evidently 0.7.23's DataDriftPreset does, with the same
numbers: by fixed thresholds, and for the files when half of the columns have drifted.

The exit code is 0 when nothing has drifted, 1 on drift, 2 when something cannot be read or
the command is wrong.`,
		Example: `  weir compare --reference january.parquet --current july.parquet
  weir compare --reference train.csv --current today.csv --columns amount,country --html drift.html
  weir compare --reference train.parquet --current today.parquet --method evidently -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.runCompare(cmd.Context(), cmd, &f) },
	}
	c.Flags().StringVar(&f.reference, "reference", "", "file with the rows as they should be, such as what a model was trained on")
	c.Flags().StringVar(&f.current, "current", "", "file with the rows to judge")
	c.Flags().StringSliceVar(&f.columns, "columns", nil, "only these columns, with commas between; all of both files when not given")
	c.Flags().StringVar(&f.method, "method", string(compare.Weir), "weir or evidently")
	c.Flags().Float64Var(&f.alpha, "alpha", compare.DefaultAlpha, "with --method weir: the share of false discoveries")
	c.Flags().Float64Var(&f.threshold, "threshold", 0, "from where an effect is large (0.1), or with --method evidently a score counts; the method's own when not given")
	c.Flags().Float64Var(&f.share, "share", 0, "share of the columns that must drift for exit code 1; any column (weir) or half (evidently) when not given")
	c.Flags().StringVar(&f.html, "html", "", "write one page with a plot of each column to this file")
	c.Flags().Int64Var(&f.memory, "memory", compare.DefaultMemory>>20, "MiB that columns may take; what does not fit is read in another pass")
	f.file.add(c)
	return c
}

func (f *compareFlags) options(cmd *cobra.Command) (o compare.Options, err error) {
	switch {
	case f.reference == "" || f.current == "":
		return o, fmt.Errorf("give --reference and --current (run: weir compare --help)")
	case f.memory < 1 || f.memory > 1<<20:
		return o, fmt.Errorf("--memory %d: between 1 and %d MiB", f.memory, 1<<20)
	}
	o = compare.Options{Reference: f.reference, Current: f.current, Columns: f.columns, Alpha: f.alpha, Threshold: f.threshold, Share: f.share, Memory: f.memory << 20, Plots: f.html != ""}
	if o.Method, err = compare.ParseMethod(f.method); err != nil {
		return o, err
	}
	if o.Method == compare.Evidently && cmd.Flags().Changed("alpha") {
		return o, fmt.Errorf("--alpha goes with --method weir; with evidently --threshold is the limit of p-values and distances")
	}
	if o.Method == compare.Weir && f.alpha == 0 {
		return o, fmt.Errorf("--alpha 0: give a share between 0 and 1, such as 0.05")
	}
	var r check.Options
	if err := f.file.into(&r); err != nil {
		return o, err
	}
	o.Read = tabular.ReadOptions{Format: r.Format, Types: r.Types, Nulls: r.Nulls, Separator: r.Separator}
	return o, o.Validate()
}

func (e *env) runCompare(ctx context.Context, cmd *cobra.Command, f *compareFlags) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	defer holdReading(o.Memory)()
	bar := e.bar(1, "comparing", progressbar.OptionShowBytes(true))
	var of int64
	o.Progress = func(done, total int64) {
		if total != of {
			of = total
			bar.ChangeMax64(max(total, 1))
		}
		_ = bar.Set64(min(done, total))
	}
	r, err := compare.Run(ctx, o)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if f.html != "" {
		var page bytes.Buffer
		if err := r.WriteHTML(&page); err != nil {
			return err
		}
		if err := os.WriteFile(f.html, page.Bytes(), 0o666); err != nil {
			return err
		}
	}
	if e.output == "json" {
		err = printJSON(e.out, r)
	} else {
		e.showCompare(r)
	}
	if err == nil && r.Drift {
		return errNo
	}
	return err
}

// showCompare prints a line for each column.
func (e *env) showCompare(r *compare.Report) {
	score := "score"
	if r.Method == compare.Weir {
		score = "adjusted p"
	}
	t := newTable(e.out, "", "column", "kind", "test", score, "effect", "found")
	for i := range r.Columns {
		c := &r.Columns[i]
		mark := map[string]string{"drift": "DRIFT", "steady": "ok", "untested": "-"}[c.State()]
		effect := ""
		if c.Effect != nil {
			effect = compare.Shown(float64(c.Effect.Value)) + " " + c.Effect.Name
		}
		t.AppendRow([]any{mark, short(c.Name, 40), string(c.Kind), c.Test, c.ShownScore(), effect, short(c.Found(), 90)})
	}
	t.Render()
	fmt.Fprintln(e.out)
	for _, name := range r.OnlyCurrent {
		fmt.Fprintf(e.out, "note: column %s is in the current file only\n", name)
	}
	fmt.Fprintf(e.out, "%s of %s against %s of %s: %d of %s drifted\n", plural(r.Current.Rows, "row"), filepath.Base(r.Current.Path), plural(r.Reference.Rows, "row"), filepath.Base(r.Reference.Path),
		r.Drifted, plural(int64(r.Compared), "column"))
	fmt.Fprintf(e.out, "drift: %s\n", r.Rule())
}
