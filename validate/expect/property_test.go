package expect

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// The loops are compared with a reading of the rules one value at a time, on
// random columns, slices of them that do not start at a byte, and random kwargs.

var propertySchema = []struct {
	name string
	typ  feature.Type
}{
	{"b", feature.Bool}, {"i", feature.Int32}, {"j", feature.Int64}, {"f", feature.Float32}, {"d", feature.Float64}, {"s", feature.String},
	{"u", feature.String}, {"t", feature.Timestamp}, {"e", feature.Float64}, {"k", feature.Int64},
}

func TestAgainstRowByRow(t *testing.T) {
	seed := testseed.For(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	rounds, judged, failed := 2000, 0, 0
	if testing.Short() {
		rounds = 500
	}
	var v validate.Verdict
	for range rounds {
		rec := randomRecord(rnd)
		from := rnd.IntN(int(rec.NumRows()) + 1)
		rec = rec.NewSlice(int64(from), int64(from+rnd.IntN(int(rec.NumRows())-from+1)))
		var skip []bool
		if rnd.IntN(3) == 0 {
			for range rec.NumRows() {
				skip = append(skip, rnd.IntN(4) == 0)
			}
		}
		var rules []string
		var naive []naiveRule
		for range 1 + rnd.IntN(5) {
			r, n := randomRule(rnd)
			rules, naive = append(rules, r), append(naive, n)
		}
		s, faults := Compile(suiteOf(t, rules...), rec.Schema())
		if len(faults) > 0 {
			t.Fatalf("%v: %v", rules, faults)
		}
		if err := s.check(rec, skip, &v); err != nil {
			t.Fatal(err)
		}
		want := map[int][]string{}
		for k, rule := range naive {
			evaluated, bad := 0, 0
			for row := range int(rec.NumRows()) {
				if skip != nil && skip[row] {
					continue
				}
				judgedRow, ok := rule(func(name string) any { return valueAt(rec, name, row) })
				if !judgedRow {
					continue
				}
				evaluated++
				if !ok {
					bad++
					want[row] = append(want[row], s.rules[k].Type)
				}
				if got := v.Failures(k).Get(row); got == ok {
					t.Fatalf("%s: row %d fails %v: %v", rules[k], row, got, rec)
				}
			}
			if c := v.Counts()[k]; int(c.Evaluated) != evaluated || int(c.Failed) != bad {
				t.Fatalf("%s: counts %+v, want %d of %d: %v", rules[k], c, bad, evaluated, rec)
			}
			judged, failed = judged+evaluated, failed+bad
		}
		if len(v.Rejected()) != len(want) {
			t.Fatalf("%v: %d rejected, want %d", rules, len(v.Rejected()), len(want))
		}
		for _, r := range v.Rejected() {
			var got []string
			for _, why := range r.Reasons {
				got = append(got, why.Rule)
			}
			if !slices.Equal(got, want[r.Index]) {
				t.Fatalf("%v: row %d: %v, want %v", rules, r.Index, got, want[r.Index])
			}
		}
	}
	t.Logf("%d values judged alike, %d of them failed", judged, failed)
}

var (
	someInts   = []int64{0, 1, -1, 2, 3, 7, 100, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, 1<<53 - 1, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MinInt64, -(1<<53 + 1)}
	someFloats = []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.5, 2, 3, 1e-5, 1e16, 1 << 53, 1 << 63, -(1 << 63), math.MaxFloat32, 1e39, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(), 5e-324}
	someTexts  = []string{"", "a", "b", "ab", "abc", "ABC", "äb", "日本", "a\n", "1", "a%", "a_b", "😀😀", "abcabc", " a"}
	numbers    = []string{"0", "-0.0", "1", "1.0", "-1", "0.1", "0.5", "2", "3", "7", "100", "2147483647", "2147483648", "9007199254740992", "9007199254740993", "9007199254740992.0",
		"9223372036854775807", "9223372036854775808", "-9223372036854775809", "9.3e18", "1e39", "1e400", "-1e400", "123456789012345678901234567890", "1e-5"}
	times = []string{"1970-01-01", "1970-01-01T00:00:00.000001Z", "1970-01-01 00:00:00.000002", "1969-12-31T23:59:59.999999+00:00"}
)

func pickOf[T any](rnd *rand.Rand, from []T) T { return from[rnd.IntN(len(from))] }

