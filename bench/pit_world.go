package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pitShared is where the generator and the other engines' programs are.
const pitShared = "../shared/bench/pit"

// pitTurn is how long a folder that another process has is waited for.
const pitTurn = 5 * time.Minute

// pitWorld is generated rows, and data folders of Weir that have them. They are
// large and take minutes to make, so they stay in the user's cache.
type pitWorld struct {
	rows, spine int    // of each view; of the spine, as many as there are entities
	dir         string // in the cache
	data        string // what gen.py made
	work        string // for what is made here
	py          string
}

// pitFolders are Weir's data folders: how they are filled.
var pitFolders = []struct {
	name, what string
	settings   []string
	compact    bool
}{
	{"ingested", "by import", nil, false},
	{"stream", "by import, flushed every MiB", []string{"ingest.flush_bytes=1048576"}, false},
	{"compacted", "by import, flushed every MiB, then compacted", []string{"ingest.flush_bytes=1048576"}, true},
}

// pitWorld returns the data, made where it is not there; nil, having said so, where it cannot be had.
func (r *run) pitWorld(ctx context.Context, rows int, folders ...string) (*pitWorld, error) {
	shared, err := filepath.Abs(pitShared)
	if err != nil {
		return nil, err
	}
	if !exists(filepath.Join(shared, "gen.py")) {
		fmt.Fprintln(os.Stderr, "  training sets are not measured: there is no "+pitShared)
		return nil, nil
	}
	p := findPeer()
	if p == nil {
		return nil, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	w := &pitWorld{rows: rows, spine: rows / 10}
	if w.py, err = p.environment(ctx, filepath.Join("bench", "peers", "pit", "requirements.txt")); err != nil {
		return nil, err
	}
	w.dir = filepath.Join(cache, "weir", fmt.Sprintf("bench-pit-%d-%d-%d", w.rows, w.spine, w.spine))
	w.data, w.work = filepath.Join(w.dir, "data"), filepath.Join(w.dir, "work")
	if err := os.MkdirAll(filepath.Join(w.work, "out"), 0o755); err != nil {
		return nil, err
	}
	if !exists(filepath.Join(w.data, "spine.parquet")) { // the last that gen.py writes
		fmt.Fprintf(os.Stderr, "  generating %s rows in %s\n", short(3*w.rows), w.dir)
		if err := enoughDisk(w.dir, int64(w.rows)*1000); err != nil {
			return nil, err
		}
		if _, err := w.python(ctx, "", filepath.Join(shared, "gen.py"), w.data, fmt.Sprint(w.rows), fmt.Sprint(w.spine), fmt.Sprint(w.spine)); err != nil {
			return nil, err
		}
	}
	for _, f := range pitFolders {
		if !slices.Contains(folders, f.name) {
			continue
		}
		if err := w.fill(ctx, r, f.name, f.what, f.settings, f.compact); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return w, w.warm()
}

// fill makes one of Weir's data folders, unless it is there. A mark beside it says that it is whole.
func (w *pitWorld) fill(ctx context.Context, r *run, name, what string, settings []string, compact bool) error {
	dir := filepath.Join(w.dir, name)
	mark := dir + ".whole"
	if exists(mark) && (!r.pitFresh || r.pitDone[dir]) {
		return nil
	}
	fmt.Fprintf(os.Stderr, "  filling %s\n", dir)
	for _, old := range []string{mark, dir} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	p, err := w.up(ctx, r, name, "", settings...)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.apply(ctx, pitManifests()); err != nil {
		return err
	}
	for v := 1; v <= 3; v++ {
		a, out, err := r.client(ctx, p, "import", "--view", fmt.Sprint("v", v), "-o", "json", filepath.Join(w.data, "arrival", fmt.Sprint("v", v)))
		if err != nil {
			return err
		}
		var files []struct{ Rows, Quarantined int64 }
		if err := json.Unmarshal(out, &files); err != nil {
			return fmt.Errorf("weir import: %w\n%s", err, out)
		}
		var rows int64
		for _, f := range files {
			rows += f.Rows - f.Quarantined
		}
		if rows != int64(w.rows) {
			return fmt.Errorf("weir import of %d rows: %s", w.rows, out)
		}
		if v == 1 && w.rows == r.pitRows {
			r.add(Line{What: "a view of " + short(w.rows) + " rows of training sets, " + what, Value: float64(rows) / a.cpu, Unit: "rows/CPU-s", CPU: a.cpu / float64(rows), CPUUnit: "row",
				Note: "made once, kept in the user's cache; " + duration(a.wall) + " by the clock"})
		}
	}
	if compact {
		if _, _, err := r.client(ctx, p, "compact"); err != nil {
			return err
		}
	}
	if err := p.stop(); err != nil {
		return err
	}
	if r.pitDone == nil {
		r.pitDone = map[string]bool{}
	}
	r.pitDone[dir] = true
	return os.WriteFile(mark, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o644)
}

// up starts a Weir on one of the folders; it leaves the tables as they lie. Where
// another benchmark has the folder, it waits for its turn.
func (w *pitWorld) up(ctx context.Context, r *run, folder, profile string, settings ...string) (*process, error) {
	dir := filepath.Join(w.dir, folder)
	for until, told := time.Now().Add(pitTurn), false; ; {
		p, err := r.up(ctx, dir, profile, append([]string{"offline.upkeep.enabled=false"}, settings...)...)
		if err == nil || !strings.Contains(err.Error(), "another process uses this folder") || time.Now().After(until) {
			return p, err
		}
		if !told {
			told = true
			fmt.Fprintf(os.Stderr, "  %s is in use; waiting for up to %s\n", dir, pitTurn)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// warm reads everything once, so that nobody waits for the disk.
func (w *pitWorld) warm() error {
	return filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}

// pitManifests defines the three views and the service of them all.
func pitManifests() string {
	var b strings.Builder
	b.WriteString(`apiVersion: weir/v1
kind: Entity
metadata: {name: entity, description: What the rows are about, owner: bench@example.com}
spec:
  join_keys: [{name: entity_id, type: int64}]
`)
	for v := 1; v <= 3; v++ {
		fmt.Fprintf(&b, `---
apiVersion: weir/v1
kind: Source
metadata: {name: v%[1]d, description: Generated rows, owner: bench@example.com}
spec:
  topic: bench.v%[1]d
  event_time: {field: event_ts}
  created: {field: created_ts}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: v%[1]d, description: Generated rows, owner: bench@example.com}
spec:
  source: v%[1]d
  entities: [entity]
  online: false
  ttl: 30d
  features:
`, v)
		for f := range 5 {
			fmt.Fprintf(&b, "    - {name: v%d_f%d, type: float64}\n", v, f)
		}
	}
	b.WriteString(`---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: pit, description: All features of all views, owner: bench@example.com}
spec:
  features: ["v1:*", "v2:*", "v3:*"]
`)
	return b.String()
}

// environment is the Python of an environment that has exactly the packages of a
// list; made once, kept in the user's cache. Not `uv run`: what uv takes to start
// would count.
func (p *peer) environment(ctx context.Context, requirements string) (python string, err error) {
	list, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(list)
	home := filepath.Join(cache, "weir", fmt.Sprintf("bench-%s-%x", filepath.Base(filepath.Dir(requirements)), sum[:6]))
	python = filepath.Join(home, "bin", "python")
	if exists(filepath.Join(home, "complete")) {
		return python, nil
	}
	fmt.Fprintln(os.Stderr, "  installing "+requirements)
	if err := os.RemoveAll(home); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"venv", "-q", "--python", "3.11", home}, {"pip", "install", "-q", "-p", home, "--require-hashes", "-r", requirements}} {
		if out, err := exec.CommandContext(ctx, p.uv, args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("uv %s: %w\n%s", args[0], err, out)
		}
	}
	return python, os.WriteFile(filepath.Join(home, "complete"), nil, 0o644)
}
