package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	driftRounds      = 2
	driftToEvidently = 25
	driftMiB         = 300
)

// measureDrift is what monitors cost, and files compared.
func measureDrift(ctx context.Context, r *run) error {
	if err := r.measureProfiles(); err != nil {
		return err
	}
	if err := r.measureMonitored(ctx); err != nil {
		return err
	}
	if err := r.measureTap(ctx); err != nil {
		return err
	}
	return r.measureCompare(ctx)
}

// measureCompare has `weir compare` and Evidently's DataDriftPreset compare two Parquet
// files of 1M and 100k rows and 20 columns, each from the start of its process to its
// end, in turns. Nothing has drifted, and both say so.
func (r *run) measureCompare(ctx context.Context) error {
	uv := findPeer()
	if uv == nil {
		return nil
	}
	dir := filepath.Join("bench", "peers", "drift")
	python, err := uv.environment(ctx, filepath.Join(dir, "requirements.txt"))
	if err != nil {
		return err
	}
	script, ref, cur := filepath.Join(dir, "compare.py"), filepath.Join(r.dir, "reference.parquet"), filepath.Join(r.dir, "current.parquet")
	if out, err := exec.CommandContext(ctx, python, script, "prepare", ref, cur).CombinedOutput(); err != nil {
		return fmt.Errorf("compare.py prepare: %w\n%s", err, out)
	}
	programs := []struct {
		name, says string
		args       []string
	}{
		{"weir", "0 of 20 columns drifted", []string{r.binary, "compare", "--reference", ref, "--current", cur}},
		{"Evidently", "20 columns, 0 drifted", []string{python, script, "evidently", ref, cur}},
	}
	runs := make([][]ran, len(programs))
	for round := range driftRounds + 1 {
		for i, p := range programs {
			a, out, err := wholeProcess(ctx, p.args)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if !strings.Contains(out, p.says) {
				return fmt.Errorf("%s: does not say that nothing has drifted:\n%s", p.name, out)
			}
			if round > 0 { // the first writes Python's byte code
				runs[i] = append(runs[i], a)
			}
		}
	}
	ours := medianOf(runs[0], cpuTime)
	tell := func(i int) string {
		return fmt.Sprintf("%s %s of CPU, peak %s MiB", programs[i].name, duration(medianOf(runs[i], cpuTime)), number(medianOf(runs[i], peakMiB)))
	}
	r.add(Line{What: "weir compare, 1M x 100k rows x 20 columns, to Evidently's DataDriftPreset", Value: medianOf(runs[1], cpuTime) / ours, Unit: "times as fast, by CPU", Target: driftToEvidently, AtLeast: true,
		CPU: ours, CPUUnit: "comparison", Note: tell(1) + "; " + tell(0)})
	r.add(Line{What: "its peak memory", Value: medianOf(runs[0], peakMiB), Unit: "MiB", Target: driftMiB, Note: tell(1)})
	return nil
}