func randomRecord(rnd *rand.Rand) arrow.RecordBatch {
	rows := rnd.IntN(200)
	var names []string
	var cols []arrow.Array
	for _, c := range propertySchema {
		nulls := rnd.IntN(3) // some columns have none
		vals := make([]any, rows)
		for i := range vals {
			if nulls > 0 && rnd.IntN(3*nulls) == 0 {
				continue
			}
			switch c.typ {
			case feature.Bool:
				vals[i] = rnd.IntN(2) == 0
			case feature.Int32:
				vals[i] = int(int32(pickOf(rnd, someInts)))
			case feature.Int64:
				vals[i] = int(pickOf(rnd, someInts))
			case feature.Float32, feature.Float64:
				vals[i] = pickOf(rnd, someFloats)
			case feature.String:
				vals[i] = pickOf(rnd, someTexts)
			case feature.Timestamp:
				vals[i] = rnd.IntN(6) - 2
			}
		}
		names, cols = append(names, c.name), append(cols, col(c.typ, vals...))
	}
	return record(strings.Join(names, " "), cols...)
}

// valueAt is nil, a bool, an int64, a float64, a string or a time.Time. Missing
// floats are nil.
func valueAt(rec arrow.RecordBatch, name string, row int) any {
	c := rec.Column(rec.Schema().FieldIndices(name)[0])
	if c.IsNull(row) {
		return nil
	}
	switch c := c.(type) {
	case *array.Boolean:
		return c.Value(row)
	case *array.Int32:
		return int64(c.Value(row))
	case *array.Int64:
		return c.Value(row)
	case *array.Float32:
		if f := float64(c.Value(row)); f == f {
			return f
		}
		return nil
	case *array.Float64:
		if f := c.Value(row); f == f {
			return f
		}
		return nil
	case *array.String:
		return c.Value(row)
	}
	return time.UnixMicro(int64(c.(*array.Timestamp).Value(row))).UTC()
}

// naiveRule judges one row: whether it is judged at all, and whether it is right.
type naiveRule func(get func(string) any) (judged, ok bool)

func randomRule(rnd *rand.Rand) (string, naiveRule) {
	c := pickOf(rnd, propertySchema)
	one := func(ok func(v any) bool) naiveRule {
		return func(get func(string) any) (bool, bool) {
			v := get(c.name)
			return v != nil, v != nil && ok(v)
		}
	}
	negate := rnd.IntN(2) == 0
	no := map[bool]string{true: "not_"}[negate]
	kwargs := func(more string, args ...any) string {
		return fmt.Sprintf(`{"column":"%s"%s}`, c.name, fmt.Sprintf(more, args...))
	}
	switch rnd.IntN(9) {
	case 0:
		return "column_values_to_" + map[bool]string{true: "not_"}[negate] + "be_null " + kwargs(""), func(get func(string) any) (bool, bool) {
			return true, (get(c.name) == nil) != negate
		}
	case 1:
		return randomBetween(rnd, c.name, c.typ, one)
	case 2:
		var set []string
		large := rnd.IntN(5) == 0 // enough for a hash
		for range rnd.IntN(14) {
			switch x := rnd.IntN(10); {
			case c.typ == feature.Timestamp:
				set = append(set, strconv.Quote(pickOf(rnd, times)))
			case c.typ == feature.String && x < 8 || x == 9:
				set = append(set, mustJSON(pickOf(rnd, someTexts)))
			case x == 8:
				set = append(set, pickOf(rnd, []string{"null", "true", "false"}))
			default:
				set = append(set, pickOf(rnd, numbers))
			}
		}
		for i := 0; large && c.typ.Numeric() && i < 2*numberLine; i++ {
			set = append(set, strconv.Itoa(i*3))
		}
		return "column_values_to_" + no + "be_in_set " + kwargs(`,"value_set":[%s]`, strings.Join(set, ",")), one(func(v any) bool {
			return slices.ContainsFunc(set, func(x string) bool { return sameAs(v, x, c.typ) }) != negate
		})
	case 3:
		p := pickOf(rnd, []string{"^a", "b", "^.$", "^..b?$", "[a-c]{2}", "^$", "a|1", "(ab)+c"})
		re := regexp.MustCompile(p)
		if c.typ == feature.Timestamp {
			c.name, c.typ = "s", feature.String
		}
		return "column_values_to_" + no + "match_regex " + kwargs(`,"regex":%q`, p), one(func(v any) bool {
			s := pyText(v, c.typ)
			return (re.MatchString(s) || strings.HasSuffix(s, "\n") && re.MatchString(s[:len(s)-1])) != negate
		})
	case 4:
		p := pickOf(rnd, []string{"a%", "%b", "_", "__", "%", "", "a%c", "%b%c", `a\%`, `a\_b`, "_%_", "日%"})
		re := regexp.MustCompile(likeRegexp(p))
		c.name = pickOf(rnd, []string{"s", "u"})
		return "column_values_to_" + no + "match_like_pattern " + kwargs(`,"like_pattern":%q`, p), one(func(v any) bool { return re.MatchString(v.(string)) != negate })
	case 5:
		lo, hi := rnd.IntN(4), rnd.IntN(8)+4
		if c.typ == feature.Timestamp {
			c.name, c.typ = "u", feature.String
		}
		return "column_value_lengths_to_be_between " + kwargs(`,"min_value":%d,"max_value":%d`, lo, hi), one(func(v any) bool {
			n := len([]rune(pyText(v, c.typ)))
			return n >= lo && n <= hi
		})
	case 6, 7:
		return randomPair(rnd)
	}
	return randomRecordRule(rnd)
}

