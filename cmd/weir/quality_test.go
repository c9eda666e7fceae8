package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var qualityBlock = regexp.MustCompile("(?s)<!-- test: (file|run|output|part of)(?: (\\S+))? -->\n```[a-z]*\n(.*?)```")

// TestQualityGuide writes the files of docs/quality.md, runs its commands and gets
// the exit codes and outputs that it names.
func TestQualityGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "quality.md"))
	require.NoError(t, err)
	w := start(t, testConfig(t))
	t.Chdir(t.TempDir())
	last, ran := "", map[string]int{}
	for _, m := range qualityBlock.FindAllStringSubmatch(string(guide), -1) {
		switch kind, name, text := m[1], m[2], m[3]; kind {
		case "file":
			require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		case "output":
			require.Equal(t, text, last)
			ran[kind]++
		case "part of":
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Contains(t, string(b), text)
			ran[kind]++
		default:
			want, err := strconv.Atoi(name)
			require.NoError(t, err)
			for line := range strings.Lines(text) {
				args := strings.Fields(line)
				require.Equal(t, "bin/weir", args[0], line)
				code, out, errs := w.try(args[1:]...)
				require.Equal(t, want, code, "%s\n%s%s", line, out, errs)
				last = out
				ran[args[1]]++
			}
		}
	}
	require.Equal(t, map[string]int{"check": 6, "profile": 2, "apply": 3, "quality": 2, "output": 1, "part of": 1}, ran)
}
