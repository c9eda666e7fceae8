package compat

import (
	"math/big"
	"regexp"
	"unicode/utf8"
)

// answer is whether a value passes a schema.
type answer int8

const (
	no      answer = -1
	unknown answer = 0
	yes     answer = 1
)

// holds reports whether a value passes, as far as it can be told. k are the kinds that the value can have.
func holds(v any, n *node, k kinds, depth int) answer {
	switch {
	case n == nil || n.always:
		return yes
	case n.never:
		return no
	case depth > 40:
		return unknown
	}
	out := yes
	if len(n.opaque) > 0 {
		out = unknown
	}
	switch {
	case k&n.types == 0:
		return no
	case k&^n.types != 0:
		out = unknown
	}
	if n.enum != nil && !n.among[canon(v)] {
		return no
	}
	ask := func(a answer) { out = min(out, a) }
	told := func(ok bool) {
		if !ok {
			out = no
		}
	}
	switch x := v.(type) {
	case number:
		told(n.low == nil || x.rat.Cmp(n.low.rat) > 0 || !n.low.open && x.rat.Cmp(n.low.rat) == 0)
		told(n.high == nil || x.rat.Cmp(n.high.rat) < 0 || !n.high.open && x.rat.Cmp(n.high.rat) == 0)
		for _, m := range n.multiples {
			told(new(big.Rat).Quo(x.rat, m.rat).IsInt())
		}
	case string:
		l := utf8.RuneCountInString(x)
		told(l >= n.minLength && (n.maxLength < 0 || l <= n.maxLength))
		if n.pattern != nil {
			if re, err := regexp.Compile(*n.pattern); err != nil {
				ask(unknown)
			} else {
				told(re.MatchString(x))
			}
		}
	case []any:
		ask(holdsList(x, n, depth))
	case map[string]any:
		ask(holdsObject(x, n, depth))
	}
	if out == no {
		return no
	}
	ask(holds(v, n.ref, k, depth+1))
	for _, a := range n.allOf {
		ask(holds(v, a, k, depth+1))
	}
	if n.anyOf != nil {
		ask(anyHolds(v, n.anyOf, k, depth))
	}
	if n.oneOf != nil {
		ask(oneHolds(v, n.oneOf, k, depth))
	}
	if n.not != nil {
		ask(-holds(v, n.not, k, depth+1))
	}
	if n.cond != nil {
		then, other := holds(v, n.then, k, depth+1), holds(v, n.other, k, depth+1)
		switch holds(v, n.cond, k, depth+1) {
		case yes:
			ask(then)
		case no:
			ask(other)
		default:
			if then != other {
				then = unknown
			}
			ask(then)
		}
	}
	return out
}

func anyHolds(v any, of []*node, k kinds, depth int) answer {
	best := no
	for _, n := range of {
		best = max(best, holds(v, n, k, depth+1))
	}
	return best
}

func oneHolds(v any, of []*node, k kinds, depth int) answer {
	pass, perhaps := 0, 0
	for _, n := range of {
		switch holds(v, n, k, depth+1) {
		case yes:
			pass++
		case unknown:
			perhaps++
		}
	}
	switch {
	case pass > 1 || pass+perhaps == 0:
		return no
	case perhaps > 0:
		return unknown
	}
	return yes
}

func holdsList(l []any, n *node, depth int) answer {
	if len(l) < n.minItems || n.maxItems >= 0 && len(l) > n.maxItems {
		return no
	}
	out := yes
	seen := map[string]bool{}
	pass, perhaps := 0, 0
	for i, v := range l {
		at := n.rest
		if i < len(n.prefix) {
			at = n.prefix[i]
		}
		out = min(out, holds(v, at, kindsOf(v), depth+1))
		if c := canon(v); n.unique && seen[c] {
			return no
		} else {
			seen[c] = true
		}
		if n.contains != nil {
			switch holds(v, n.contains, kindsOf(v), depth+1) {
			case yes:
				pass++
			case unknown:
				perhaps++
			}
		}
	}
	if n.contains != nil {
		switch {
		case pass+perhaps < n.minContain || n.maxContain >= 0 && pass > n.maxContain:
			return no
		case pass < n.minContain || n.maxContain >= 0 && pass+perhaps > n.maxContain:
			out = min(out, unknown)
		}
	}
	return out
}

func holdsObject(m map[string]any, n *node, depth int) answer {
	if len(m) < n.minProps || n.maxProps >= 0 && len(m) > n.maxProps {
		return no
	}
	for _, r := range n.required {
		if _, ok := m[r]; !ok {
			return no
		}
	}
	out := yes
	for name, v := range m {
		for _, p := range n.property(name) {
			out = min(out, holds(v, p, kindsOf(v), depth+1))
		}
		out = min(out, holds(name, n.names, kindString, depth+1))
		for _, dep := range n.dependents[name] {
			out = min(out, holds(m, dep, kindObject, depth+1))
		}
	}
	return out
}
