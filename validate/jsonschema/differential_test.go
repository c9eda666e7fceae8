package jsonschema

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	full "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/xeipuuv/gojsonschema"

	"github.com/weir-ml/weir/internal/testseed"
)

// writtenInteger finds what draft 4 and the full engine see differently: there
// an integer is one by how it is written.
func writtenInteger(draft int, schema, value string) bool {
	return draft == 4 && strings.Contains(schema, "integer") && strings.ContainsAny(value, ".e")
}

// oddNumber is a number written otherwise than it would be printed: -0, 2.50, 1e3.
var oddNumber = regexp.MustCompile(`-0(\.0*)?([^.0-9]|$)|\.[0-9]*0([^0-9]|$)|[0-9][eE]`)

// hugeExponent is a number that takes gojsonschema seconds, or its life.
var hugeExponent = regexp.MustCompile(`[0-9][eE][+-]?[0-9]{3}`)

// textEnum finds a defect of gojsonschema: it compares the numbers of an enum,
// and of uniqueItems, as they are written, so that 0 is not in [-0].
func textEnum(schema, value string) bool {
	return (strings.Contains(schema, `"enum"`) || strings.Contains(schema, "uniqueItems")) && (oddNumber.MatchString(schema) || oddNumber.MatchString(value))
}

// The compiled form against the full engine, fed with encoding/json's tree.
func TestCompiledAgreesWithFullEngine(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	seed := testseed.For(t)
	rounds := 1500
	if testing.Short() {
		rounds = 200
	}
	compiled, checks, valid := 0, 0, 0
	for _, draft := range []int{4, 6, 7, 2019, 2020} {
		g := &gen{rng: rand.New(rand.NewPCG(seed, uint64(draft))), draft: draft}
		for range rounds {
			src := g.root()
			s, err := Compile([]byte(src), Options{Draft: draft})
			if err != nil {
				t.Fatalf("draft %d, %s: %v", draft, src, err)
			}
			slow, err := Compile([]byte(src), Options{Draft: draft, FullEngine: true})
			if err != nil {
				t.Fatal(err)
			}
			if s.Compiled() {
				compiled++
			} else if !strings.Contains(src, "$ref") {
				t.Errorf("draft %d: not compiled: %s", draft, src)
			}
			c, sc := s.NewChecker(), slow.NewChecker()
			for range 20 {
				v := g.value(0)
				if g.rng.IntN(3) > 0 {
					v = g.object(0)
				}
				if writtenInteger(draft, src, v) {
					continue
				}
				inst, err := full.UnmarshalJSON(strings.NewReader(v))
				if err != nil {
					t.Fatal(v, err)
				}
				want := s.engine.Validate(inst) == nil
				if got := c.Valid([]byte(v)); got != want {
					t.Fatalf("draft %d\nschema %s\nvalue  %s\ncompiled says %v, the full engine %v", draft, src, v, got, want)
				}
				if r := c.Check([]byte(v)); (len(r) == 0) != want {
					t.Fatalf("draft %d\nschema %s\nvalue  %s\nvalid %v, but reasons %v", draft, src, v, want, r)
				}
				if r := sc.Check([]byte(v)); (len(r) == 0) != want {
					t.Fatalf("draft %d\nschema %s\nvalue  %s\nvalid %v, but full reasons %v", draft, src, v, want, r)
				}
				checks++
				if want {
					valid++
				}
			}
		}
	}
	t.Logf("%d schemas compiled, %d values checked, %d of them valid", compiled, checks, valid)
}

