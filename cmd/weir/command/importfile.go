package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/objects"
)

// importFlags are what people say to `weir import`.
type importFlags struct {
	view, format, glob string
	nulls              []string
	onServer, dryRun   bool
	watch              bool
	interval           time.Duration
	doneSuffix         string
	infer              inferFlags
}

func (e *env) importFiles() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import --view V PATH...",
		Short: "Bring files in, through the same checks as the stream",
		Long: `Brings CSV, JSON lines, Parquet and Arrow files into a view: files, all files below a
folder in the order of their names, or those of a bucket (s3://bucket/prefix). Every row
takes the way of an event: the same schema, the same suite, the same quarantine. A file is
known by its content: importing it again changes nothing, whatever its name is, and an
interrupted import goes on where it stopped, an interrupted upload too. The windows of
drift monitors that a file touches are closed at its end.

Files of this machine are sent. What is in a bucket, and with --on-server what is in a
folder that ingest.import_folders of the server allows, the server reads itself; with
--watch it looks again and again until Ctrl-C, and takes a file once two looks have found
it unchanged. Hidden files and those whose names begin with _ or end in .tmp are passed over.

A file that fails does not stop the others: the exit code is 1 then, and 2 when none came in.`,
		Example: `  weir import --view payment history/
  weir import --view payment --dry-run monday.csv
  weir import --view payment --watch s3://landing/payments
  weir import --view payment --infer --key customer_id --time ts monday.parquet`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.view == "":
				return fmt.Errorf("give --view")
			case f.watch && len(args) > 1:
				return fmt.Errorf("--watch takes one place: run one for each")
			case f.watch && !f.onServer && !isBucket(args[0]):
				return fmt.Errorf("--watch looks at a bucket, or with --on-server at a folder of the server: %q is neither", args[0])
			case f.infer.on && (f.onServer || slices.ContainsFunc(args, isBucket)):
				return fmt.Errorf("--infer looks at files of this machine: fetch one, infer from it, then import the place")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error { return e.runImport(ctx, c, &f, args) })
		},
	}
	c.Flags().StringVar(&f.view, "view", "", "feature view that takes the rows")
	c.Flags().StringVar(&f.format, "format", "", "csv, jsonl, parquet or arrow; by each file's name when not given")
	c.Flags().StringVar(&f.glob, "glob", "", "of folders and buckets, only files whose name matches, like '*.csv'")
	c.Flags().StringSliceVar(&f.nulls, "null", nil, "texts that mean null in CSV, beside the source's null_values")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "judge the rows and say what would be taken and held back; nothing is written")
	c.Flags().BoolVar(&f.onServer, "on-server", false, "the paths are the server's, which reads them itself")
	c.Flags().BoolVar(&f.watch, "watch", false, "go on looking for new files until Ctrl-C")
	c.Flags().DurationVar(&f.interval, "interval", 10*time.Second, "with --watch: time between two looks")
	c.Flags().StringVar(&f.doneSuffix, "done-suffix", "", "take a file only when one of its name and this suffix is there, like .done")
	c.Flags().BoolVar(&f.infer.on, "infer", false, "where there is no such view: make one from a look at the files, shown first")
	c.Flags().StringSliceVar(&f.infer.keys, "key", nil, "with --infer: the columns that name the entity")
	c.Flags().StringVar(&f.infer.time, "time", "", "with --infer: the column that says when a row's event happened")
	c.Flags().BoolVarP(&f.infer.yes, "yes", "y", false, "with --infer: put the shown definitions in force without asking")
	return c
}

// isBucket tells a bucket from a path.
func isBucket(place string) bool { return objects.IsS3(place) }

// importOutcome is what became of a file.
type importOutcome struct {
	File            string           `json:"file"`
	Rows            int64            `json:"rows"`
	Quarantined     int64            `json:"quarantined"`
	AlreadyImported bool             `json:"already_imported"`
	ID              string           `json:"id"`
	Rules           map[string]int64 `json:"rules,omitempty"`
	DryRun          bool             `json:"dry_run,omitempty"`
	Error           string           `json:"error,omitempty"`

	err error
}

// localFile is a file of this machine that is to be sent.
type localFile struct {
	path string
	size int64
}

// localFiles finds the files that paths mean. What does not exist is a fault of
// its own, reported in its turn.
func (f *importFlags) localFiles(ctx context.Context, paths []string) (files []localFile, err error) {
	sel := ingest.Selection{Glob: f.glob, Any: f.format != "", DoneSuffix: f.doneSuffix}
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil || !st.IsDir() {
			one := localFile{path: p}
			if err == nil {
				one.size = st.Size()
			}
			files = append(files, one)
			continue
		}
		below := ingest.Folder(p)
		found, err := sel.Select(ctx, below)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no file to import there (names end in .csv, .tsv, .jsonl, .parquet or .arrow, also with .gz or .zst; or give --format and --glob)", p)
		}
		for _, x := range found {
			files = append(files, localFile{below.Path(x.Name), x.Size})
		}
	}
	return files, nil
}

