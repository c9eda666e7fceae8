package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/cmd/weir/app"
)

// TestDeploySettingsAreKnown loads deploy/weir.yaml as Weir does, strictly.
func TestDeploySettingsAreKnown(t *testing.T) {
	c, err := app.Load(filepath.Join(moduleRoot(t), "deploy/weir.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.EmbeddedKafka() || c.EmbeddedRedis() {
		t.Error("deploy/weir.yaml is to name a real Kafka and Redis")
	}
}

// TestAlertsNameRealMetrics compares the alert rules with the metrics that the
// code registers, so that renaming one shows here and not in a silent night.
func TestAlertsNameRealMetrics(t *testing.T) {
	root := moduleRoot(t)
	b, err := os.ReadFile(filepath.Join(root, "deploy/prometheus/weir.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(b, &rules); err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, name := range trackedFiles(t, root) {
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			b, err := os.ReadFile(filepath.Join(root, name))
			if err == nil {
				source.Write(b)
			}
		}
	}
	metric := regexp.MustCompile(`\bweir_[a-z0-9_]+\b`)
	seen := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
				t.Errorf("alert %s needs a summary and a severity", r.Alert)
			}
			for _, m := range metric.FindAllString(r.Expr, -1) {
				seen++
				whole := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m, "") // of a histogram
				if !strings.Contains(source.String(), `"`+m+`"`) && !strings.Contains(source.String(), `"`+whole+`"`) {
					t.Errorf("alert %s uses %s, which nothing registers", r.Alert, m)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no alert names a metric")
	}
}

// TestDependenciesAreExplained compares docs/dependencies.md with go.mod.
func TestDependenciesAreExplained(t *testing.T) {
	root := moduleRoot(t)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	var direct, explained []string
	inRequire := false
	for line := range strings.Lines(string(mod)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inRequire = true
		case line == ")":
			inRequire = false
		case inRequire && !strings.Contains(line, "// indirect"):
			path, _, _ := strings.Cut(line, " ")
			direct = append(direct, path)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(doc, -1) {
		explained = append(explained, string(m[1]))
	}
	for _, d := range direct {
		if !slices.Contains(explained, d) {
			t.Errorf("docs/dependencies.md does not say why %s was chosen, and what lost", d)
		}
	}
	for _, e := range explained {
		if !slices.Contains(direct, e) {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly", e)
		}
	}
}
