package jsonschema

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

func mustCompile(t testing.TB, src string, o Options) *Schema {
	t.Helper()
	s, err := Compile([]byte(src), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within fails when f takes long: what it calls must be bounded. The bound is
// far above what is needed, so that a busy machine does not fail the test.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s has not ended after %s", what, d)
	}
}

func TestNoReferenceIsLoaded(t *testing.T) {
	for _, ref := range []string{"http://127.0.0.1:1/x.json", "https://example.invalid/x.json", "file:///etc/passwd", "/etc/passwd", "../x.json", "x.json", "urn:x:y"} {
		_, err := Compile(fmt.Appendf(nil, `{"$ref":%q}`, ref), Options{})
		if err == nil || feature.KindOf(err) != feature.Invalid {
			t.Fatalf("%s: %v", ref, err)
		}
		if !strings.Contains(err.Error(), "references are not loaded") || strings.Contains(err.Error(), "weir.invalid") {
			t.Errorf("%s: %v", ref, err)
		}
	}
	_, err := Compile([]byte(`{"$schema":"http://127.0.0.1:1/meta.json"}`), Options{})
	if err == nil {
		t.Fatal("an unknown metaschema is accepted")
	}
	s := mustCompile(t, `{"properties":{"a":{"$ref":"common.json#/$defs/id"},"b":{"$ref":"https://weir.test/b"}}}`, Options{Resources: map[string][]byte{
		"common.json": []byte(`{"$defs":{"id":{"type":"integer"}}}`), "https://weir.test/b": []byte(`{"type":"string"}`)}})
	if r := s.Validate([]byte(`{"a":"x","b":1}`)); len(r) != 2 || !s.Compiled() {
		t.Fatal(r, s.Compiled())
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	for src, want := range map[string]string{
		``:                                   "empty",
		`{`:                                  "",
		`{"type":"strnig"}`:                  "type",
		`{"type":1}`:                         "type",
		`{"pattern":"(?=x)"}`:                "no look-around",
		`{"pattern":"["}`:                    "regex",
		`{"minimum":1e1500000}`:              "exponent",
		`{"required":["a","a"]}`:             "items that differ",
		`{"minLength":-1}`:                   "at least 0",
		`{"multipleOf":0}`:                   "above 0",
		`{"$ref":"#/$defs/none"}`:            "not found",
		`{"type":"string","type":"integer"}`: "twice",
		`5`:                                  "",
		strings.Repeat(`{"not":`, 10_000):    "nested deeper",
		strings.Repeat(`{"not":`, 510) + "{}" + strings.Repeat(`}`, 510): "-",
	} {
		_, err := Compile([]byte(src), Options{})
		if want == "-" {
			if err != nil {
				t.Errorf("%.60s: %v", src, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v", src, err)
		} else {
			t.Logf("%.60s: %v", src, err)
		}
	}
	if _, err := Compile([]byte(`{}`), Options{Draft: 5}); err == nil {
		t.Error("draft 5 is accepted")
	}
}

// Every failing keyword is a reason, with path, value and what was expected.
func TestReasons(t *testing.T) {
	const src = `{
		"type": "object",
		"required": ["id", "when"],
		"minProperties": 20,
		"properties": {
			"id": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$"},
			"n": {"type": "integer", "minimum": 0, "multipleOf": 5},
			"tags": {"maxItems": 2, "uniqueItems": true, "items": {"enum": ["x", "y"]}},
			"geo": {"properties": {"lat": {"exclusiveMaximum": 90}, "lon": {"const": 0}}, "additionalProperties": false},
			"either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
			"one": {"oneOf": [{"minimum": 1}, {"maximum": 9}]},
			"no": {"not": {"type": "number"}},
			"cond": {"if": {"type": "string"}, "then": {"maxLength": 1}},
			"ref": {"$ref": "#/$defs/r"},
			"nothing": false
		},
		"dependentRequired": {"n": ["m"]},
		"propertyNames": {"maxLength": 7},
		"$defs": {"r": {"allOf": [{"type": "string"}, {"minimum": 3}]}}
	}`
	const event = `{"id":"A1","n":-3.5,"tags":["x","z","x"],"geo":{"lat":90,"lon":1,"alt":{"a":1}},"either":1,"one":5,"no":7,"cond":"long","ref":2,"nothing":null,"too_long_a_name":1}`
	want := []string{
		`schema.minProperties  "{\"id\":\"A1\",\"n\":-3.5,\"tags\":[\"x\",\"z\",\"x\"],\"geo\":{\"lat\":90,\"lon\":1,\"alt\":{\"a\":1}},\"either\":1,\"one\":5,\"no\":7,\"cond\":\"long\",\"ref\":2,…" at least 20 properties`,
		`schema.required when "" to be present`,
		`schema.minLength id "A1" at least 3 characters`,
		`schema.pattern id "A1" text that matches ^[a-z]+$`,
		`schema.type n "-3.5" type integer`,
		`schema.minimum n "-3.5" at least 0`,
		`schema.multipleOf n "-3.5" a multiple of 5`,
		`schema.maxItems tags "[\"x\",\"z\",\"x\"]" at most 2 items`,
		`schema.enum tags[1] "z" one of "x", "y"`,
		`schema.uniqueItems tags "[\"x\",\"z\",\"x\"]" items that differ (0 and 2 are equal)`,
		`schema.exclusiveMaximum geo.lat "90" below 90`,
		`schema.const geo.lon "1" 0`,
		`schema.additionalProperties geo.alt "{\"a\":1}" no property of this name`,
		`schema.anyOf either "1" at least one of 2 alternatives (string, null)`,
		`schema.oneOf one "5" exactly one of 2 alternatives, 0 and 1 both fit`,
		`schema.not no "7" not to match the schema under not`,
		`schema.maxLength cond "long" at most 1 characters`,
		`schema.type ref "2" type string`,
		`schema.minimum ref "2" at least 3`,
		`schema.false nothing "null" nothing here: the schema accepts no value`,
		`schema.propertyNames too_long_a_name "1" a name that the schema allows`,
		`schema.dependentRequired m "" to be present where n is`,
	}
	s := mustCompile(t, src, Options{})
	var got []string
	for _, r := range s.Validate([]byte(event)) {
		got = append(got, fmt.Sprintf("%s %s %q %s", r.Rule, r.Path, r.Value, r.Expected))
	}
	if !s.Compiled() || !reflect.DeepEqual(got, want) {
		t.Errorf("compiled %v, got\n%s\nwant\n%s", s.Compiled(), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// The full engine names the same places; it stops at a wrong type.
	full := map[string]bool{}
	for _, r := range mustCompile(t, src, Options{FullEngine: true}).Validate([]byte(event)) {
		full[r.Rule+" "+r.Path+" "+r.Value] = true
	}
	for _, r := range s.Validate([]byte(event)) {
		stops := r.Path == "n" && r.Rule != "schema.type"
		if key := r.Rule + " " + r.Path + " " + r.Value; !full[key] && !stops && r.Path != "too_long_a_name" {
			t.Errorf("the full engine does not report %s; it has %v", key, full)
		}
	}
}

func TestDraftsDiffer(t *testing.T) {
	for _, c := range []struct {
		draft int
		src   string
		event string
		valid bool
	}{
		{4, `{"type":"integer"}`, `1.0`, false},
		{4, `{"type":"integer"}`, `1`, true},
		{6, `{"type":"integer"}`, `1.0`, true},
		{2020, `{"type":"integer"}`, `10e-1`, true},
		{2020, `{"type":"integer"}`, `1.5`, false},
		{7, `{"$ref":"#/definitions/a","maximum":1,"definitions":{"a":{"type":"number"}}}`, `2`, true},
		{2019, `{"$ref":"#/definitions/a","maximum":1,"definitions":{"a":{"type":"number"}}}`, `2`, false},
		{4, `{"minimum":1,"exclusiveMinimum":true}`, `1`, false},
		{4, `{"const":1}`, `2`, true},
		{7, `{"format":"email"}`, `"no"`, true},
		{2020, `{"format":"date-time"}`, `"2026-11-20"`, true},
	} {
		s := mustCompile(t, c.src, Options{Draft: c.draft})
		if got := s.Validate([]byte(c.event)) == nil; got != c.valid || !s.Compiled() || s.Draft() != c.draft {
			t.Errorf("draft %d %s: %s: %v (compiled %v)", c.draft, c.src, c.event, got, s.Compiled())
		}
	}
	s := mustCompile(t, `{"format":"date-time"}`, Options{AssertFormat: true})
	if r := s.Validate([]byte(`"2026-11-20"`)); len(r) != 1 || r[0].Rule != "schema.format" {
		t.Error(r)
	}
	if r := s.Validate([]byte(`"2026-11-20T10:00:00Z"`)); r != nil {
		t.Error(r)
	}
	if s := mustCompile(t, `{"$schema":"http://json-schema.org/draft-06/schema#"}`, Options{}); s.Draft() != 6 {
		t.Error(s.Draft())
	}
}

// What an event is refused for before its schema is asked.
func TestEventsThatAreNotStrictJSON(t *testing.T) {
	s := mustCompile(t, `{"minimum":5,"unevaluatedItems":true}`, Options{})
	for _, c := range []struct{ event, want string }{
		{"", "empty"},
		{"\xef\xbb\xbf{}", "byte order mark"},
		{"{} {}", "something follows"},
		{"\"\xff\"", "invalid UTF-8"},
		{`{"a":1,"a":2}`, "stands twice"},
		{`1e1500000`, "exponent"},
		{`1e999999`, "exponent"},
		{strings.Repeat("[", 100_000), "nested deeper"},
		{strings.Repeat("9", 1_000_000), "1000000 characters"},
	} {
		within(t, 20*time.Second, "a broken event", func() {
			r := s.Validate([]byte(c.event))
			if len(r) != 1 || r[0].Rule != feature.RuleDecode || !strings.Contains(r[0].Expected, c.want) {
				t.Errorf("%.40q: %v", c.event, r)
			}
		})
	}
}

// Schemas and events that together would take for ever are refused in bounded time.
func TestWorkIsBounded(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	// Each level asks the one below twice: 2^400 without a bound.
	tree := mustCompile(t, `{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[
		{"properties":{"c":{"$ref":"#/$defs/n"}},"required":["x"]},
		{"properties":{"c":{"$ref":"#/$defs/n"}},"required":["y"]}]}}}`, Options{})
	unique := mustCompile(t, `{"uniqueItems":true}`, Options{})
	objects := func(n int) string { // many members, in opposite order
		var a, b []string
		for i := range n {
			a = append(a, fmt.Sprintf(`"k%d":%d`, i, i))
			b = append(b, fmt.Sprintf(`"k%d":%d`, n-1-i, n-1-i))
		}
		return `[{` + strings.Join(a, ",") + `},{` + strings.Join(b, ",") + `}]`
	}
	var numbers []string
	for i := range 40_000 {
		numbers = append(numbers, fmt.Sprintf("%d.%s", i, strings.Repeat("1", 20)))
	}
	for _, c := range []struct {
		what  string
		s     *Schema
		event string
	}{
		{"alternatives in alternatives", tree, strings.Repeat(`{"c":`, 400) + "1" + strings.Repeat("}", 400)},
		{"objects in opposite order", unique, objects(50_000)},
		{"long numbers", unique, "[" + strings.Join(numbers, ",") + "]"},
	} {
		within(t, time.Minute, c.what, func() {
			ck := c.s.NewChecker()
			if valid, r := ck.Valid([]byte(c.event)), ck.Check([]byte(c.event)); valid != (len(r) == 0) {
				t.Errorf("%s: valid %v, %d reasons", c.what, valid, len(r))
			} else if !valid && c.s == tree && r[0].Rule != "schema.complexity" {
				t.Errorf("%s: %v", c.what, r)
			}
		})
	}
	many := mustCompile(t, `{"items":{"type":"string"}}`, Options{})
	if r := many.Validate([]byte("[" + strings.Repeat("1,", 300_000) + "1]")); len(r) != atMost {
		t.Error(len(r), "reasons")
	}
}

// Schemas that die or hang elsewhere.
func TestCircles(t *testing.T) {
	if r := mustCompile(t, `{"$ref":"#foo","$defs":{"A":{"$anchor":"foo"}}}`, Options{}).Validate([]byte(`1`)); r != nil {
		t.Error(r)
	}
	for _, src := range []string{`{"$ref":"#"}`, `{"allOf":[{"$ref":"#"}]}`,
		`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}`,
		`{"dependentSchemas":{"a":{"$ref":"#"}}}`} {
		if _, err := Compile([]byte(src), Options{}); err == nil || !strings.Contains(err.Error(), "refers back to itself") {
			t.Errorf("%s: %v", src, err)
		}
	}
	// Coming back on a part of the value is no circle.
	s := mustCompile(t, `{"properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}`, Options{})
	if r := s.Validate([]byte(`{"next":{"next":{"v":"x"}}}`)); !s.Compiled() || len(r) != 1 || r[0].Path != "next.next.v" {
		t.Error(s.Compiled(), r)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := mustCompile(t, eventSchema, Options{})
	events := wideEvents(50)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, e := range events {
				if r := s.Validate(e); r != nil {
					t.Error(r)
				}
			}
		})
	}
	wg.Wait()
}

func TestQuickPatternsAgreeWithRegexp(t *testing.T) {
	texts := append([]string{"a\n", "aab", "aaab", "c000042", "ab12", "abc1", "z", "EURO", "12ab", "-", "aXb", "a.b", "\n", "é1"}, genTexts...)
	exprs := append([]string{"^c[0-9]{6}$", "^[a-z]{2,3}[0-9]+$", "^a+ab$", "^a*b?c$", "^a?a$", "^[a-z]+$", "^\\d{2}", "^$", "^", "^[^\\n]$", "^(?i)ab$", "^a.b$", "^ab|c$", "^[A-Z]{3}", "^a{2}b$", "^\\w+$", "^[a-f0-9]{1,4}-?$"}, genPatterns...)
	quick := 0
	for _, e := range exprs {
		re, err := compilePattern(e)
		if err != nil {
			t.Fatal(err)
		}
		p := re.(*pattern)
		if p.quick == nil {
			continue
		}
		quick++
		for _, x := range texts {
			if got, want := p.quick.match([]byte(x)), p.re.MatchString(x); got != want {
				t.Errorf("%s on %q: %v, want %v", e, x, got, want)
			}
		}
	}
	t.Logf("%d of %d are quick", quick, len(exprs))
	if quick < 10 {
		t.Error("hardly any expression is quick")
	}
}
