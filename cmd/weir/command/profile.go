package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/cmd/weir/check"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/profile"
)

type profileFlags struct {
	file          fileFlags
	name          string
	suite, schema string
	stream        bool
	limit         int64
	hours         float64
}

func (e *env) profile() *cobra.Command {
	var f profileFlags
	c := &cobra.Command{
		Use:   "profile FILE|VIEW",
		Short: "Propose an expectation suite and a JSON Schema from a file, or from a view's table",
		Long: `Looks at a CSV, JSON lines, Parquet or Arrow file, or at the newest rows of a feature view's
table through the server, and proposes what to expect of such data: types, ranges, sets of values and their shares, missing values, lengths and forms of texts,
uniqueness, order, and what columns say about each other. All of it holds for the rows
that were looked at, and the evidence stands beside each rule, to be edited. Of what a view
masks only missing values are told.

The suite is a manifest, for weir check and for weir apply. With --stream it has only what
can hold back a single row, for the suite of a view.`,
		Example: `  weir profile telco.csv > churn.yaml
  weir profile orders.parquet --suite orders.yaml --schema orders.schema.json
  weir profile orders.parquet --stream --name order_rows
  weir profile order_stats --hours 24 --stream`,
		Args: exactly(1, "the file, or the view, to look at"),
		RunE: func(cmd *cobra.Command, args []string) error { return e.runProfile(cmd.Context(), &f, args[0]) },
	}
	f.file.add(c)
	c.Flags().StringVar(&f.name, "name", "", "name of the suite; made of the file's when not given")
	c.Flags().StringVar(&f.suite, "suite", "", "write the suite to this file; else it is printed")
	c.Flags().StringVar(&f.schema, "schema", "", "write the JSON Schema to this file")
	c.Flags().Int64Var(&f.limit, "limit", 100_000, "of a view: the newest rows; 0 for all")
	c.Flags().Float64Var(&f.hours, "hours", 0, "of a view: rows of the last hours; 0 for all")
	c.Flags().BoolVar(&f.stream, "stream", false, "only expectations that judge a row on its own")
	return c
}

func (e *env) runProfile(ctx context.Context, f *profileFlags, path string) error {
	_, missing := os.Stat(path)
	ofView := missing != nil && filepath.Base(path) == path && filepath.Ext(path) == ""
	source := filepath.Base(path)
	if f.name == "" {
		f.name = suiteName(path)
	}
	if faults := feature.CheckName("--name", f.name); len(faults) > 0 {
		return faults[0]
	}
	defer holdReading(128 << 20)()
	var p *profile.Profiler
	var err error
	if ofView {
		if p, err = e.profileView(ctx, f, path); err == nil && p.Rows() == 0 {
			return fmt.Errorf("view %s has no rows that could be looked at%s", path, map[bool]string{true: " in the last hours: try a larger --hours"}[f.hours > 0])
		}
		source = "view " + path
	} else {
		p, err = e.profileFile(ctx, f, path)
	}
	if err != nil {
		return err
	}
	proposal := p.Propose()
	suite, err := proposal.Manifest(f.name, source, !f.stream)
	if err != nil {
		return err
	}
	schema, err := p.Schema(source)
	if err != nil {
		return err
	}
	if f.schema != "" {
		if err := os.WriteFile(f.schema, schema, 0o666); err != nil {
			return err
		}
	}
	if f.suite != "" {
		if err := os.WriteFile(f.suite, suite, 0o666); err != nil {
			return err
		}
	}
	if e.output == "json" {
		s, err := proposal.Suite(f.name, !f.stream)
		if err != nil {
			return err
		}
		return printJSON(e.out, map[string]any{"rows": proposal.Rows, "schema": json.RawMessage(schema), "suite": map[string]any{
			"name": f.name, "expectations": s.Expectations, "meta": map[string]any{}}})
	}
	if f.suite == "" && f.schema == "" {
		_, err = e.out.Write(suite)
		return err
	}
	for _, name := range []string{f.suite, f.schema} {
		if name != "" {
			fmt.Fprintf(e.out, "%s: from %s of %s\n", name, plural(p.Rows(), "row"), path)
		}
	}
	return nil
}

func (e *env) profileFile(ctx context.Context, f *profileFlags, path string) (*profile.Profiler, error) {
	var o check.Options
	if err := f.file.into(&o); err != nil {
		return nil, err
	}
	o.Path = path
	bar := e.readingBar(&o, "looking")
	p, err := check.Profile(ctx, o)
	_ = bar.Finish()
	return p, err
}

// suiteName makes a definition's name of a file's.
func suiteName(path string) string {
	base := filepath.Base(path)
	if i := strings.IndexByte(base, '.'); i > 0 {
		base = base[:i]
	}
	return featureName(base)
}
