package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// Schema is a JSON Schema out of a file.
type Schema struct {
	Name     string       // the file's
	rules    []SchemaRule // as far as they stand in it plainly
	compiled *jsonschema.Schema
	types    map[string]feature.Type
}

// SchemaOptions say how a schema is read.
type SchemaOptions struct {
	// References lets the schema refer to the .json files of its own folder and of
	// those below. Nothing else is ever read.
	References   bool
	AssertFormat bool // "format" is a check, not a remark
	Draft        int  // of a schema that does not say; 2020 when 0
}

const (
	maxReferences     = 1000
	maxReferenceBytes = 64 << 20
)

// LoadSchema reads a JSON Schema.
func LoadSchema(path string, o SchemaOptions) (*Schema, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if err := syntax(path, raw); err != nil {
		return nil, err
	}
	jo := jsonschema.Options{AssertFormat: o.AssertFormat, Draft: o.Draft}
	if o.References {
		if jo.Resources, err = besideFiles(path); err != nil {
			return nil, err
		}
	}
	compiled, err := jsonschema.Compile(raw, jo)
	if err != nil {
		e := feature.Errorf(feature.Invalid, "check.schema", path, "%w", err)
		if !o.References && bytes.Contains(raw, []byte(`"$ref"`)) && strings.Contains(err.Error(), "references are not loaded") {
			e = e.WithHint("--schema-refs lets it refer to files of its own folder")
		}
		return nil, e
	}
	return &Schema{Name: filepath.Base(path), compiled: compiled, types: tabular.SchemaTypes(raw), rules: schemaRules(raw)}, nil
}

// syntax names the line at which a file is no longer JSON.
func syntax(path string, raw []byte) error {
	var v any
	err := json.Unmarshal(raw, &v)
	var se *json.SyntaxError
	if errors.As(err, &se) {
		line := 1 + bytes.Count(raw[:min(int(se.Offset), len(raw))], []byte("\n"))
		return feature.Errorf(feature.Invalid, "check.schema", fmt.Sprintf("%s: line %d", path, line), "%w", err).WithHint("a schema is one JSON document")
	}
	return nil // what else can be wrong is said by who compiles it
}

func unreadable(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &feature.Error{Kind: feature.Invalid, Op: "check.schema", What: path, Err: err}
}

// besideFiles are the documents that a schema may refer to: by their path from
// the schema's folder, and by the $id that they give themselves.
func besideFiles(path string) (map[string][]byte, error) {
	dir, own := filepath.Dir(path), filepath.Base(path)
	out, size := map[string][]byte{}, 0
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != dir && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !e.Type().IsRegular() || filepath.Ext(name) != ".json":
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == own {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if size += len(raw); len(out) >= maxReferences || size > maxReferenceBytes {
			return fmt.Errorf("the folder has more than %d .json files or %d MiB of them", maxReferences, maxReferenceBytes>>20)
		}
		out[filepath.ToSlash(rel)] = raw
		var head struct {
			ID string `json:"$id"`
		}
		if json.Unmarshal(raw, &head) == nil && strings.Contains(head.ID, "://") {
			out[head.ID] = raw
		}
		return nil
	})
	if err != nil {
		return nil, unreadable(dir, err)
	}
	return out, nil
}

// SchemaOutcome is what the schema says about the file.
type SchemaOutcome struct {
	Name   string
	Rows   int64 // rows judged
	Failed int64 // rows that break it
	// Broken are the rules that rows broke, by their first row.
	Broken []*Broken
	// More counts what broke rules beyond the first maxBroken.
	More    int64
	rules   []SchemaRule
	stopped bool
}

// Broken is one rule of the schema, at one place in the event, that rows broke.
type Broken struct {
	SchemaRule
	Expected string
	Count    int64 // times it was broken; more than once in a row where it is about items
	Examples []RowExample
}