func (e *env) runImport(ctx context.Context, c *client, f *importFlags, paths []string) error {
	var local, remote []string
	for _, p := range paths {
		if f.onServer || isBucket(p) {
			remote = append(remote, p)
		} else {
			local = append(local, p)
		}
	}
	files, err := f.localFiles(ctx, local)
	if err != nil {
		return err
	}
	if f.infer.on {
		if err := e.inferView(ctx, c, f, files); err != nil {
			return err
		}
	}
	var total int64
	for _, x := range files {
		total += x.size
	}
	b := &importBar{bar: e.bar(2*total, "importing"), of: len(files)} // a byte counts when it is sent, and when it is in
	var all []importOutcome
	for _, x := range files {
		o := e.sendFile(ctx, c, f, x, b)
		all = append(all, o)
		if fatal(o.err) {
			break
		}
		b.next(2 * x.size)
	}
	_ = b.bar.Finish()
	for _, p := range remote {
		if len(all) > 0 && fatal(all[len(all)-1].err) {
			break
		}
		got, err := e.importFrom(ctx, c, f, p)
		if f.watch {
			return err
		}
		all = append(all, got...)
		if err != nil {
			all = append(all, importOutcome{File: p, Error: explain(c.explain(err)), err: err})
		}
	}
	return e.endImport(c, all)
}

// fatal reports whether the next file would fail as well: the server is gone, or somebody has pressed Ctrl-C.
func fatal(err error) bool {
	return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled ||
		status.Code(err) == codes.Unavailable && strings.Contains(status.Convert(err).Message(), "connection error")
}

// endImport shows the outcomes. Where nothing came in that is a fault, where only some did an answer.
func (e *env) endImport(c *client, all []importOutcome) error {
	failed := 0
	for _, o := range all {
		if o.err != nil {
			failed++
		}
	}
	if failed == 1 && len(all) == 1 {
		return fmt.Errorf("%s: %w", all[0].File, c.explain(all[0].err))
	}
	if err := e.showImports(all); err != nil || failed == 0 {
		return err
	}
	if failed == len(all) {
		return fmt.Errorf("none of %d files was imported", failed)
	}
	fmt.Fprintf(e.err, "weir: %d of %d files were not imported\n", failed, len(all))
	return errNo
}

// importBar shows how far all files are.
type importBar struct {
	bar      *progressbar.ProgressBar
	file, of int
	base     int64 // of the files before
}

func (b *importBar) next(size int64) {
	b.base += size
	b.file++
	_ = b.bar.Set64(b.base)
}

func (b *importBar) at(done int64, format string, args ...any) {
	b.bar.Describe(fmt.Sprintf("file %d of %d, ", b.file+1, b.of) + fmt.Sprintf(format, args...))
	_ = b.bar.Set64(b.base + done)
}

// bar is a progress bar on standard error; silent where that is not a terminal.
func (e *env) bar(total int64, what string, more ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, append([]progressbar.Option{progressbar.OptionSetWriter(e.err), progressbar.OptionSetDescription(what),
		progressbar.OptionSetVisibility(terminal(e.err)), progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100 * time.Millisecond)}, more...)...)
}

// terminal reports whether a person looks at w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func (e *env) showImports(all []importOutcome) error {
	if e.output == "json" {
		return printJSON(e.out, all)
	}
	t := newTable(e.out, "file", "rows", "held back", "")
	for _, r := range all {
		var notes []string
		switch {
		case r.Error != "":
			notes = append(notes, r.Error)
		case r.AlreadyImported:
			notes = append(notes, "imported before; nothing changed")
		case r.DryRun:
			notes = append(notes, "dry run: nothing was written")
		}
		if n := r.worst(); n != "" {
			notes = append(notes, n)
		}
		t.AppendRow([]any{r.File, count(r.Rows), count(r.Quarantined), strings.Join(notes, "; ")})
	}
	t.Render()
	return nil
}

// worst names the rules that most rows failed.
func (o *importOutcome) worst() string {
	names := make([]string, 0, len(o.Rules))
	for n := range o.Rules {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if o.Rules[a] != o.Rules[b] {
			return int(min(1, max(-1, o.Rules[b]-o.Rules[a])))
		}
		return strings.Compare(a, b)
	})
	for i, n := range names {
		names[i] = fmt.Sprintf("%s: %s", n, count(o.Rules[n]))
	}
	if len(names) > 3 {
		names = append(names[:3], "...")
	}
	return strings.Join(names, ", ")
}
