package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// join makes a training set of the whole spine with a Weir that has just been
// started on one of the folders. From the client's start to its end; CPU of both.
func (w *pitWorld) join(ctx context.Context, r *run, folder, clock, profile string) (a ran, err error) {
	p, err := w.up(ctx, r, folder, profile)
	if err != nil {
		return a, err
	}
	defer func() {
		if serr := p.stop(); err == nil {
			err = serr
		}
	}()
	out := filepath.Join(w.work, folder+"-"+clock+".parquet")
	return w.train(ctx, r, p, filepath.Join(w.data, "spine.parquet"), clock, out)
}

// train has a running Weir make one training set.
func (w *pitWorld) train(ctx context.Context, r *run, p *process, spine, clock, out string) (ran, error) {
	a, _, err := r.client(ctx, p, "snapshot", "create", "--service", "pit", "--spine", spine, "--time-column", "ts", "--time", clock, "--out", out)
	a.out = out
	return a, err
}

// client runs one command of the command line against a server. The CPU time is that of both.
func (r *run) client(ctx context.Context, p *process, args ...string) (a ran, out []byte, err error) {
	cmd := exec.CommandContext(ctx, r.binary, append(args, "--server", p.grpc)...)
	cmd.Dir = r.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	from, waited, began := p.usedCPU(), waitedFor(p.cmd.Process.Pid), time.Now()
	if err := cmd.Start(); err != nil {
		return a, nil, err
	}
	memory := watchMemory(cmd.Process.Pid)
	err = cmd.Wait()
	a.wall = time.Since(began).Seconds()
	a.client = memory()
	if err != nil {
		return a, nil, fmt.Errorf("weir %s: %w\n%s\n%s", args[0], err, stderr.Bytes(), p.logs)
	}
	a.cpu = p.usedCPU() - from + (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	a.wait = waitedFor(p.cmd.Process.Pid) - waited
	a.peak = p.peakMemory()
	return a, stdout.Bytes(), nil
}

// watchMemory looks at a process' peak memory until the returned function is
// called, which gives the last that was seen: the kernel forgets it with the process.
func watchMemory(pid int) func() int64 {
	var most atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for {
			most.Store(max(most.Load(), peakOf(pid)))
			select {
			case <-stop:
				return
			case <-t.C:
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-stopped
		return most.Load()
	}
}

// pitPy runs one engine of pit.py.
func (w *pitWorld) pitPy(ctx context.Context, engine, layout string) (ran, error) {
	script, err := filepath.Abs(filepath.Join(pitShared, "pit.py"))
	if err != nil {
		return ran{}, err
	}
	return w.python(ctx, filepath.Join(w.work, "out", engine+"-"+layout+"-2.parquet"), script, engine, layout, "2")
}

var pythonFigures = regexp.MustCompile(`wall=[0-9.]+s cpu=([0-9.]+)s rss=([0-9.]+)GiB`)

// python runs a program to its end. Where it prints its figures, the clock stops
// there: what it does afterwards (checks) does not count. From the start of the process.
func (w *pitWorld) python(ctx context.Context, out, script string, args ...string) (a ran, err error) {
	if script, err = filepath.Abs(script); err != nil {
		return a, err
	}
	cmd := exec.CommandContext(ctx, w.py, append([]string{script}, args...)...)
	cmd.Dir = w.work
	cmd.Env = append(cmd.Environ(), "DATA="+w.data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return a, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return a, err
	}
	for s := bufio.NewScanner(pipe); s.Scan(); {
		if m := pythonFigures.FindStringSubmatch(s.Text()); m != nil {
			a.wall = time.Since(began).Seconds()
			a.cpu, _ = strconv.ParseFloat(m[1], 64)
			gib, _ := strconv.ParseFloat(m[2], 64)
			a.peak = int64(gib * (1 << 30))
		}
	}
	if err := cmd.Wait(); err != nil {
		return a, fmt.Errorf("%s: %w\n%s", filepath.Base(script), err, stderr.Bytes())
	}
	a.out = out
	return a, nil
}

// same fails where two training sets of all views differ in anything.
func (w *pitWorld) same(ctx context.Context, ours, theirs string) error {
	return w.sameColumns(ctx, ours, theirs, 4+15)
}

// sameColumns is the same for so many columns, of which four are the spine's.
func (w *pitWorld) sameColumns(ctx context.Context, ours, theirs string, columns int) error {
	script, err := filepath.Abs(filepath.Join("bench", "peers", "pit", "compare.py"))
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, w.py, script, ours, theirs).CombinedOutput()
	if err != nil {
		return fmt.Errorf("compare.py: %w\n%s", err, out)
	}
	var c struct {
		Rows      int            `json:"rows"`
		Other     int            `json:"other_rows"`
		Columns   int            `json:"columns"`
		Ordered   bool           `json:"ordered"`
		Different map[string]int `json:"different"`
		Values    int            `json:"values"`
	}
	if err := json.Unmarshal(out, &c); err != nil {
		return fmt.Errorf("compare.py: %w\n%s", err, out)
	}
	if c.Rows != w.spine || c.Other != w.spine || c.Columns != columns || !c.Ordered || len(c.Different) > 0 || c.Values < 4*w.spine+w.spine {
		return fmt.Errorf("the training sets %s and %s are not the same: %s", ours, theirs, out)
	}
	return nil
}

// enoughDisk fails where there is not so much room.
func enoughDisk(dir string, want int64) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err
	}
	if free := int64(s.Bavail) * int64(s.Bsize); free < want {
		return fmt.Errorf("%s: the data wants %d GiB, %d are free", dir, want>>30, free>>30)
	}
	return nil
}
