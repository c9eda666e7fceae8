package quarantine

import (
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// place is a path without the numbers of lists' items: tags[3] and tags[40] are
// tags[]. What is wrong with the items of lists is one thing, wherever they stand.
func place(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	var out []byte
	for i := 0; i < len(path); i++ {
		out = append(out, path[i])
		if path[i] != '[' {
			continue
		}
		if end := strings.IndexByte(path[i:], ']'); end > 0 && strings.Trim(path[i+1:i+end], "0123456789") == "" {
			i += end - 1 // at the last digit, or the bracket itself where there is none
		}
	}
	return string(out)
}

// tally counts an entry once for each rule and place.
func tally(counts map[[2]string]int64, reasons []feature.Reason) {
	var seen [][2]string
	for _, r := range reasons {
		k := [2]string{r.Rule, place(r.Path)}
		if !slices.Contains(seen, k) {
			seen = append(seen, k)
			counts[k]++
		}
	}
}

// named reports whether a rule, as a Filter has it, is that of a reason: the rule
// alone, with its path, or with its place.
func named(rules []string, r feature.Reason) bool {
	return slices.Contains(rules, r.Rule) || slices.Contains(rules, r.Rule+"("+r.Path+")") ||
		strings.Contains(r.Path, "[") && slices.Contains(rules, r.Rule+"("+place(r.Path)+")")
}
