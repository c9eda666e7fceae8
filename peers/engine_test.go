//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// engine is another program on the tables of one catalog; see engines/engine.py.
type engine struct {
	t    testing.TB
	name string
	on   warehouse
	in   io.Writer
	out  *bufio.Reader
	errs *tail
}

// warehouse is where the table of a test is.
type warehouse struct {
	catalog, dir, namespace, table string
	s3                             map[string]string // what pyiceberg calls the settings of a bucket
}

func newWarehouse(t testing.TB) warehouse {
	dir := t.TempDir()
	return warehouse{filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse"), "shop", "stats", nil}
}

func (w warehouse) url() string { return "sqlite:" + w.catalog }

// cache is where scripts/setup-test.sh puts what it fetches.
func cache(t testing.TB) string {
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		require.NoError(t, err)
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(dir, "weir")
}

// python is the interpreter of the engines' environment.
func python(t testing.TB) string { return pythonOf(t, "engines") }

// pythonOf is the interpreter of the environment that scripts/setup-test.sh made of a
// folder's requirements.txt.
func pythonOf(t testing.TB, folder string) string {
	list, err := os.ReadFile(filepath.Join(folder, "requirements.txt"))
	require.NoError(t, err)
	home := filepath.Join(cache(t), fmt.Sprintf("%s-%.6x", folder, sha256.Sum256(list)))
	require.FileExists(t, filepath.Join(home, "complete"), "run scripts/setup-test.sh --peers")
	return filepath.Join(home, "bin", "python")
}

// start runs an engine on a warehouse until the test ends.
func (w warehouse) start(t testing.TB, name string) *engine {
	t.Helper()
	args := []string{"engines/engine.py", name, w.catalog, w.dir}
	if name == "spark" {
		jars := filepath.Join(cache(t), "spark-jars-4.1.4")
		require.DirExists(t, jars, "run scripts/setup-test.sh --peers")
		args = append(args, jars)
	}
	cmd := exec.Command(python(t), args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "SPARK_LOCAL_IP=127.0.0.1")
	if w.s3 != nil {
		b, err := json.Marshal(w.s3)
		require.NoError(t, err)
		cmd.Env = append(cmd.Env, "ENGINE_S3="+string(b),
			// By default pyarrow sends a body in HTTP chunks with a checksum behind it. The Versity gateway leaves
			// the last, empty chunk of it unread and takes it for the next request's head: a 400 that nobody asked
			// for, which answers whatever comes over that connection next, if it is quick enough.
			"AWS_REQUEST_CHECKSUM_CALCULATION=when_required")
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	e := &engine{t: t, name: name, on: w, in: in, out: bufio.NewReaderSize(out, 1<<20), errs: &tail{}}
	cmd.Stderr = e.errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close() // it ends by itself
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said at the end:\n%s", name, e.errs)
		}
	})
	t.Logf("%s %v", name, e.answer())
	return e
}

// call is a command and its arguments.
type call map[string]any

// do runs a command on the table.
func (e *engine) do(what string, c call) any {
	e.t.Helper()
	if c == nil {
		c = call{}
	}
	c["do"], c["namespace"], c["table"] = what, e.on.namespace, e.on.table
	b, err := json.Marshal(c)
	require.NoError(e.t, err)
	_, err = e.in.Write(append(b, '\n'))
	require.NoError(e.t, err)
	return e.answer()
}

// rows are the rows that the engine sees, as texts.
func (e *engine) rows(c call) []string {
	e.t.Helper()
	var out []string
	for _, x := range e.do("rows", c).([]any) {
		out = append(out, x.(string))
	}
	return out
}

func (e *engine) answer() any {
	e.t.Helper()
	line, err := e.out.ReadBytes('\n')
	require.NoError(e.t, err, "%s ended:\n%s", e.name, e.errs)
	var a struct {
		OK    any
		Error string
	}
	require.NoError(e.t, json.Unmarshal(line, &a))
	require.Empty(e.t, a.Error, "%s:\n%s", e.name, e.errs)
	return a.OK
}

// tail keeps the end of what an engine says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - 16<<10; n > 0 {
		t.b = bytes.Clone(t.b[n:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

var _ fmt.Stringer = (*tail)(nil)
