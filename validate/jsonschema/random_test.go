package jsonschema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
)

// gen makes random schemas of what the compiled form covers, and values that
// have a fair chance to pass them: both draw from the same few names, texts and numbers.
type gen struct {
	rng   *rand.Rand
	draft int
	defs  int
	plain bool // only what gojsonschema does right
}

var (
	genNames    = []string{"a", "b", "c", "long_name", "é", `q"k`, "x1", "x2"}
	genTexts    = []string{"", "a", "ab", "abc", "EUR", "USD", "12", "x-9", "日本", "😀", "a\nb", `q"\`}
	genNumbers  = []string{"0", "1", "-1", "2", "3", "5", "10", "1.0", "0.5", "2.50", "-0", "1e2", "100", "1e-2", "0.01", "12345678901234567890123", "0.1", "0.30000000000000004", "7.5"}
	genPatterns = []string{"^a", "b$", "^[a-z]+$", "^[A-Z]{3}$", "^[0-9]*$", "x", "^x[0-9]?$", "^(a|b)+$", "^[a-z]*c$", "^a?b?$", "^.{2}$", "^[^a]"}
	genTypes    = []string{"null", "boolean", "number", "integer", "string", "array", "object"}
)

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// inOrder is a value with its objects' members in the order of their names.
func inOrder(v string) string {
	d := json.NewDecoder(strings.NewReader(v))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		panic(err)
	}
	b, _ := json.Marshal(x)
	return string(b)
}

func (g *gen) number() string {
	n := pick(g.rng, genNumbers)
	if g.plain && (len(n) > 15 || strings.Contains(n, "e")) {
		return "3"
	}
	return n
}

func (g *gen) value(depth int) string {
	switch k := g.rng.IntN(12); {
	case k < 3:
		return g.number()
	case k < 6:
		return quoted(pick(g.rng, genTexts))
	case k == 6:
		return "null"
	case k == 7:
		return pick(g.rng, []string{"true", "false"})
	case k < 10 && depth < 4:
		n := g.rng.IntN(5)
		if g.rng.IntN(20) == 0 {
			n = 20 // beyond what uniqueItems compares pair by pair
		}
		var items []string
		for range n {
			items = append(items, g.value(depth+1))
		}
		return "[" + strings.Join(items, ",") + "]"
	case depth < 4:
		return g.object(depth)
	}
	return "1"
}

func (g *gen) object(depth int) string {
	var members []string
	for _, i := range g.rng.Perm(len(genNames))[:g.rng.IntN(len(genNames))] {
		members = append(members, quoted(genNames[i])+":"+g.value(depth+1))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (g *gen) schema(depth int) string {
	if depth > 3 {
		return fmt.Sprintf(`{"type":%q}`, pick(g.rng, genTypes))
	}
	if g.draft >= 6 && g.rng.IntN(15) == 0 {
		return pick(g.rng, []string{"true", "true", "false"})
	}
	if g.defs > 0 && g.rng.IntN(12) == 0 {
		return fmt.Sprintf(`{"$ref":"#/definitions/d%d"}`, g.rng.IntN(g.defs))
	}
	sub := func() string { return g.schema(depth + 1) }
	list := func() string {
		var s []string
		for range 1 + g.rng.IntN(3) {
			s = append(s, sub())
		}
		return "[" + strings.Join(s, ",") + "]"
	}
	names := func() string {
		var s []string
		for _, i := range g.rng.Perm(len(genNames))[:1+g.rng.IntN(2)] {
			s = append(s, quoted(genNames[i]))
		}
		return "[" + strings.Join(s, ",") + "]"
	}
	small := func() string { return fmt.Sprint(g.rng.IntN(5)) }
	type kw struct {
		name  string
		draft int
		value func() string
	}
	all := []kw{
		{"type", 4, func() string {
			if g.rng.IntN(3) == 0 {
				p := g.rng.Perm(len(genTypes))
				return fmt.Sprintf("[%q,%q]", genTypes[p[0]], genTypes[p[1]])
			}
			return quoted(pick(g.rng, genTypes))
		}},
		{"enum", 4, func() string {
			set := map[string]bool{}
			var s []string
			for range 1 + g.rng.IntN(20) {
				v := g.value(3)
				id := v
				if r, ok := new(big.Rat).SetString(v); ok {
					id = r.RatString()
				} else if strings.ContainsAny(v, "[{") && (g.plain || strings.ContainsAny(v, ".e0")) {
					continue // two such could be equal
				} else if strings.Contains(v, "{") {
					id = inOrder(v)
				}
				if set[id] {
					continue
				}
				set[id] = true
				s = append(s, v)
			}
			if len(s) == 0 {
				s = []string{"1"}
			}
			return "[" + strings.Join(s, ",") + "]"
		}},
		{"const", 6, func() string { return g.value(2) }},
		{"minimum", 4, g.number},
		{"maximum", 4, g.number},
		{"exclusiveMinimum", 6, g.number},
		{"exclusiveMaximum", 6, g.number},
		{"multipleOf", 4, func() string { return pick(g.rng, []string{"1", "2", "0.5", "0.01", "2.5", "3"}) }},
		{"minLength", 4, small},
		{"maxLength", 4, small},
		{"pattern", 4, func() string { return quoted(pick(g.rng, genPatterns)) }},
		{"properties", 4, func() string {
			var s []string
			for _, i := range g.rng.Perm(len(genNames))[:g.rng.IntN(len(genNames))] {
				s = append(s, quoted(genNames[i])+":"+sub())
			}
			return "{" + strings.Join(s, ",") + "}"
		}},
		{"required", 4, names},
		{"additionalProperties", 4, func() string {
			if g.rng.IntN(2) == 0 {
				return "false"
			}
			return sub()
		}},
		{"patternProperties", 4, func() string { return "{" + quoted(pick(g.rng, genPatterns)) + ":" + sub() + "}" }},
		{"propertyNames", 6, sub},
		{"minProperties", 4, small},
		{"maxProperties", 4, small},
		{"minItems", 4, small},
		{"maxItems", 4, small},
		{"uniqueItems", 4, func() string { return "true" }},
		{"items", 4, sub},
		{"contains", 6, sub},
		{"allOf", 4, list},
		{"anyOf", 4, list},
		{"oneOf", 4, list},
		{"not", 4, sub},
		{"if", 7, sub},
		{"then", 7, sub},
		{"else", 7, sub},
		{"minContains", 2019, small},
		{"maxContains", 2019, small},
		{"dependentRequired", 2019, func() string { return "{" + quoted(pick(g.rng, genNames)) + ":" + names() + "}" }},
		{"dependentSchemas", 2019, func() string { return "{" + quoted(pick(g.rng, genNames)) + ":" + sub() + "}" }},
		{"prefixItems", 2020, list},
	}
	if g.draft < 2019 {
		all = append(all, kw{"dependencies", 4, func() string {
			if g.rng.IntN(2) == 0 {
				return "{" + quoted(pick(g.rng, genNames)) + ":" + names() + "}"
			}
			return "{" + quoted(pick(g.rng, genNames)) + ":" + sub() + "}"
		}})
	}
	if g.draft < 2020 {
		all = append(all, kw{"items", 4, list}, kw{"additionalItems", 4, sub})
	}
	var parts []string
	used := map[string]bool{}
	for range 1 + g.rng.IntN(5) {
		k := pick(g.rng, all)
		if k.draft > g.draft || used[k.name] {
			continue
		}
		used[k.name] = true
		parts = append(parts, fmt.Sprintf("%q:%s", k.name, k.value()))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// root is a whole schema, with definitions that refer to each other through a part of the value only.
func (g *gen) root() string {
	g.defs = 0
	var defs []string
	for range g.rng.IntN(3) {
		defs = append(defs, fmt.Sprintf(`"d%d":%s`, g.defs, g.schema(2)))
		g.defs++
	}
	s := g.schema(0)
	if g.draft >= 6 && (s == "true" || s == "false") || strings.HasPrefix(s, `{"$ref"`) {
		s = `{"allOf":[` + s + `]}`
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	if len(defs) > 0 {
		if inner != "" {
			inner += ","
		}
		inner += `"definitions":{` + strings.Join(defs, ",") + "}"
	}
	return "{" + inner + "}"
}