func randomBetween(rnd *rand.Rand, name string, typ feature.Type, one func(func(any) bool) naiveRule) (string, naiveRule) {
	limit := func() string {
		switch typ {
		case feature.String:
			return mustJSON(pickOf(rnd, someTexts))
		case feature.Timestamp:
			return strconv.Quote(pickOf(rnd, times))
		}
		return pickOf(rnd, numbers)
	}
	lo, hi := limit(), limit()
	if compareJSON(lo, hi) > 0 {
		lo, hi = hi, lo
	}
	switch rnd.IntN(4) {
	case 0:
		lo = "null"
	case 1:
		hi = "null"
	}
	sl, sh := rnd.IntN(2) == 0, rnd.IntN(2) == 0
	return fmt.Sprintf(`column_values_to_be_between {"column":"%s","min_value":%s,"max_value":%s,"strict_min":%v,"strict_max":%v}`, name, lo, hi, sl, sh), one(func(v any) bool {
		if lo != "null" {
			if d := compareTo(v, lo, typ); d < 0 || sl && d == 0 {
				return false
			}
		}
		if hi != "null" {
			if d := compareTo(v, hi, typ); d > 0 || sh && d == 0 {
				return false
			}
		}
		return true
	})
}

func randomPair(rnd *rand.Rand) (string, naiveRule) {
	pairs := [][2]string{{"j", "k"}, {"d", "e"}, {"s", "u"}, {"i", "j"}, {"j", "d"}, {"f", "d"}, {"b", "i"}, {"t", "t"}, {"f", "k"}}
	p := pickOf(rnd, pairs)
	ignore := pickOf(rnd, []string{"both_values_are_missing", "either_value_is_missing", "neither"})
	kwargs := fmt.Sprintf(`"column_A":"%s","column_B":"%s","ignore_row_if":"%s"`, p[0], p[1], ignore)
	rule := func(ok func(d int) bool) naiveRule {
		return func(get func(string) any) (bool, bool) {
			a, b := get(p[0]), get(p[1])
			missing := map[string]bool{"both_values_are_missing": a == nil && b == nil, "either_value_is_missing": a == nil || b == nil}[ignore]
			return !missing, a != nil && b != nil && ok(compareAny(a, b))
		}
	}
	if rnd.IntN(2) == 0 {
		return "column_pair_values_to_be_equal {" + kwargs + "}", rule(func(d int) bool { return d == 0 })
	}
	eq := rnd.IntN(2) == 0
	return fmt.Sprintf(`column_pair_values_a_to_be_greater_than_b {%s,"or_equal":%v}`, kwargs, eq), rule(func(d int) bool { return d > 0 || eq && d == 0 })
}

