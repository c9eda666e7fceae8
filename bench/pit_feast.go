package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	feastRows   = 1_000_000 // of the view; the spine has a tenth
	feastTarget = 5         // times as fast as Feast's DuckDB engine
)

// feast makes a training set of one view with Feast and with Weir, from the start
// of the process to its end: Weir's client with a server running, and with the
// server's start and stop in it too.
func (w *pitWorld) feast(ctx context.Context, r *run) error {
	s, err := r.pitWorld(ctx, min(feastRows, w.rows), "ingested")
	if err != nil {
		return err
	}
	python, err := findPeer().environment(ctx, filepath.Join("bench", "peers", "feast", "requirements.txt"))
	if err != nil {
		return err
	}
	script, err := filepath.Abs(filepath.Join("bench", "peers", "feast", "train.py"))
	if err != nil {
		return err
	}
	repo := filepath.Join(r.dir, "feast")
	theirs := filepath.Join(s.work, "feast.parquet")
	feast := func(what string, args ...string) (a ran, err error) {
		cmd := exec.CommandContext(ctx, python, append([]string{script, what, repo, s.data}, args...)...)
		cmd.Env = append(cmd.Environ(), "FEAST_USAGE=False")
		began := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return a, fmt.Errorf("train.py %s: %w\n%s", what, err, out)
		}
		a.wall = time.Since(began).Seconds()
		a.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		return a, nil
	}
	if _, err := feast("prepare"); err != nil {
		return err
	}
	var ours, whole, others []ran
	out := filepath.Join(s.work, "one.parquet")
	for round := range pitRounds + 1 {
		f, err := feast("train", theirs)
		if err != nil {
			return err
		}
		began := time.Now()
		p, err := s.up(ctx, r, "ingested", "")
		if err != nil {
			return err
		}
		if round == 0 { // the first round writes Python's byte code, and is not counted
			if err := p.apply(ctx, oneViewManifest); err != nil {
				_ = p.stop()
				return err
			}
		}
		a, _, err := r.client(ctx, p, "snapshot", "create", "--service", "one", "--spine", filepath.Join(s.data, "spine.parquet"), "--time-column", "ts", "--time", "event", "--out", out)
		if err != nil {
			_ = p.stop()
			return err
		}
		client := a.cpu
		if err := p.stop(); err != nil {
			return err
		}
		all := ran{wall: time.Since(began).Seconds(), cpu: client + p.cpu}
		if round == 0 {
			if err := s.sameColumns(ctx, out, theirs, 9); err != nil {
				return err
			}
			continue
		}
		ours, whole, others = append(ours, a), append(whole, all), append(others, f)
	}
	what := fmt.Sprintf("training set of %s rows from %s, to Feast's DuckDB engine", short(s.spine), short(s.rows))
	for _, l := range []struct {
		what string
		runs []ran
	}{{what + ", by the clock", ours}, {"the same with `weir up` started and stopped for it", whole}} {
		r.add(Line{What: l.what, Value: medianOf(others, wallTime) / medianOf(l.runs, wallTime), Unit: "times as fast", Target: feastTarget, AtLeast: true,
			CPU: medianOf(l.runs, cpuTime), CPUUnit: "training set", Note: fmt.Sprintf("%s times by CPU; Weir %s; Feast, with its process, %s", number(medianOf(others, cpuTime)/medianOf(l.runs, cpuTime)), told(l.runs), told(others))})
	}
	return os.RemoveAll(repo)
}

const oneViewManifest = `apiVersion: weir/v1
kind: FeatureService
metadata: {name: one, description: The first view, owner: bench@example.com}
spec:
  features: ["v1:*"]
`
