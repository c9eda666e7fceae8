package command

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/cmd/weir/check"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
)

// checkFlags are what people say to `weir check`.
type checkFlags struct {
	file                 fileFlags
	schema, suite, name  string
	refs, assertFormat   bool
	params               []string
	resultFormat, failOn string
	failFast             bool
	examples             int
	memory               int64
}

// fileFlags say how a file of this machine is read.
type fileFlags struct {
	format, separator string
	nulls, types      []string
}

func (f *fileFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "", "csv, jsonl, parquet or arrow; by the file's name when not given")
	c.Flags().StringSliceVar(&f.nulls, "null", nil, "texts that mean null in CSV, beside an empty value")
	c.Flags().StringVar(&f.separator, "separator", "", "what stands between the values of a CSV line, like ';'")
	c.Flags().StringSliceVar(&f.types, "types", nil, "the type of a column, like amount=float64; may be repeated")
}

// into fills the options that say how the file is read.
func (f *fileFlags) into(o *check.Options) (err error) {
	if f.format != "" {
		if o.Format, err = tabular.ParseFormat(f.format); err != nil {
			return err
		}
	}
	switch sep := strings.ReplaceAll(f.separator, `\t`, "\t"); {
	case len(sep) > 1 || sep == `"` || sep == "\n":
		return fmt.Errorf("--separator %s: give one character", f.separator)
	case sep != "":
		o.Separator = sep[0]
	}
	o.Nulls = f.nulls
	for _, s := range f.types {
		name, typ, ok := cutLast(s, "=")
		if !ok || name == "" {
			return fmt.Errorf("--types %s: write it as COLUMN=TYPE", s)
		}
		t, err := feature.ParseType(typ)
		if err != nil {
			return fmt.Errorf("--types %s: %w", s, err)
		}
		if o.Types == nil {
			o.Types = map[string]feature.Type{}
		}
		o.Types[name] = t
	}
	return nil
}

// cutLast is strings.Cut at the last sep: a column may have it in its name, a type has not.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (e *env) check() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check [--suite FILE] [--schema FILE] DATA",
		Short: "Check a file against expectations, a JSON Schema or both; no server is needed",
		Long: `Judges a CSV, JSON lines, Parquet or Arrow file (also .gz and .zst of the texts) by a suite of
expectations, by a JSON Schema, or by both, with the code that judges the stream.

A suite is what Great Expectations 1.x saves (JSON), or a manifest of kind ExpectationSuite.
A schema judges each row as the JSON event that it would be. It may refer to nothing outside
of itself; with --schema-refs, to files of its own folder.

-o json prints Great Expectations' validation result, -o junit JUnit XML for CI.

The exit code is 0 when everything holds, 1 when an expectation of severity critical or a row
of the schema fails, 2 when something cannot be read or the command is wrong. Expectations of
severity warning and info are shown and fail the command only with --fail-on.

The types of CSV and JSON lines are inferred from all rows; --types says them instead.`,
		Example: `  weir check --suite churn.json telco.csv
  weir check --suite suite.yaml --param max_rows=100000 orders.parquet
  weir check --schema event.schema.json --fail-fast events.jsonl.gz
  weir check --suite churn.json -o junit telco.csv > report.xml
  weir check --suite churn.json --null ' ' --types TotalCharges=float64 telco.csv`,
		Args:        exactly(1, "the file to check"),
		Annotations: map[string]string{outputsOf: "junit"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.runCheck(cmd.Context(), &f, args[0])
		},
	}
	f.file.add(c)
	c.Flags().StringVar(&f.suite, "suite", "", "file with the expectations")
	c.Flags().StringVar(&f.name, "suite-name", "", "which suite, where the file has several")
	c.Flags().StringVar(&f.schema, "schema", "", "file with a JSON Schema for each row")
	c.Flags().BoolVar(&f.refs, "schema-refs", false, "the schema may refer to the .json files of its folder")
	c.Flags().BoolVar(&f.assertFormat, "assert-format", false, "format in the schema is a check (date-time, email, ...), not a remark")
	c.Flags().StringArrayVar(&f.params, "param", nil, `the value of a {"$PARAMETER": "name"}, like max=100; JSON, else text; may be repeated`)
	c.Flags().StringVar(&f.resultFormat, "result-format", "summary", "with -o json: boolean_only, basic, summary or complete")
	c.Flags().StringVar(&f.failOn, "fail-on", string(feature.Critical), "the least severity that makes the exit code 1: critical, warning or info")
	c.Flags().BoolVar(&f.failFast, "fail-fast", false, "stop at the first row that fails the file")
	c.Flags().IntVar(&f.examples, "examples", check.DefaultExamples, "failing rows to show of each expectation and rule")
	c.Flags().Int64Var(&f.memory, "memory", 256, "MiB that expectations may keep in memory; what does not fit goes to a temporary folder")
	return c
}

