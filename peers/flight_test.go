//go:build peers

package peers

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var docBlock = regexp.MustCompile("(?s)<!-- test: ([^>]*) -->\n```[a-z]*\n(.*?)```")

// blocks are the marked snippets of a document, by their marks.
func blocks(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]string{}
	for _, m := range docBlock.FindAllStringSubmatch(string(text), -1) {
		out[m[1]] = m[2]
	}
	return out
}

// TestTrainingFromPython runs what docs/training.md shows, on the views of the README, with
// nothing changed but the address.
func TestTrainingFromPython(t *testing.T) {
	p := start(t)
	readme, doc := blocks(t, "../README.md"), blocks(t, "../docs/training.md")
	dir := t.TempDir()
	for _, name := range []string{"weather.yaml", "monday.jsonl", "spine.csv"} {
		require.NotEmpty(t, readme["file "+name], name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(readme["file "+name]), 0o644))
	}
	p.run("apply", "-f", filepath.Join(dir, "weather.yaml"))
	p.run("import", "--view", "airport_weather", filepath.Join(dir, "monday.jsonl"))
	host, port, _ := strings.Cut(p.app.GRPCAddr(), ":")
	run := func(name, more string) string {
		t.Helper()
		require.NotEmpty(t, doc["python "+name], name)
		script := strings.ReplaceAll(doc["python "+name], "127.0.0.1:6567", p.app.GRPCAddr()) + "\n" + more
		cmd := exec.Command(pythonOf(t, "feast"), "-W", "ignore", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s:\n%s", name, out)
		return string(out)
	}
	const want = "[('EWR', 39.0, 59.4), ('EWR', 41.2, 57.1), ('JFK', None, None)]"
	require.Contains(t, run("pandas", `
print([tuple(None if x != x else x for x in row) for row in zip(df.origin, df.temp, df.humid)], str(df.delayed.dtype), back.schema.metadata[b"weir.snapshot"])`), want+" bool b'")
	require.Contains(t, run("polars", `
print(df.select("origin", "temp", "humid").rows())`), want)
	out := run("batches", "")
	require.Equal(t, []string{"3", "{'rows': 3}"}, strings.Split(strings.TrimSpace(out), "\n"))
	require.Contains(t, p.run("snapshot", "list", "-o", "json"), `"rows": 3`)

	yaml := strings.NewReplacer("127.0.0.1", host, "6567", port).Replace(doc["feature_store.yaml"])
	require.NoError(t, os.WriteFile(filepath.Join(dir, "feature_store.yaml"), []byte(yaml), 0o644))
	require.Contains(t, run("feast", `
print([tuple(None if x != x else x for x in row) for row in zip(df.origin, df.temp)], list(df.columns))`),
		"[('EWR', 39.0), ('EWR', 41.2), ('JFK', None)] ['origin', 'event_timestamp', 'delayed', 'temp']")

	// What pandas, Polars and pyarrow keep their columns in goes through as it came.
	cmd := exec.Command(pythonOf(t, "feast"), "feast/types_check.py", p.app.GRPCAddr())
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	require.Contains(t, string(said), fmt.Sprintln("all the same"))
	require.Eventually(t, func() bool { return strings.Contains(p.metrics(), "\nweir_joins_running 0\n") }, 20*time.Second, 20*time.Millisecond,
		"the join of a client that went away goes on")
}

func (p *product) metrics() string {
	r, err := http.Get("http://" + p.app.HTTPAddr() + "/metrics")
	require.NoError(p.t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	return string(b)
}
