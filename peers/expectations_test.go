//go:build peers

package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// gxAnswer is what Great Expectations says of one expectation.
type gxAnswer struct {
	Success   bool
	Result    map[string]any
	Exception string
}

// gxClient is expectations/client.py.
type gxClient struct {
	t    testing.TB
	in   *json.Encoder
	out  *bufio.Reader
	errs *tail
}

func startGX(t testing.TB) *gxClient {
	cmd := exec.Command(pythonOf(t, "expectations"), "expectations/client.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	c := &gxClient{t, json.NewEncoder(in), bufio.NewReaderSize(out, 1<<20), &tail{}}
	cmd.Stderr = c.errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	var version string
	c.answer(&version)
	t.Logf("Great Expectations %s", version)
	return c
}

func (c *gxClient) answer(into any) {
	c.t.Helper()
	line, err := c.out.ReadBytes('\n')
	require.NoError(c.t, err, "%s", c.errs)
	var a struct {
		OK    json.RawMessage
		Error string
	}
	require.NoError(c.t, json.Unmarshal(expect.PythonJSON(line), &a))
	require.Empty(c.t, a.Error, "%s", c.errs)
	require.NoError(c.t, json.Unmarshal(a.OK, into))
}

// TestGreatExpectationsAgrees runs random suites over random tables through Great
// Expectations and through us: the verdict, the counts, the unexpected rows and the
// observed values have to be the same.
func TestGreatExpectationsAgrees(t *testing.T) {
	gx := startGX(t)
	tables, judged, failed, raised := 40, 0, 0, 0
	for seed := range testseed.Each(t, tables) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		table := randomTable(rnd)
		var suite feature.Suite
		var texts []string
		for range 8 {
			e := table.expectation(rnd)
			texts = append(texts, e)
			typ, kwargs, _ := strings.Cut(e, " ")
			x := feature.Expectation{Type: typ}
			require.NoError(t, json.Unmarshal([]byte(kwargs), &x.Kwargs), e)
			suite.Expectations = append(suite.Expectations, x)
		}
		parameters := map[string]json.RawMessage{"two": json.RawMessage("2"), "share": json.RawMessage("0.7")}
		require.NoError(t, gx.in.Encode(map[string]any{"columns": table.json(), "expectations": suite.Expectations, "parameters": parameters}))
		var want struct {
			Success bool
			Results []gxAnswer
		}
		gx.answer(&want)

		rec := table.record()
		s, faults := expect.CompileTable(&suite, rec.Schema(), expect.WithParameters(parameters))
		require.Empty(t, faults, "%q", texts)
		run := s.Begin(expect.TableOptions{Complete: true, Temp: t.TempDir(), Memory: []int64{0, 1}[rnd.IntN(2)]})
		for from := int64(0); from < rec.NumRows(); {
			to := min(rec.NumRows(), from+1+rnd.Int64N(20))
			require.NoError(t, run.Add(rec.NewSlice(from, to)))
			from = to
		}
		got, err := run.Finish()
		require.NoError(t, err)
		require.NoError(t, run.Close())
		for i, w := range want.Results {
			if why := differs(w, got.Results[i]); why != "" {
				t.Errorf("%s\n%s\nGreat Expectations: %+v\nwe: %+v\ntable: %s", texts[i], why, w, got.Results[i], table)
			}
			judged++
			if !w.Success {
				failed++
			}
			if w.Exception != "" {
				raised++
			}
		}
		require.Equal(t, want.Success, got.Success)
	}
	t.Logf("%d answers are the same, %d of them failures, of these %d exceptions", judged, failed, raised)
}

