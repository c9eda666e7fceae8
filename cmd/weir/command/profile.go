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
)

type profileFlags struct {
	file          fileFlags
	name          string
	suite, schema string
	stream        bool
}

func (e *env) profile() *cobra.Command {
	var f profileFlags
	c := &cobra.Command{
		Use:   "profile FILE",
		Short: "Propose an expectation suite and a JSON Schema from a file; no server is needed",
		Long: `Looks at a CSV, JSON lines, Parquet or Arrow file and proposes what to expect of such data:
types, ranges, sets of values and their shares, missing values, lengths and forms of texts,
uniqueness, order, and what columns say about each other. All of it holds for the file, and
the evidence stands beside each rule, to be edited.

The suite is a manifest, for weir check and for weir apply. With --stream it has only what
can hold back a single row, for the suite of a view.`,
		Example: `  weir profile telco.csv > churn.yaml
  weir profile orders.parquet --suite orders.yaml --schema orders.schema.json
  weir profile orders.parquet --stream --name order_rows`,
		Args: exactly(1, "the file to look at"),
		RunE: func(cmd *cobra.Command, args []string) error { return e.runProfile(cmd.Context(), &f, args[0]) },
	}
	f.file.add(c)
	c.Flags().StringVar(&f.name, "name", "", "name of the suite; made of the file's when not given")
	c.Flags().StringVar(&f.suite, "suite", "", "write the suite to this file; else it is printed")
	c.Flags().StringVar(&f.schema, "schema", "", "write the JSON Schema to this file")
	c.Flags().BoolVar(&f.stream, "stream", false, "only expectations that judge a row on its own")
	return c
}

func (e *env) runProfile(ctx context.Context, f *profileFlags, path string) error {
	if _, err := os.Stat(path); err != nil && filepath.Base(path) == path && filepath.Ext(path) == "" {
		return fmt.Errorf("there is no file %s; a view is not profiled by its name: write its rows to a file first, with weir export", path)
	}
	if f.name == "" {
		f.name = suiteName(path)
	}
	if faults := feature.CheckName("--name", f.name); len(faults) > 0 {
		return faults[0]
	}
	var o check.Options
	if err := f.file.into(&o); err != nil {
		return err
	}
	o.Path = path
	defer holdReading(128 << 20)()
	bar := e.readingBar(&o, "looking")
	p, err := check.Profile(ctx, o)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	proposal := p.Propose()
	suite, err := proposal.Manifest(f.name, filepath.Base(path), !f.stream)
	if err != nil {
		return err
	}
	schema, err := p.Schema(filepath.Base(path))
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

// suiteName makes a definition's name of a file's.
func suiteName(path string) string {
	base := filepath.Base(path)
	if i := strings.IndexByte(base, '.'); i > 0 {
		base = base[:i]
	}
	return featureName(base)
}