// TestSecondOpinion asks gojsonschema whether the compiled form and the full engine are
// right, in drafts 4 to 7, which are those it knows. What it dies of is kept away from it:
// references that it would fetch or that overflow its stack, and numbers of huge exponents.
// So is what it does otherwise: it compares numbers of enums by how they are written.
func TestSecondOpinion(t *testing.T) {
	seed := testseed.For(t)
	rounds := 800
	if testing.Short() {
		rounds = 100
	}
	checks, differ := 0, 0
	for _, draft := range []int{4, 6, 7} {
		g := &gen{rng: rand.New(rand.NewPCG(seed, uint64(draft))), draft: draft, plain: true}
		for range rounds {
			src := g.root()
			if strings.Count(src, `"$ref"`) != strings.Count(src, `"$ref":"#/definitions/`) || strings.Contains(src, "$anchor") || hugeExponent.MatchString(src) {
				t.Fatal("gojsonschema is not to see this: ", src)
			}
			loader := gojsonschema.NewSchemaLoader()
			loader.AutoDetect = false
			loader.Draft = map[int]gojsonschema.Draft{4: gojsonschema.Draft4, 6: gojsonschema.Draft6, 7: gojsonschema.Draft7}[draft]
			second, err := loader.Compile(gojsonschema.NewStringLoader(src))
			if err != nil {
				continue // it knows schemas it does not like; they are no reason to stop
			}
			s, err := Compile([]byte(src), Options{Draft: draft})
			if err != nil {
				t.Fatal(src, err)
			}
			slow, err := Compile([]byte(src), Options{Draft: draft, FullEngine: true})
			if err != nil {
				t.Fatal(src, err)
			}
			c, sc := s.NewChecker(), slow.NewChecker()
			for range 10 {
				v := g.object(0)
				if writtenInteger(draft, src, v) || textEnum(src, v) || hugeExponent.MatchString(v) {
					continue
				}
				res, err := second.Validate(gojsonschema.NewStringLoader(v))
				if err != nil {
					t.Fatal(v, err)
				}
				checks++
				if got, other := c.Valid([]byte(v)), sc.Valid([]byte(v)); got != res.Valid() || other != res.Valid() {
					differ++
					t.Logf("draft %d\nschema %s\nvalue  %s\ncompiled says %v, gojsonschema %v, the full engine %v", draft, src, v, got, res.Valid(), other)
				}
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d of %d verdicts differ", differ, checks)
	}
	t.Logf("%d verdicts agree", checks-differ)
}

func FuzzCheck(f *testing.F) {
	for _, x := range [][2]string{
		{`{"type":"object","properties":{"a":{"type":"integer","minimum":0}},"required":["a"],"additionalProperties":false}`, `{"a":1}`},
		{`{"items":{"$ref":"#/$defs/x"},"uniqueItems":true,"$defs":{"x":{"anyOf":[{"type":"string","pattern":"^a+$"},{"multipleOf":0.01}]}}}`, `["a",0.03]`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","if":{"const":{"a":[1.0]}},"then":false,"else":{"propertyNames":{"maxLength":2}}}`, `{"a":[1]}`},
		{`{"$ref":"#foo","$defs":{"A":{"$anchor":"foo"}}}`, `1`},
		{`{"minimum":5}`, `1e1500000`},
		{`{"unevaluatedProperties":false,"properties":{"a":true}}`, `{"b":1}`},
		{`{"$ref":"#"}`, `{}`},
		{`{"enum":[1,"a",null,[1],{"a":{}}],"not":{"const":null}}`, `{"a":{}}`},
	} {
		f.Add([]byte(x[0]), []byte(x[1]))
	}
	f.Fuzz(func(t *testing.T, schema, event []byte) {
		if len(schema) > 2000 || len(event) > 2000 {
			return
		}
		s, err := Compile(schema, Options{Steps: 100_000})
		if err != nil {
			return
		}
		c := s.NewChecker()
		valid, reasons := c.Valid(event), c.Check(event)
		if valid != (len(reasons) == 0) {
			t.Fatalf("%s: %s: valid is %v, reasons are %v", schema, event, valid, reasons)
		}
		if !s.Compiled() || c.scanOwn(event) != nil || c.steps <= 0 || s.Draft() < 6 ||
			bytes.Contains(schema, []byte("e")) && hugeCount(schema) || bytes.Contains(schema, []byte("$ref")) && s.Draft() < 2019 {
			return
		}
		inst, err := full.UnmarshalJSON(bytes.NewReader(event))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.engine.Validate(inst); (err == nil) != valid {
			t.Fatalf("%s: %s: compiled says %v, the full engine %v", schema, event, valid, err)
		}
	})
}

// hugeCount keeps counts away that the full engine cannot represent.
func hugeCount(schema []byte) bool {
	for _, r := range []string{"e+", "E", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9"} {
		if bytes.Contains(schema, []byte(r)) {
			return true
		}
	}
	return false
}

func ExampleSchema_Validate() {
	s, err := Compile([]byte(`{
		"type": "object",
		"properties": {"temp": {"type": "number", "maximum": 60}, "origin": {"enum": ["EWR", "JFK", "LGA"]}},
		"required": ["origin", "time"]
	}`), Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range s.Validate([]byte(`{"origin": "BER", "temp": 1048}`)) {
		fmt.Printf("%s %s: %q, expected %s\n", r.Rule, r.Path, r.Value, r.Expected)
	}
	// Output:
	// schema.required time: "", expected to be present
	// schema.enum origin: "BER", expected one of "EWR", "JFK", "LGA"
	// schema.maximum temp: "1048", expected at most 60
}
