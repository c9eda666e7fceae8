package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	qualityRounds   = 5
	qualityToDuckDB = 3
	qualityToGX     = 10
)

// measureQuality has `weir check`, DuckDB's SQL and Great Expectations judge one
// Parquet file of 1M rows and 10 columns by the same ten expectations, each from the
// start of its process to its end, in turns.
func measureQuality(ctx context.Context, r *run) error {
	uv := findPeer()
	if uv == nil {
		return nil
	}
	dir := filepath.Join("bench", "peers", "quality")
	python, err := uv.environment(ctx, filepath.Join(dir, "requirements.txt"))
	if err != nil {
		return err
	}
	script, data, suite := filepath.Join(dir, "check.py"), filepath.Join(r.dir, "ten.parquet"), filepath.Join(r.dir, "ten.json")
	if out, err := exec.CommandContext(ctx, python, script, "prepare", data).CombinedOutput(); err != nil {
		return fmt.Errorf("check.py prepare: %w\n%s", err, out)
	}
	if err := writeTen(suite); err != nil {
		return err
	}
	programs := []struct {
		name, says string
		args       []string
	}{
		{"weir", "10 of 10 expectations hold", []string{r.binary, "check", "--suite", suite, data}},
		{"DuckDB", "10", []string{python, script, "duckdb", data}},
		{"Great Expectations", "10", []string{python, script, "gx", data, suite}},
	}
	runs := make([][]ran, len(programs))
	for round := range qualityRounds + 1 {
		for i, p := range programs {
			a, out, err := wholeProcess(ctx, p.args)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if lines := strings.Fields(out); len(lines) == 0 || !strings.HasSuffix(strings.TrimSpace(out), p.says) {
				return fmt.Errorf("%s: does not find that all ten hold:\n%s", p.name, out)
			}
			if round > 0 { // the first writes Python's byte code
				runs[i] = append(runs[i], a)
			}
		}
	}
	start, _, err := wholeProcess(ctx, []string{r.binary, "version"})
	if err != nil {
		return err
	}
	ours := medianOf(runs[0], cpuTime)
	tell := func(i int) string {
		return fmt.Sprintf("%s %s of CPU and %s by the clock, peak %s MiB", programs[i].name, duration(medianOf(runs[i], cpuTime)), duration(medianOf(runs[i], wallTime)), number(medianOf(runs[i], peakMiB)))
	}
	r.add(Line{What: "weir check, 1M rows x 10, ten expectations, to DuckDB's SQL", Value: medianOf(runs[1], cpuTime) / ours, Unit: "times as fast, by CPU", Target: qualityToDuckDB, AtLeast: true,
		CPU: ours, CPUUnit: "file", Note: tell(1) + "; " + tell(0) + "; of it the bare start of weir " + duration(start.cpu) + " and " + number(peakMiB(start)) + " MiB"})
	r.add(Line{What: "the same to Great Expectations", Value: medianOf(runs[2], cpuTime) / ours, Unit: "times as fast, by CPU", Target: qualityToGX, AtLeast: true,
		CPU: ours, CPUUnit: "file", Note: tell(2)})
	r.add(Line{What: "its peak memory to DuckDB's", Value: medianOf(runs[0], peakMiB) / medianOf(runs[1], peakMiB), Unit: "times as much", Target: 1, Note: tell(0) + "; " + tell(2)})
	return nil
}

// wholeProcess runs a program from its start to its end.
func wholeProcess(ctx context.Context, args []string) (a ran, out string, err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return a, "", err
	}
	memory := watchMemory(cmd.Process.Pid)
	err = cmd.Wait()
	a.wall, a.peak = time.Since(began).Seconds(), memory()
	if err != nil {
		return a, "", fmt.Errorf("%w\n%s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	a.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return a, stdout.String(), nil
}

// writeTen writes the ten rules as Great Expectations saves a suite.
func writeTen(path string) error {
	s, err := tenSuite()
	if err != nil {
		return err
	}
	b, err := json.Marshal(map[string]any{"name": "ten", "expectations": s.Expectations, "meta": map[string]any{}})
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
