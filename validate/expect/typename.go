package expect

import (
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Type names of Python, pandas, numpy, Spark and SQL, lower case, and the
// feature types they stand for. A name that says a width means that width
// (int64, bigint, LongType); a name that does not (int, integer, float, decimal) means
// every width. "object" is what pandas calls text.
var typeNames = func() map[string][]feature.Type {
	m := map[string][]feature.Type{}
	add := func(names string, t ...feature.Type) {
		for _, n := range strings.Fields(names) {
			m[n] = t
		}
	}
	add("bool bool_ boolean booleandtype booleantype bit", feature.Bool)
	add("int int_ integer int8 int16 smallint tinyint mediumint shorttype bytetype int8dtype int16dtype", feature.Int32, feature.Int64)
	add("int32 int32dtype integertype int4", feature.Int32)
	add("int64 int64dtype long longtype bigint", feature.Int64)
	add("float float_ decimal numeric number decimaltype", feature.Float32, feature.Float64)
	add("float32 float32dtype floattype real float4", feature.Float32)
	add("float64 float64dtype double doubletype double_precision float8", feature.Float64)
	add("str string string_types stringdtype stringtype str_ unicode varchar nvarchar char nchar character text clob uuid varchartype chartype", feature.String)
	add("object object_ o", feature.String)
	add("bytes bytes_ binary varbinary blob bytea binarytype largebinary", feature.Bytes)
	add("timestamp timestamptype timestamptz timestamp_ntz timestamp_ltz timestampntztype datetime datetime64 datetime64[ns] datetime64[us] datetimetzdtype datetime2", feature.Timestamp)
	// Types no column here has.
	add("none nonetype complex complex64 complex128 dict date time timedelta timedelta64 datetype interval uint8 uint16 uint32 uint64 float16 category categoricaldtype maptype structtype json jsonb")
	return addArrays(m)
}()

// typeRule and typeListRule ask about the column, so that all its rows that are
// not null pass or none do.
func typeRule(a *args) built {
	col, ok := a.column("column")
	name, named := a.str("type_", "the name of a type, like int64")
	if !ok || !named {
		return built{}
	}
	return a.typed(col, "type_", []string{name})
}

func typeListRule(a *args) built {
	col, ok := a.column("column")
	if _, given := a.get("type_list"); !given {
		if _, there := a.raw["type_list"]; there {
			a.typeFits = true
			return built{onColumn(col, allPass), "any type"}
		}
	}
	names, listed := a.strings("type_list", "a list of type names")
	if !ok || !listed {
		return built{}
	}
	return a.typed(col, "type_list", names)
}

func (a *args) typed(col int, kwarg string, names []string) built {
	want := built{onColumn(col, allFail), "of type " + strings.Join(names, " or ")}
	for _, n := range names {
		types, known := typesNamed(n)
		if !known {
			a.fault(kwarg, "unknown type name %q%s", n, didYouMean(n, sortedKeys(typeNames)))
		}
		if slices.Contains(types, a.typ(col)) {
			want.run, a.typeFits = onColumn(col, allPass), true
			return want
		}
	}
	a.warn(kwarg, "column %s is %s: no row can pass", a.name(col), a.typ(col))
	return want
}

// typesNamed looks a name up without its case and what follows it in brackets,
// as in VARCHAR(20) or timestamp[us, tz=UTC].
func typesNamed(name string) ([]feature.Type, bool) {
	n := strings.ToLower(strings.TrimSpace(name))
	if t, ok := typeNames[n]; ok {
		return t, true
	}
	if i := strings.IndexAny(n, "([ "); i > 0 {
		n = n[:i]
	}
	t, ok := typeNames[n]
	return t, ok
}
