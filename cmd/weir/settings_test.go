package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/app"
)

// TestSettingsAreDocumented: docs/settings.md has every setting with its default, and no page names one that there is not.
func TestSettingsAreDocumented(t *testing.T) {
	root := moduleRoot(t)
	defaults := map[string]string{}
	for _, s := range app.DefaultConfig().Settings() {
		if defaults[s.Key] = fmt.Sprint(s.Default); defaults[s.Key] == "[]" {
			defaults[s.Key] = ""
		}
	}
	require.Greater(t, len(defaults), 100)

	page, err := os.ReadFile(filepath.Join(root, "docs/settings.md"))
	require.NoError(t, err)
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| (?:`([^`]*)`)?[^|]*\\| ([^|]*) \\|$").FindAllStringSubmatch(string(page), -1) {
		name := row[1]
		told[name] = true
		want, known := defaults[name]
		switch {
		case !known:
			t.Errorf("docs/settings.md has %s, which is no setting", name)
		case want != row[2]:
			t.Errorf("docs/settings.md: the default of %s is %q, and not %q", name, want, row[2])
		}
	}
	tops := []string{}
	for name := range defaults {
		if !told[name] {
			t.Errorf("docs/settings.md has no row for %s", name)
		}
		if top, _, under := strings.Cut(name, "."); under && !slices.Contains(tops, top) {
			tops = append(tops, top)
		}
	}
	slices.Sort(tops)
	named := regexp.MustCompile("`((?:" + strings.Join(tops, "|") + `)\.[a-z0-9_.]+)`)
	// Fields of manifests, a gRPC service, and pages whose names begin as a setting does.
	others := regexp.MustCompile(`^(schema_registry\.subject|feast\.serving|(drift|events|pipelines)\.md)`)
	for _, f := range trackedFiles(t, root) {
		if !strings.HasSuffix(f, ".md") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			continue // removed but not committed
		}
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			name := strings.TrimRight(m[1], ".")
			_, known := defaults[name]
			group := slices.ContainsFunc(slices.Collect(maps.Keys(defaults)), func(s string) bool { return strings.HasPrefix(s, name+".") })
			if !known && !group && !others.MatchString(name) {
				t.Errorf("%s names the setting %s, which there is not", f, name)
			}
		}
	}
}
