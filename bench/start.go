package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// measureDemo runs the demo as a user would, the build aside.
func measureDemo(ctx context.Context, r *run) error {
	cmd := exec.CommandContext(ctx, r.binary, "demo", "--exit", "-o", "json")
	cmd.Dir = r.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("weir demo --exit: %w\n%s", err, errs.Bytes())
	}
	took := time.Since(began).Seconds()
	cpu := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	r.add(Line{What: "weir demo --exit, after the build", Value: took, Unit: "s", Target: 30, CPU: cpu, CPUUnit: "run",
		Note: "8 s of it are the pace of the simulated stream"})
	return nil
}

// measureStart starts weir five times on an empty folder each.
func measureStart(ctx context.Context, r *run) error {
	const times = 5
	var took, cpu, wait []float64
	for i := range times {
		p, err := r.up(ctx, filepath.Join(r.dir, fmt.Sprintf("empty-%d", i)), "")
		if err != nil {
			return err
		}
		took, cpu, wait = append(took, p.ready.Seconds()), append(cpu, p.cpu), append(wait, p.wait)
		if err := p.stop(); err != nil {
			return err
		}
	}
	l := Line{What: "weir up, empty data folder, until ready", Value: median(took), Unit: "s", Target: 2, CPU: median(cpu), CPUUnit: "start",
		Note: fmt.Sprintf("median of %d, slowest %s; its threads waited %s for a core", times, duration(slices.Max(took)), duration(median(wait)))}
	if l.Value > l.Target {
		profile := filepath.Join(r.dir, "start.prof")
		p, err := r.up(ctx, filepath.Join(r.dir, "empty-profiled"), profile)
		if err != nil {
			return err
		}
		if err := p.stop(); err != nil {
			return err
		}
		l.Profile = top(ctx, profile)
	}
	r.add(l)
	return nil
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
