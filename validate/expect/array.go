package expect

import (
	"maps"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// CompileView is Compile for the batches of a view, where a column of bytes may be an
// array in its packed form: of one, a suite may ask whether it is null and of what type
// it is. Anything else is a fault, for the bytes are none of the array's values. Where the view has
// windows (quality.window), what is not about single rows is left to those: see CompileWindow.
func CompileView(suite *feature.Suite, v *feature.View, opts ...Option) (*Suite, []feature.Fault) {
	if v.Quality.Windowed() {
		opts = append([]Option{WithWindows(), WithParameters(v.Quality.Parameters)}, opts...)
	}
	return Compile(suite, v.Schema(), append(opts, WithRenamed(v.NowCalled), WithArrays(arraysOf(v)))...)
}

// arraysOf are the columns of a view that are arrays.
func arraysOf(v *feature.View) map[string]feature.Type {
	arrays := map[string]feature.Type{}
	for _, f := range v.Columns() {
		if f.Type.IsArray() {
			arrays[f.Name] = f.Type
		}
	}
	return arrays
}

// WithArrays says which columns of bytes are arrays in their packed form, by name.
func WithArrays(types map[string]feature.Type) Option { return func(c *compiler) { c.arrays = types } }

// typeOf is the type of a column of the schema.
func (c *compiler) typeOf(f arrow.Field) feature.Type {
	if t, ok := c.arrays[f.Name]; ok {
		return t
	}
	return typeOf(f.Type)
}

// arrayRules are the expectations that say something of an array as a whole.
var arrayRules = map[string]bool{
	"expect_column_values_to_be_null":         true,
	"expect_column_values_to_not_be_null":     true,
	"expect_column_values_to_be_of_type":      true,
	"expect_column_values_to_be_in_type_list": true,
}

// refusesArray reports an array where the expectation is about single values.
func (a *args) refusesArray(at, name string, t feature.Type) bool {
	if !t.IsArray() || a.arrays && at != "row_condition" {
		return false
	}
	a.lack(at, "column %s is %s, and this is no rule for arrays: a suite can ask whether an array is null and of what type it is; "+
		"the schema of the source can ask more of it (items, minItems, maxItems, uniqueItems)", name, t)
	return true
}

// addArrays gives the names that other systems have for arrays; a name that does not say
// of what means every array.
func addArrays(m map[string][]feature.Type) map[string][]feature.Type {
	for t := feature.Bool; t <= feature.Timestamp; t++ {
		for _, n := range []string{"array", "arraytype", "list"} {
			m[n] = append(m[n], feature.Array(t))
		}
	}
	for n, elems := range maps.Clone(m) {
		for _, e := range elems {
			if e.IsArray() {
				continue
			}
			for _, name := range []string{"array<" + n + ">", "list<" + n + ">", n + "[]"} {
				m[name] = append(m[name], feature.Array(e))
			}
		}
	}
	return m
}
