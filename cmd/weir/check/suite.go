package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/validate/expect"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// SuiteOutcome is what the suite says about the file.
type SuiteOutcome struct {
	Name   string
	Report *expect.Report
	// Parameters are the values of {"$PARAMETER": name} in the suite.
	Parameters map[string]json.RawMessage
	Columns    []Column
	Warnings   []manifest.Fault // where the suite is right and may still surprise
	stopped    bool
}

// Column is a column of the file with the type that its values were taken as.
type Column struct {
	Name string
	Type feature.Type
}

// judgeSuite reads the file as columns.
func judgeSuite(ctx context.Context, o *Options, progress func(done, total int64)) (_ *SuiteOutcome, err error) {
	r, err := openColumns(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := knownColumns(o.Path, r.Schema(), o.Types); err != nil {
		return nil, err
	}
	params, err := o.Suite.WithParameters(o.Parameters)
	if err != nil {
		return nil, err
	}
	arrays := listsOf(r.Schema())
	suite, faults := expect.CompileTable(o.Suite.Suite, arrays.schema, expect.WithParameters(params), expect.WithJSONSchema(jsonSchema), expect.WithArrays(arrays.types))
	if len(faults) > 0 {
		return nil, Faults(manifest.Sort(o.Suite.Doc.Faults(faults...)))
	}
	temp := o.Temp
	if temp == "" {
		if temp, err = os.MkdirTemp("", "weir-check-"); err != nil {
			return nil, &feature.Error{Kind: feature.Internal, Op: "check.temp", Err: err, Hint: "set TMPDIR to a folder that can be written"}
		}
		defer os.RemoveAll(temp)
	}
	run := suite.Begin(expect.TableOptions{Memory: o.Memory, Temp: temp, Examples: o.Examples, Complete: o.Complete, FailFast: o.FailFast})
	defer func() {
		if e := run.Close(); err == nil && e != nil {
			err = e
		}
	}()
	out := &SuiteOutcome{Name: o.Suite.Name, Parameters: params, Warnings: o.Suite.Doc.Faults(suite.Warnings()...)}
	for _, f := range r.Schema().Fields() {
		t, _ := tabular.TypeOf(f.Type)
		out.Columns = append(out.Columns, Column{f.Name, t})
	}
	for !out.stopped {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if rec, err = arrays.pack(rec); err != nil {
			return nil, err
		}
		err = run.Add(rec)
		rec.Release()
		if errors.Is(err, expect.ErrDecided) {
			out.stopped = true
		} else if err != nil {
			return nil, err
		}
		progress(r.Progress())
	}
	if out.Report, err = run.Finish(); err != nil {
		return nil, err
	}
	return out, nil
}

// namedColumns are those that some expectation looks at; nil for all, where
// that cannot be told from its kwargs alone.
func namedColumns(s *feature.Suite) map[string]bool {
	names := map[string]bool{}
	for i := range s.Expectations {
		e := &s.Expectations[i]
		if _, ok := e.Kwargs["row_condition"]; ok {
			return nil
		}
		for k, raw := range e.Kwargs {
			if bytes.Contains(raw, []byte(`"$PARAMETER"`)) && strings.HasPrefix(k, "column") {
				return nil
			}
		}
		for _, name := range columnNames(e) {
			names[name] = true
		}
	}
	return names
}

// knownColumns refuses types for columns that the file does not have.
func knownColumns(path string, s *arrow.Schema, types map[string]feature.Type) error {
	names := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		names[i] = f.Name
	}
	for name := range types {
		if len(s.FieldIndices(name)) == 0 {
			return feature.Errorf(feature.Invalid, "check.types", filepath.Base(path), "there is no column %q", name).
				WithHint("%s", columnHint(name, names))
		}
	}
	return nil
}

// jsonSchema compiles what expect_column_values_to_match_json_schema names.
func jsonSchema(raw []byte) (expect.JSONSchema, error) {
	s, err := jsonschema.Compile(raw, jsonschema.Options{})
	if err != nil {
		return nil, err
	}
	return schemaOfTexts{s}, nil
}

type schemaOfTexts struct{ s *jsonschema.Schema }

func (s schemaOfTexts) Valid(doc []byte) bool { return s.s.Validate(doc) == nil }

func columnHint(name string, names []string) string {
	if s := nearest(name, names); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	return fmt.Sprintf("there are %d columns", len(names))
}