func (f *checkFlags) options(path string) (o check.Options, format check.ResultFormat, level feature.Severity, err error) {
	o = check.Options{Path: path, FailFast: f.failFast, Examples: f.examples, Memory: f.memory << 20, Parameters: map[string]json.RawMessage{}}
	fail := func(err error) (check.Options, check.ResultFormat, feature.Severity, error) { return o, "", "", err }
	switch {
	case f.suite == "" && f.schema == "":
		return fail(fmt.Errorf("give --suite, --schema or both (run: weir check --help)"))
	case f.examples < 1:
		return fail(fmt.Errorf("--examples %d: at least 1", f.examples))
	case f.memory < 1 || f.memory > 1<<20:
		return fail(fmt.Errorf("--memory %d: between 1 and %d MiB", f.memory, 1<<20))
	case f.suite == "" && (len(f.params) > 0 || f.name != ""):
		return fail(fmt.Errorf("--param and --suite-name go with --suite"))
	case f.schema == "" && (f.refs || f.assertFormat):
		return fail(fmt.Errorf("--schema-refs and --assert-format go with --schema"))
	}
	if format, err = check.ParseResultFormat(f.resultFormat); err != nil {
		return fail(err)
	}
	o.Complete = format == check.Complete
	if level, err = check.ParseLevel(f.failOn); err != nil {
		return fail(fmt.Errorf("--fail-on: %w", err))
	}
	for _, p := range f.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return fail(fmt.Errorf("--param %s: write it as NAME=VALUE", p))
		}
		raw := json.RawMessage(value)
		if !json.Valid(raw) {
			raw, _ = json.Marshal(value) // a text always encodes
		}
		o.Parameters[name] = raw
	}
	return o, format, level, f.file.into(&o)
}

func (e *env) runCheck(ctx context.Context, f *checkFlags, path string) error {
	o, format, level, err := f.options(path)
	if err != nil {
		return err
	}
	if f.suite != "" {
		s, faults, err := manifest.LoadSuite(f.suite, f.name)
		if err != nil {
			return err
		}
		if len(faults) > 0 {
			return e.checkFaults(f.suite, faults)
		}
		o.Suite = s
	}
	if f.schema != "" {
		if o.Schema, err = check.LoadSchema(f.schema, check.SchemaOptions{References: f.refs, AssertFormat: f.assertFormat}); err != nil {
			return err
		}
	}
	defer holdReading(o.Memory)()
	bar := e.readingBar(&o, "checking")
	out, err := check.Run(ctx, o)
	_ = bar.Finish()
	if faults, ok := err.(check.Faults); ok {
		return e.checkFaults(f.suite, faults)
	}
	if err != nil {
		return err
	}
	switch e.output {
	case "json":
		err = printJSON(e.out, out.Validation(format, f.examples))
	case "junit":
		err = out.WriteJUnit(e.out, level)
	default:
		e.showCheck(out, level)
	}
	if err == nil && out.Fails(level) {
		return errNo
	}
	return err
}

// holdReading bounds a process that reads a file and keeps some of it. Batches are
// garbage at once, and little lives meanwhile: Go's usual pace would spend a
// third of the time on collecting them.
func holdReading(kept int64) (stop func()) {
	release := app.HoldMemory(kept + 128<<20)
	before := debug.SetGCPercent(200)
	return func() {
		debug.SetGCPercent(before)
		release()
	}
}

// readingBar shows how far a file has been read.
func (e *env) readingBar(o *check.Options, what string) *progressbar.ProgressBar {
	bar := e.bar(1, what, progressbar.OptionShowBytes(true))
	var of int64
	o.Progress = func(done, total int64) {
		if total != of {
			of = total
			bar.ChangeMax64(max(total, 1))
		}
		_ = bar.Set64(done)
	}
	return bar
}

// checkFaults shows everything that is wrong with a suite.
func (e *env) checkFaults(file string, faults []manifest.Fault) error {
	for _, x := range faults {
		fmt.Fprintln(e.err, x.Error())
	}
	return fmt.Errorf("%s: %s, nothing was checked", file, plural(int64(len(faults)), "fault"))
}
