package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	pitRows       = 10_000_000 // of each of the three views; entities and spine rows are a tenth
	pitRounds     = 3
	pitCompacted  = 0.6 // of DuckDB's time
	pitAsIngested = 1.0
	pitMemory     = 512 // MiB
)

// pitLayouts are how the tables lie that Weir joins, and the layout of DuckDB's
// own files which it is held against.
var pitLayouts = []struct {
	folder, what, theirs string
	target               float64
}{
	{"compacted", "compacted", "sorted", pitCompacted},
	{"ingested", "as imported", "arrival", pitAsIngested},
	{"stream", "as many small flushes left them", "arrival", pitAsIngested},
}

// measurePit makes training sets beside DuckDB, Polars and Feast, on the same
// rows: theirs in files laid out for them, ours in tables that Weir filled.
func measurePit(ctx context.Context, r *run) error {
	var folders []string
	for _, f := range pitFolders {
		folders = append(folders, f.name)
	}
	w, err := r.pitWorld(ctx, r.pitRows, folders...)
	if w == nil || err != nil {
		return err
	}
	parts := []struct {
		name string
		make func(context.Context, *run) error
	}{{"joins", w.joins}, {"known", w.known}, {"feast", w.feast}, {"growth", w.growth}, {"few", w.few}, {"flight", w.flight}, {"export", w.export}}
	wanted := strings.FieldsFunc(r.pitParts, func(r rune) bool { return r == ',' })
	for _, p := range parts {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, " ", p.name)
		if err := p.make(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// joins holds the same join against DuckDB and Polars, in turns.
func (w *pitWorld) joins(ctx context.Context, r *run) error {
	ours, theirs := map[string][]ran{}, map[string][]ran{}
	for round := range pitRounds {
		for _, l := range pitLayouts {
			peer := "duckdb " + l.theirs
			if len(theirs[peer]) == round { // one round of it serves two layouts
				p, err := w.pitPy(ctx, "duckdb", l.theirs)
				if err != nil {
					return err
				}
				theirs[peer] = append(theirs[peer], p)
			}
			o, err := w.join(ctx, r, l.folder, "event", "")
			if err != nil {
				return err
			}
			ours[l.folder] = append(ours[l.folder], o)
			if round == 0 {
				if err := w.same(ctx, o.out, theirs[peer][0].out); err != nil {
					return fmt.Errorf("%s: %w", l.folder, err)
				}
			}
		}
		p, err := w.pitPy(ctx, "polars", "arrival")
		if err != nil {
			return err
		}
		theirs["polars"] = append(theirs["polars"], p)
		if round == 0 {
			if err := w.same(ctx, ours[pitLayouts[0].folder][0].out, p.out); err != nil {
				return err
			}
		}
	}
	for _, l := range pitLayouts {
		o, d := ours[l.folder], theirs["duckdb "+l.theirs]
		if err := w.ratios(ctx, r, fmt.Sprintf("training set of %s rows from 3 views x %s, %s", short(w.spine), short(w.rows), l.what),
			l.folder, "event", l.target, o, d); err != nil {
			return err
		}
	}
	for _, peer := range []string{"duckdb sorted", "duckdb arrival", "polars"} {
		t := theirs[peer]
		r.add(Line{What: "the same with " + peer + ": CPU", Value: medianOf(t, cpuTime), Unit: "s", Note: told(t)})
	}
	return nil
}

// ratios adds the lines of one comparison: CPU, clock, memory.
func (w *pitWorld) ratios(ctx context.Context, r *run, what, folder, clock string, target float64, ours, theirs []ran) error {
	cpu := Line{What: what + ": CPU, Weir to DuckDB", Value: medianOf(ours, cpuTime) / medianOf(theirs, cpuTime), Unit: "x", Target: target,
		CPU: medianOf(ours, cpuTime), CPUUnit: "training set", Note: "Weir " + told(ours) + "; DuckDB " + told(theirs)}
	wall := Line{What: "the same by the clock", Value: medianOf(ours, wallTime) / medianOf(theirs, wallTime), Unit: "x", Target: target,
		Note: fmt.Sprintf("medians %s and %s, best %s and %s", duration(medianOf(ours, wallTime)), duration(medianOf(theirs, wallTime)), duration(least(ours, wallTime)), duration(least(theirs, wallTime)))}
	memory := Line{What: "the same: peak memory of the server", Value: medianOf(ours, peakMiB), Unit: "MiB", Target: pitMemory,
		Note: fmt.Sprintf("and of the client %s MiB; DuckDB %s MiB", number(medianOf(ours, clientMiB)), number(medianOf(theirs, peakMiB)))}
	if target > 0 && cpu.Value > target || r.profiles != "" {
		profile := filepath.Join(r.dir, "pit-"+folder+"-"+clock+".prof")
		if _, err := w.join(ctx, r, folder, clock, profile); err != nil {
			return err
		}
		cpu.Profile = top(ctx, profile)
	}
	r.add(cpu)
	r.add(wall)
	r.add(memory)
	return nil
}

// known is the join as of what was known, which is Weir's default.
func (w *pitWorld) known(ctx context.Context, r *run) error {
	var ours, theirs []ran
	for round := range pitRounds {
		out := filepath.Join(w.work, "known-duckdb.parquet")
		p, err := w.python(ctx, out, filepath.Join("bench", "peers", "pit", "known.py"), w.data, "sorted", out)
		if err != nil {
			return err
		}
		o, err := w.join(ctx, r, "compacted", "known", "")
		if err != nil {
			return err
		}
		ours, theirs = append(ours, o), append(theirs, p)
		if round == 0 {
			if err := w.same(ctx, o.out, p.out); err != nil {
				return fmt.Errorf("known-as-of: %w", err)
			}
		}
	}
	return w.ratios(ctx, r, "the same as known at each row's time, compacted, to SQL in DuckDB", "compacted", "known", 0, ours, theirs)
}

// ran is what one process, or a server and its client, took.
type ran struct {
	wall, cpu    float64 // seconds
	wait         float64 // seconds that the server's threads waited for a core
	peak, client int64   // bytes
	out          string  // the file it wrote
}

func cpuTime(a ran) float64   { return a.cpu }
func wallTime(a ran) float64  { return a.wall }
func waitTime(a ran) float64  { return a.wait }
func peakMiB(a ran) float64   { return float64(a.peak) / (1 << 20) }
func clientMiB(a ran) float64 { return float64(a.client) / (1 << 20) }

func values(of []ran, what func(ran) float64) (v []float64) {
	for _, a := range of {
		v = append(v, what(a))
	}
	return v
}

func medianOf(of []ran, what func(ran) float64) float64 { return median(values(of, what)) }
func least(of []ran, what func(ran) float64) float64    { return slices.Min(values(of, what)) }

// told is the figures of some runs, for a note.
func told(of []ran) string {
	return fmt.Sprintf("%s of CPU (best %s), %s by the clock (best %s)", duration(medianOf(of, cpuTime)), duration(least(of, cpuTime)),
		duration(medianOf(of, wallTime)), duration(least(of, wallTime)))
}

// short is a round number in words: 10M, 300k.
func short(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return number(float64(n)/1e6) + "M"
	case n >= 1000 && n%1000 == 0:
		return number(float64(n)/1e3) + "k"
	}
	return fmt.Sprint(n)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
