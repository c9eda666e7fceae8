package check

import (
	"context"
	"maps"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// aboutText are the expectations about how a value is written.
var aboutText = map[string]bool{
	"expect_column_values_to_match_regex":                 true,
	"expect_column_values_to_not_match_regex":             true,
	"expect_column_values_to_match_regex_list":            true,
	"expect_column_values_to_not_match_regex_list":        true,
	"expect_column_values_to_match_like_pattern":          true,
	"expect_column_values_to_not_match_like_pattern":      true,
	"expect_column_values_to_match_like_pattern_list":     true,
	"expect_column_values_to_not_match_like_pattern_list": true,
	"expect_column_values_to_match_strftime_format":       true,
	"expect_column_values_to_be_dateutil_parseable":       true,
	"expect_column_value_lengths_to_be_between":           true,
	"expect_column_value_lengths_to_equal":                true,
}

// openColumns opens the file. Times that a file of text has are text where the suite asks
// how they are written: that they all could be read as times does not answer it.
func openColumns(ctx context.Context, o *Options) (*tabular.Reader, error) {
	open := func(types map[string]feature.Type) (*tabular.Reader, error) {
		return tabular.Open(ctx, o.Path, tabular.ReadOptions{Format: o.Format, Types: types, Nulls: o.Nulls, Separator: o.Separator, Only: namedColumns(o.Suite.Suite), Lend: true})
	}
	r, err := open(o.Types)
	if err != nil {
		return nil, err
	}
	format := o.Format
	if format == "" {
		if format, err = tabular.FormatOf(o.Path); err != nil {
			return nil, err
		}
	}
	if format != tabular.CSV && format != tabular.JSONLines {
		return r, nil
	}
	var types map[string]feature.Type
	for i := range o.Suite.Suite.Expectations {
		e := &o.Suite.Suite.Expectations[i]
		if !aboutText[e.Type] {
			continue
		}
		for _, name := range columnNames(e) {
			for _, f := range r.Schema().Fields() {
				if t, _ := tabular.TypeOf(f.Type); f.Name != name || t != feature.Timestamp || o.Types[name] != feature.InvalidType {
					continue
				}
				if types == nil {
					types = maps.Clone(o.Types)
				}
				if types == nil {
					types = map[string]feature.Type{}
				}
				types[name] = feature.String
			}
		}
	}
	if types == nil {
		return r, nil
	}
	r.Close()
	return open(types)
}