// differs says how our result is not the one wanted.
func differs(want gxAnswer, got expect.Result) string {
	if (want.Exception != "") != (got.Exception != "") {
		return "exception"
	}
	if want.Success != got.Success {
		return "success"
	}
	if want.Exception != "" {
		return ""
	}
	r := want.Result
	if !got.Map {
		if w, ok := r["observed_value"]; ok && got.More == nil && !alike(w, got.Observed) {
			return "observed_value"
		}
		for _, k := range []string{"unexpected_count", "missing_count", "partial_unexpected_list"} {
			if w, ok := r[k]; ok && !alike(w, got.More[k]) {
				return k
			}
		}
		return ""
	}
	if !alike(r["element_count"], got.Elements) || !alike(r["unexpected_count"], got.Unexpected) {
		return "element_count or unexpected_count"
	}
	if m, ok := r["missing_count"]; ok != (got.Missing >= 0) || ok && !alike(m, got.Missing) {
		return "missing_count"
	}
	values, rows := []any{}, []any{}
	for _, e := range got.Examples {
		values, rows = append(values, e.Value), append(rows, e.Row)
	}
	if !alike(r["unexpected_list"], values) {
		return "unexpected_list"
	}
	if w, ok := r["unexpected_index_list"]; ok && w != nil && !alike(w, rows) {
		return "unexpected_index_list"
	}
	if l, ok := r["partial_unexpected_counts"].([]any); ok {
		for _, c := range got.Counts {
			if v, several := c.Value.([]any); c.Value == nil || several && slices.Contains(v, nil) {
				return "" // to Python no two NaNs are the same, so that it counts each
			}
		}
		if len(l) != min(20, len(got.Counts)) {
			return "partial_unexpected_counts"
		}
		for i := range l {
			w := l[i].(map[string]any)
			if len(got.Counts) <= 20 && (!alike(w["count"], got.Counts[i].Count) || !alike(w["value"], got.Counts[i].Value)) {
				return "partial_unexpected_counts"
			}
		}
	}
	return ""
}

