package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

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
