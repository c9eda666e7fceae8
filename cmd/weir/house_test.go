package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// longest is how many lines a file may have before it surely holds two ideas.
const longest = 600

// TestHouseRules checks what a reader would otherwise have to.
func TestHouseRules(t *testing.T) {
	root := moduleRoot(t)
	t.Run("packages", func(t *testing.T) {
		for _, p := range listPackages(t) {
			rel := p.rel()
			if p.Name == "" {
				continue // only tests, or nothing that builds here
			}
			name := filepath.Base(rel)
			if slices.Contains([]string{"util", "utils", "common", "model", "models", "helper", "helpers", "misc", "base"}, name) {
				t.Errorf("%s: %q says nothing about what it holds; name the package after the idea, or move its parts to their users", rel, name)
			}
			if p.Doc == "" && len(p.GoFiles) > 0 && !generated(filepath.Join(p.Dir, p.GoFiles[0])) {
				t.Errorf("%s has no package comment; say what it is for and which type to read first", rel)
			}
			depth := strings.Count(rel, "/")
			if isRoom := depth == 0 || rel == "registry/feature" || (depth == 1 && strings.HasPrefix(rel, "internal/")); isRoom && len(p.GoFiles) > 1 && !slices.Contains(p.GoFiles, "doc.go") {
				t.Errorf("%s has no doc.go: purpose, the one rule, the first type to read", rel)
			}
		}
	})
	// In pieces, so that this file does not hold what it looks for.
	machine := regexp.MustCompile(`(^|[^A-Za-z0-9_.$}])/(` + "wo" + `rk|` + "ro" + `ot)/`)
	for _, name := range trackedFiles(t, root) {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			continue // removed but not committed, or not text
		}
		if name != "go.sum" {
			if at := machine.FindIndex(b); at != nil {
				t.Errorf("%s:%d holds a path of one machine; make it relative or a setting", name, 1+bytes.Count(b[:at[0]], []byte("\n")))
			}
		}
		if strings.HasSuffix(name, ".go") && !isGenerated(b) {
			if lines := bytes.Count(b, []byte("\n")); lines > longest {
				t.Errorf("%s has %d lines, more than %d: split it by idea", name, lines, longest)
			}
		}
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above this folder")
		}
		dir = filepath.Dir(dir)
	}
}

// trackedFiles are git's, or where this is no clone, all that are not hidden.
func trackedFiles(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	}
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var generatedRE = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func isGenerated(b []byte) bool { return generatedRE.Match(b[:min(len(b), 2000)]) }

func generated(file string) bool {
	b, err := os.ReadFile(file)
	return err == nil && isGenerated(b)
}