func randomRecordRule(rnd *rand.Rand) (string, naiveRule) {
	cols := [][]string{{"j", "k"}, {"i", "j", "k"}, {"d", "e"}, {"b", "i", "f", "d"}, {"s", "u"}, {"s", "j", "d"}}
	list := pickOf(rnd, cols)
	ignore := pickOf(rnd, []string{"all_values_are_missing", "any_value_is_missing", "never"})
	kwargs := fmt.Sprintf(`"column_list":%s,"ignore_row_if":"%s"`, mustJSON(list), ignore)
	rule := func(ok func(vals []any) bool) naiveRule {
		return func(get func(string) any) (bool, bool) {
			var vals []any
			nulls := 0
			for _, n := range list {
				v := get(n)
				if v == nil {
					nulls++
				}
				vals = append(vals, v)
			}
			missing := map[string]bool{"all_values_are_missing": nulls == len(vals), "any_value_is_missing": nulls > 0}[ignore]
			return !missing, ok(vals)
		}
	}
	if rnd.IntN(2) == 0 || list[0] == "s" {
		return "select_column_values_to_be_unique_within_record {" + kwargs + "}", rule(func(vals []any) bool {
			for i, a := range vals {
				for _, b := range vals[:i] {
					if a == nil && b == nil || a != nil && b != nil && compareAny(a, b) == 0 {
						return false
					}
				}
			}
			return true
		})
	}
	total := pickOf(rnd, []string{"0", "1", "2", "3.0", "0.5", "18446744073709551614", "-1", "9007199254740992"})
	return fmt.Sprintf(`multicolumn_sum_to_equal {%s,"sum_total":%s}`, kwargs, total), rule(func(vals []any) bool {
		exact, sum, floats := new(big.Int), 0.0, false
		for i, v := range vals {
			if v == nil {
				return false
			}
			floats = floats || list[i] == "f" || list[i] == "d" || list[i] == "e"
			switch v := v.(type) {
			case bool:
				if v {
					exact.Add(exact, big.NewInt(1))
					sum++
				}
			case int64:
				exact.Add(exact, big.NewInt(v))
				sum += float64(v)
			case float64:
				sum += v
			}
		}
		if floats {
			f, _ := strconv.ParseFloat(total, 64)
			return sum == f
		}
		return new(big.Rat).SetInt(exact).Cmp(mustRat(total)) == 0
	})
}

// compareAny orders two values of comparable kinds; 2 is neither.
func compareAny(a, b any) int {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
		return 2
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	if _, ok := b.(string); ok {
		return 2
	}
	return exactly(a).Cmp(exactly(b))
}

func exactly(v any) *big.Float {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewFloat(1)
		}
		return new(big.Float)
	case int64:
		return new(big.Float).SetInt64(v)
	}
	return new(big.Float).SetFloat64(v.(float64))
}

// jsonNumber is a limit as Python reads it, rounded to float32 where the column is.
func pyNumber(s string, typ feature.Type) *big.Float {
	var x *big.Float
	if strings.ContainsAny(s, ".e") {
		f, _ := strconv.ParseFloat(s, 64)
		x = new(big.Float).SetFloat64(f)
	} else {
		i, _ := new(big.Int).SetString(s, 10)
		x = new(big.Float).SetInt(i)
	}
	if typ == feature.Float32 {
		if f, _ := x.Float64(); math.Abs(f) <= math.MaxFloat32 {
			x = new(big.Float).SetFloat64(float64(float32(f)))
		}
	}
	return x
}

func compareTo(v any, limit string, typ feature.Type) int {
	switch v := v.(type) {
	case string:
		return strings.Compare(v, unquote(limit))
	case time.Time:
		return v.Compare(mustTime(unquote(limit)))
	}
	return exactly(v).Cmp(pyNumber(limit, typ))
}

func sameAs(v any, member string, typ feature.Type) bool {
	switch v := v.(type) {
	case string:
		return member[0] == '"' && unquote(member) == v
	case time.Time:
		return mustTime(unquote(member)).Equal(v)
	}
	switch member {
	case "null":
		return false
	case "true":
		return exactly(v).Cmp(big.NewFloat(1)) == 0
	case "false":
		return exactly(v).Sign() == 0
	}
	return member[0] != '"' && exactly(v).Cmp(pyNumber(member, typ)) == 0
}

func compareJSON(a, b string) int {
	if a[0] == '"' {
		if x, err := time.Parse(time.RFC3339, unquote(a)); err == nil || strings.HasPrefix(unquote(a), "19") {
			_ = x
			return mustTime(unquote(a)).Compare(mustTime(unquote(b)))
		}
		return strings.Compare(unquote(a), unquote(b))
	}
	return pyNumber(a, feature.Float64).Cmp(pyNumber(b, feature.Float64))
}

func pyText(v any, typ feature.Type) string {
	switch v := v.(type) {
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		switch {
		case math.IsInf(v, 1):
			return "inf"
		case math.IsInf(v, -1):
			return "-inf"
		}
		bits := 64
		if typ == feature.Float32 {
			bits = 32
		}
		if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
			return strconv.FormatFloat(v, 'e', -1, bits)
		}
		s := strconv.FormatFloat(v, 'f', -1, bits)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return v.(string)
}

func likeRegexp(p string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	esc := false
	for _, r := range p {
		switch {
		case esc:
			b.WriteString(regexp.QuoteMeta(string(r)))
			esc = false
		case r == '\\':
			esc = true
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return b.String() + `\z`
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func unquote(s string) string {
	var out string
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		panic(err)
	}
	return out
}

func mustRat(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

func mustTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	panic(s)
}