// alike compares a value of JSON with one of a result; of numbers the last digits may differ.
func alike(want, got any) bool {
	switch got := got.(type) {
	case int64:
		return alike(want, float64(got))
	case bool:
		if f, ok := want.(float64); ok { // an extreme of bools
			return f == map[bool]float64{true: 1}[got]
		}
		return want == any(got)
	case float64:
		if b, ok := want.(bool); ok {
			return got == map[bool]float64{true: 1}[b]
		}
		w, ok := want.(float64)
		return ok && (w == got || math.Abs(w-got) <= 1e-9*max(1, math.Abs(w)))
	case time.Time:
		s, ok := want.(string)
		if !ok {
			return false
		}
		for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", time.RFC3339} {
			if w, err := time.Parse(layout, s); err == nil {
				return w.Equal(got)
			}
		}
		return false
	case []any:
		l, ok := want.([]any)
		if !ok || len(l) != len(got) {
			return false
		}
		for i := range l {
			if !alike(l[i], got[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		m, ok := want.(map[string]any)
		if !ok || len(m) != len(got) {
			return false
		}
		for k, v := range got {
			if !alike(m[k], v) {
				return false
			}
		}
		return true
	}
	return want == got || got == nil && want == "NaT"
}

// gxTable is a random table, its values as JSON has them.
type gxTable struct {
	names []string
	types []feature.Type
	cols  [][]any
	rows  int
}

func (g *gxTable) String() string {
	b, err := json.Marshal(g.json())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (g *gxTable) json() [][3]any {
	out := make([][3]any, len(g.names))
	for i, n := range g.names {
		out[i] = [3]any{n, g.types[i].String(), g.cols[i]}
	}
	return out
}

func (g *gxTable) record() arrow.RecordBatch {
	var fields []arrow.Field
	var cols []arrow.Array
	for i, n := range g.names {
		bld := array.NewBuilder(memory.DefaultAllocator, g.types[i].Arrow())
		for _, v := range g.cols[i] {
			switch b := bld.(type) {
			case *array.Int64Builder:
				appendOr(b, v, func(v any) int64 { return v.(int64) })
			case *array.Float64Builder:
				appendOr(b, v, func(v any) float64 { return v.(float64) })
			case *array.BooleanBuilder:
				appendOr(b, v, func(v any) bool { return v.(bool) })
			case *array.StringBuilder:
				appendOr(b, v, func(v any) string { return v.(string) })
			case *array.TimestampBuilder:
				appendOr(b, v, func(v any) arrow.Timestamp { return arrow.Timestamp(v.(int64)) })
			}
		}
		fields = append(fields, arrow.Field{Name: n, Type: g.types[i].Arrow(), Nullable: true})
		cols = append(cols, bld.NewArray())
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(g.rows))
}

func appendOr[T any](b interface {
	Append(T)
	AppendNull()
}, v any, as func(any) T) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(as(v))
}

func randomTable(rnd *rand.Rand) *gxTable {
	g := &gxTable{rows: 1 + rnd.IntN(60)}
	if rnd.IntN(15) == 0 {
		g.rows = 1 + rnd.IntN(2)
	}
	nulls := func() int { return []int{0, 0, 5, 2}[rnd.IntN(4)] }
	add := func(name string, typ feature.Type, nulls int, value func(i int) any) {
		col := make([]any, g.rows)
		for i := range col {
			if nulls == 0 || rnd.IntN(nulls) > 0 {
				col[i] = value(i)
			}
		}
		g.names, g.types, g.cols = append(g.names, name), append(g.types, typ), append(g.cols, col)
	}
	words := []string{"a", "b", "ab", "abc", "B", "", "äb", "b c", "12", "a1"}
	add("i", feature.Int64, 0, func(int) any { return rnd.Int64N(9) - 3 })
	add("j", feature.Int64, nulls(), func(int) any { return rnd.Int64N(6) })
	add("k", feature.Int64, 0, func(i int) any { return int64(i) + rnd.Int64N(2) })
	add("f", feature.Float64, nulls(), func(int) any { return math.Round(rnd.NormFloat64()*40) / 8 })
	add("g", feature.Float64, nulls(), func(int) any { return rnd.NormFloat64() * math.Pow(10, float64(rnd.IntN(4))) })
	add("s", feature.String, nulls(), func(int) any { return words[rnd.IntN(len(words))] })
	add("u", feature.String, 0, func(i int) any { return fmt.Sprintf("id-%d", i-rnd.IntN(2)) })
	add("b", feature.Bool, 0, func(int) any { return rnd.IntN(3) > 0 })
	add("t", feature.Timestamp, nulls(), func(int) any { return (1_700_000_000 + 3600*rnd.Int64N(12)) * 1_000_000 })
	return g
}

func one(rnd *rand.Rand, from ...string) string { return from[rnd.IntN(len(from))] }

// expectation is a random one, "type {kwargs}".
func (g *gxTable) expectation(rnd *rand.Rand) string {
	number := one(rnd, "i", "j", "k", "f", "g")
	any1 := one(rnd, "i", "j", "f", "s", "u", "t")
	text := one(rnd, "s", "u")
	extra := ""
	if rnd.IntN(3) == 0 {
		extra += `,"row_condition":` + condition(rnd) + `,"condition_parser":"pandas"`
	}
	mostly := func() string {
		switch rnd.IntN(4) {
		case 0:
			return fmt.Sprintf(`,"mostly":%v`, math.Round(rnd.Float64()*20)/20)
		case 1:
			if rnd.IntN(3) == 0 {
				return `,"mostly":{"$PARAMETER":"share"}`
			}
		}
		return ""
	}
	limits := func(lo, spread float64) string {
		a := math.Round((lo+rnd.Float64()*spread)*8) / 8
		b := math.Round((a+rnd.Float64()*spread)*8) / 8
		out := fmt.Sprintf(`,"min_value":%v,"max_value":%v`, a, b)
		switch rnd.IntN(5) {
		case 0:
			out = fmt.Sprintf(`,"min_value":%v`, a)
		case 1:
			out = fmt.Sprintf(`,"max_value":%v`, b)
		case 2:
			out += fmt.Sprintf(`,"strict_min":%v,"strict_max":%v`, rnd.IntN(2) == 0, rnd.IntN(2) == 0)
		case 3:
			if rnd.IntN(3) == 0 {
				out = `,"max_value":{"$PARAMETER":"two"}`
			}
		}
		return out
	}
	set := func(col string) string {
		var vals []string
		for range rnd.IntN(9) {
			switch col {
			case "s":
				vals = append(vals, one(rnd, `"a"`, `"b"`, `"ab"`, `"abc"`, `"B"`, `""`, `"zz"`))
			case "u":
				vals = append(vals, fmt.Sprintf(`"id-%d"`, rnd.IntN(50)))
			default:
				vals = append(vals, one(rnd, "0", "1", "2", "3", "4", "5", "-1", "-2", "0.5", "1.0", "77"))
			}
		}
		if len(vals) == 0 {
			vals = []string{map[bool]string{true: "1", false: `"a"`}[col != "s" && col != "u"]}
		}
		return "[" + strings.Join(vals, ",") + "]"
	}
	e := func(typ, col, kwargs string) string {
		return fmt.Sprintf(`expect_%s {"column":"%s"%s%s}`, typ, col, kwargs, extra)
	}
	settable := one(rnd, "i", "j", "f", "s", "u")
	times := one(rnd, `,"min_value":"2023-11-14T20:00:00","max_value":"2023-11-15T06:00:00"`, `,"max_value":"2023-11-15T00:13:20"`, `,"min_value":"2023-11-15T04:00:00","strict_min":true`)
	switch rnd.IntN(36) {
	case 0:
		return e("column_values_to_be_between", number, limits(-3, 4)+mostly())
	case 1:
		return e("column_values_to_be_in_set", settable, `,"value_set":`+set(settable)+mostly())
	case 2:
		return e("column_values_to_not_be_in_set", settable, `,"value_set":`+set(settable)+mostly())
	case 3:
		return e("column_values_to_not_be_null", any1, mostly())
	case 4:
		return e("column_values_to_be_null", any1, mostly())
	case 5:
		return e("column_values_to_be_unique", one(rnd, any1, "b"), mostly())
	case 6:
		return e("column_values_to_match_regex", text, fmt.Sprintf(`,"regex":%q`, one(rnd, "^a", "b", "^[a-c]+$", `\d`, "^$"))+mostly())
	case 7:
		return e("column_values_to_not_match_regex", text, fmt.Sprintf(`,"regex":%q`, one(rnd, "^a", "b", "^[a-c]+$", `\d`))+mostly())
	case 8:
		return e("column_value_lengths_to_be_between", text, fmt.Sprintf(`,"min_value":%d,"max_value":%d`, rnd.IntN(3), 3+rnd.IntN(3))+mostly())
	case 9:
		return e("column_mean_to_be_between", one(rnd, number, "b"), limits(-1, 3))
	case 10:
		return e("column_median_to_be_between", one(rnd, number, "b"), limits(-1, 3))
	case 11:
		return e("column_stdev_to_be_between", number, limits(0, 4))
	case 12:
		return e("column_sum_to_be_between", one(rnd, number, "b"), limits(-20, 80))
	case 13:
		return e("column_min_to_be_between", number, limits(-4, 3))
	case 14:
		return e("column_max_to_be_between", number, limits(2, 4))
	case 15:
		var qs, rs []string
		for q := rnd.Float64() / 2; q <= 1; q += rnd.Float64() / 2 {
			qs = append(qs, fmt.Sprintf("%.3f", q))
			lo := rnd.Float64()*6 - 4
			rs = append(rs, one(rnd, fmt.Sprintf("[%.3f,%.3f]", lo, lo+3), fmt.Sprintf("[null,%.3f]", lo+3), fmt.Sprintf("[%.3f,null]", lo)))
		}
		how := one(rnd, "", "", `,"allow_relative_error":"linear"`, `,"allow_relative_error":"lower"`, `,"allow_relative_error":"higher"`, `,"allow_relative_error":"midpoint"`)
		return e("column_quantile_values_to_be_between", number, fmt.Sprintf(`,"quantile_ranges":{"quantiles":[%s],"value_ranges":[%s]}%s`, strings.Join(qs, ","), strings.Join(rs, ","), how))
	case 16:
		return e("column_unique_value_count_to_be_between", one(rnd, any1, "b"), fmt.Sprintf(`,"min_value":%d,"max_value":%d`, rnd.IntN(6), 6+rnd.IntN(20)))
	case 17:
		return e("column_proportion_of_unique_values_to_be_between", any1, limits(0, 1))
	case 18:
		return e("column_proportion_of_non_null_values_to_be_between", any1, limits(0.5, 0.6))
	case 19:
		return e("column_distinct_values_to_be_in_set", settable, `,"value_set":`+set(settable))
	case 20:
		return e("column_distinct_values_to_contain_set", settable, `,"value_set":`+set(settable))
	case 21:
		return e("column_distinct_values_to_equal_set", settable, `,"value_set":`+set(settable))
	case 22:
		return e("column_most_common_value_to_be_in_set", settable, `,"value_set":`+set(settable)+one(rnd, "", `,"ties_okay":true`))
	case 23:
		return e("column_values_to_be_increasing", one(rnd, number, "t"), one(rnd, "", `,"strictly":true`)+mostly())
	case 24:
		return e("column_values_to_be_decreasing", one(rnd, number, "t"), one(rnd, "", `,"strictly":true`)+mostly())
	case 25:
		return e("column_value_z_scores_to_be_less_than", number, fmt.Sprintf(`,"threshold":%.2f,"double_sided":%v`, rnd.Float64()*2+0.3, rnd.IntN(2) == 0)+mostly())
	case 26:
		return e("column_values_to_not_be_outliers", number, fmt.Sprintf(`,"method":"%s","multiplier":%.2f`, one(rnd, "iqr", "std"), rnd.Float64()*2)+mostly())
	case 27:
		lists := [][]string{{"i", "j"}, {"s", "b"}, {"u", "i"}, {"j", "s", "t"}, {"f", "j"}}
		l, _ := json.Marshal(lists[rnd.IntN(len(lists))])
		ignore := one(rnd, "", `,"ignore_row_if":"any_value_is_missing"`, `,"ignore_row_if":"never"`, `,"ignore_row_if":"all_values_are_missing"`)
		return fmt.Sprintf(`expect_compound_columns_to_be_unique {"column_list":%s%s%s%s}`, l, ignore, mostly(), extra)
	case 28:
		ignore := one(rnd, "", `,"ignore_row_if":"either_value_is_missing"`, `,"ignore_row_if":"neither"`)
		return fmt.Sprintf(`expect_column_pair_values_a_to_be_greater_than_b {"column_A":"%s","column_B":"%s"%s%s%s%s}`,
			one(rnd, "i", "k"), one(rnd, "j", "f"), one(rnd, "", `,"or_equal":true`), ignore, mostly(), extra)
	case 29:
		ignore := one(rnd, "", `,"ignore_row_if":"either_value_is_missing"`, `,"ignore_row_if":"neither"`)
		return fmt.Sprintf(`expect_column_pair_values_to_be_equal {"column_A":"%s","column_B":"%s"%s%s%s}`, one(rnd, "i", "f"), one(rnd, "j", "k"), ignore, mostly(), extra)
	case 30:
		return fmt.Sprintf(`expect_multicolumn_sum_to_equal {"column_list":["i","%s"],"sum_total":%d%s%s}`, one(rnd, "j", "k"), rnd.IntN(6), mostly(), extra)
	case 33:
		return e(one(rnd, "column_min", "column_max", "column_median", "column_mean")+"_to_be_between", "t", times)
	case 34:
		return one(rnd, e("column_values_to_be_between", "t", times+mostly()), e("column_max_to_be_between", "b", `,"min_value":1`), e("column_min_to_be_between", "b", `,"max_value":0`))
	case 31:
		if rnd.IntN(2) == 0 {
			return fmt.Sprintf(`expect_table_row_count_to_be_between {"min_value":%d,"max_value":%d%s}`, rnd.IntN(30), 30+rnd.IntN(30), extra)
		}
		return fmt.Sprintf(`expect_table_row_count_to_equal {"value":%d}`, g.rows+rnd.IntN(2))
	case 32:
		if col := one(rnd, "s", "i", "j"); rnd.IntN(2) == 0 {
			vals := map[string]string{"s": `["a","b","ab"]`, "i": "[0,1,2]", "j": "[0,1,2]"}[col]
			return e("column_kl_divergence_to_be_less_than", col, fmt.Sprintf(`,"partition_object":{"values":%s,"weights":[0.5,0.25,0.25]},"threshold":%.2f,"tail_weight_holdout":%v`, vals, rnd.Float64(), one(rnd, "0", "0.1")))
		}
		return e("column_kl_divergence_to_be_less_than", one(rnd, "f", "i", "k"), fmt.Sprintf(`,"partition_object":{"bins":[-2,0,1,5],"weights":[0.5,%s,0.25]},"threshold":%.2f,"tail_weight_holdout":0.1,"internal_weight_holdout":%v`,
			"0.25", rnd.Float64(), one(rnd, "0", "0.1")))
	}
	return one(rnd, `expect_table_columns_to_match_ordered_list {"column_list":["i","j"]}`, `expect_table_column_count_to_equal {"value":9}`,
		`expect_table_columns_to_match_set {"column_set":["i","j","k","f","g","s","u","b","t"]}`, `expect_table_columns_to_match_set {"column_set":["i","x"],"exact_match":false}`,
		`expect_column_to_exist {"column":"k","column_index":2}`, `expect_column_to_exist {"column":"nope"}`, `expect_table_column_count_to_be_between {"min_value":3,"max_value":9}`,
		e("column_mean_to_be_between", "u", `,"min_value":1`), e("column_values_to_be_unique", "absent", ""))
}

// condition is a random row_condition as JSON.
func condition(rnd *rand.Rand) string {
	simple := func() string {
		return one(rnd, "i > 0", "j <= 2", "j != 3", `s == "a"`, `s != "b"`, "f < 1.5", "b == True", "b", "i in [1, 2, 5]", "j not in [0, 1]", `s in ["a", "ab"]`, "0 < i <= 3",
			"i < j", "f >= g", "j.isnull()", "s.notnull()", `t >= "2023-11-15"`, "-1 < f", "j == 2.0", "i == i", "`k` > 5")
	}
	object := func() string {
		return one(rnd, `{"type":"comparison","column":{"name":"i"},"operator":">","parameter":0}`, `{"type":"nullity","column":{"name":"j"},"is_null":false}`,
			`{"type":"comparison","column":{"name":"s"},"operator":"IN","parameter":["a","b"]}`, `{"type":"comparison","column":{"name":"j"},"operator":"NOT_IN","parameter":[1,2]}`,
			`{"type":"comparison","column":{"name":"s"},"operator":"!=","parameter":"a"}`, `{"type":"nullity","column":{"name":"s"},"is_null":true}`)
	}
	quoted := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	}
	switch rnd.IntN(7) {
	case 0:
		return quoted(simple() + one(rnd, " and ", " & ", " or ", " | ") + simple())
	case 1:
		return quoted("not (" + simple() + ") and " + simple() + " or " + simple())
	case 2:
		return quoted("~(" + simple() + " & " + simple() + ")")
	case 3:
		return object()
	case 4:
		return fmt.Sprintf(`{"type":"%s","conditions":[%s,%s]}`, one(rnd, "and", "or"), object(), object())
	}
	return quoted(simple())
}
