package expect

import (
	"math/big"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect/pytime"
)

// time reads an ISO 8601 date or time as microseconds, UTC where it names no offset.
func (a *args) time(at, s string) *number {
	t, err := pytime.ParseISO(s)
	if err != nil {
		a.fails(at, "%v", err)
		return nil
	}
	return &number{i: big.NewInt(t)}
}

// dateColumn reads the column of a date rule, which must be text.
func (a *args) dateColumn() (int, bool) {
	col, ok := a.column("column")
	if ok && a.typ(col) != feature.String {
		hint := ""
		if a.typ(col) == feature.Timestamp {
			hint = ": a timestamp has been read already, check it with expect_column_values_to_be_between"
		}
		a.unfits("column", "column %s is %s, the rule needs text%s", a.name(col), a.typ(col), hint)
		return 0, false
	}
	return col, ok
}

func strftimeRule(a *args) built {
	col, ok := a.dateColumn()
	f, given := a.str("strftime_format", "a format, like %Y-%m-%d")
	if !ok || !given {
		return built{}
	}
	format, err := pytime.CompileFormat(f)
	if err != nil {
		a.fault("strftime_format", "%v", err)
		return built{}
	}
	return built{onColumn(col, textLoop(format.Match)), "a time written as " + f}
}

func dateutilRule(a *args) built {
	col, ok := a.dateColumn()
	if !ok {
		return built{}
	}
	return built{onColumn(col, textLoop(pytime.Parseable)), "a readable date or time"}
}