// RowExample is a row that broke a rule.
type RowExample struct {
	Row   int64  // from 0
	Line  int64  // in the file, from 1; 0 in Parquet and Arrow files
	Value string // shortened
}

// maxBroken bounds how many rules at how many places are told apart: a schema
// that refuses unknown properties has as many as the file has names for them.
const maxBroken = 1000

var position = regexp.MustCompile(`\[\d+\]`)

// judgeRows reads the file row by row, each as the event it would be.
func judgeRows(ctx context.Context, o *Options, progress func(done, total int64)) (*SchemaOutcome, error) {
	types, err := o.rowTypes(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := tabular.OpenRows(ctx, o.Path, tabular.RowOptions{Format: o.Format, Types: types, Nulls: o.Nulls, Separator: o.Separator})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &SchemaOutcome{Name: o.Schema.Name, rules: o.Schema.rules}
	at := map[SchemaRule]*Broken{}
	c := o.Schema.compiled.NewChecker()
	for !out.stopped {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		out.Rows++
		if row.Number%4096 == 0 {
			progress(rows.Progress())
		}
		var reasons []feature.Reason
		if row.Err != nil {
			reasons = []feature.Reason{{Rule: feature.RuleDecode, Value: feature.Shorten(row.Payload), Expected: cause(row.Err)}}
		} else {
			reasons = c.Check(row.Payload)
		}
		if reasons == nil {
			continue
		}
		out.Failed++
		out.stopped = o.FailFast
		for i := range reasons {
			out.add(at, &reasons[i], &row, o.Examples)
		}
	}
	return out, nil
}

// rowTypes are the types that say which values of a CSV go out as numbers: those
// given, those that the schema declares, and of the columns it says nothing of
// what all their values are. Without the last "maximum" alone would judge texts,
// and so nothing.
func (o *Options) rowTypes(ctx context.Context) (map[string]feature.Type, error) {
	types := maps.Clone(o.Schema.types)
	for _, r := range o.Schema.rules {
		if _, known := types[r.Path]; r.Keyword == "type" && !known {
			types[r.Path] = feature.String
		}
	}
	maps.Copy(types, o.Types)
	format := o.Format
	if format == "" {
		var err error
		if format, err = tabular.FormatOf(o.Path); err != nil {
			return nil, err
		}
	}
	if format != tabular.CSV {
		return types, nil
	}
	r, err := tabular.Open(ctx, o.Path, tabular.ReadOptions{Format: o.Format, Types: types, Nulls: o.Nulls, Separator: o.Separator})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := knownColumns(o.Path, r.Schema(), o.Types); err != nil {
		return nil, err
	}
	for _, f := range r.Schema().Fields() {
		if _, known := types[f.Name]; !known {
			types[f.Name], _ = tabular.TypeOf(f.Type)
		}
	}
	return types, nil
}

func (s *SchemaOutcome) add(at map[SchemaRule]*Broken, r *feature.Reason, row *tabular.Row, examples int) {
	rule := SchemaRule{Keyword: strings.TrimPrefix(r.Rule, "schema."), Path: position.ReplaceAllString(r.Path, "[]")}
	b := at[rule]
	if b == nil {
		if len(s.Broken) >= maxBroken {
			s.More++
			return
		}
		b = &Broken{SchemaRule: rule, Expected: r.Expected}
		at[rule] = b
		s.Broken = append(s.Broken, b)
	}
	b.Count++
	if n := len(b.Examples); n < examples && (n == 0 || b.Examples[n-1].Row != row.Number) {
		b.Examples = append(b.Examples, RowExample{row.Number, row.Line, r.Value})
	}
}

// cause is an error without the place, which is shown beside it.
func cause(err error) string {
	var fe *feature.Error
	if errors.As(err, &fe) && fe.Err != nil {
		return "a row that can be read: " + fe.Err.Error()
	}
	return err.Error()
}

func nearest(name string, known []string) string { return suggest.Nearest(name, known) }
