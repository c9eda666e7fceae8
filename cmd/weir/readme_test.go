package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var readmeBlock = regexp.MustCompile("(?s)<!-- test: (file (\\S+)|run) -->\n```[a-z]*\n(.*?)```")

// TestREADME does what the guide says, in its order, in an empty folder: writes
// the files it shows and runs the commands it shows. Each has to succeed.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	w := start(t, testConfig(t))
	t.Chdir(t.TempDir())
	outputs := map[string]string{}
	ran := 0
	for _, m := range readmeBlock.FindAllStringSubmatch(string(text), -1) {
		if name := m[2]; name != "" {
			require.NoError(t, os.WriteFile(name, []byte(m[3]), 0o644))
			continue
		}
		for line := range strings.Lines(m[3]) {
			cmd, _, _ := strings.Cut(line, " #")
			args := strings.Fields(cmd)
			if len(args) == 0 {
				continue
			}
			require.Equal(t, "bin/weir", args[0], line)
			outputs[strings.Join(args[1:min(3, len(args))], " ")] = w.run(args[1:]...)
			ran++
		}
	}
	require.GreaterOrEqual(t, ran, 9)
	require.Contains(t, outputs["quarantine list"], "4102")
	require.Contains(t, outputs["lookup --service"], "41.2")
	require.Regexp(t, `replayed +1`, outputs["quarantine replay"])
	require.Contains(t, outputs["table log"], "before-change")
	require.Contains(t, outputs["table rows"], "3 of 3 of snapshot")
	var sets []struct{ ID string }
	w.json(&sets, "snapshot", "list")
	require.Len(t, sets, 2)
	for _, set := range sets { // the one that is split, too
		require.Contains(t, w.run("snapshot", "verify", set.ID, "--spine", "spine.csv"), "each value the same")
	}
	require.Contains(t, w.run("snapshot", "verify", sets[0].ID, "--spine", "training.csv"), "each value the same")
	require.NoError(t, os.WriteFile("other.csv", []byte("origin,event_timestamp\nEWR,2026-01-05T06:30:00Z\n"), 0o644))
	code, differs, _ := w.try("snapshot", "verify", sets[0].ID, "--spine", "other.csv")
	require.Equal(t, 1, code, differs)
	require.Contains(t, differs, "the spine is not the one")
	code, diff, _ := w.try("table", "diff", "--view", "airport_weather", "before-change", "newest")
	require.Equal(t, 1, code, diff)
	require.Contains(t, diff, "1 added, 0 removed, 0 changed")
	require.Contains(t, diff, "temp=4102")
	require.Contains(t, outputs["audit"], "nothing differs")
	require.Contains(t, outputs["config --diff"], "kafka-1:9092")
	newest, err := os.ReadFile("newest.csv")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^EWR,.*41\.2,57\.1`, string(newest))
	require.Regexp(t, `(?m)^JFK,.*38\.5,61`, string(newest))
	split, err := os.ReadFile("set.csv")
	require.NoError(t, err)
	require.Regexp(t, `^origin,event_timestamp,delayed,temp,humid,split\nEWR,.*,(train|test)\n`, string(split))
	training, err := os.ReadFile("training.csv")
	require.NoError(t, err)
	require.Equal(t, `origin,event_timestamp,delayed,temp,humid
EWR,2026-01-05T06:30:00Z,false,39.0,59.4
EWR,2026-01-05T07:30:00Z,true,41.2,57.1
JFK,2026-01-05T05:00:00Z,false,,
`, string(training))
}
