package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"

	"github.com/weir-ml/weir/cmd/weir/command"
)

// profiledWeir makes this program behave like weir, with a CPU profile of its
// whole run in the file that follows: a profile needs no port of the product.
const profiledWeir = "weir-with-profile"

func weirWithProfile(path string, args []string) int {
	f, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	defer f.Close()
	defer pprof.StopCPUProfile()
	return command.Main(args, os.Stdin, os.Stdout, os.Stderr)
}

// profileOf runs f with a CPU profile of this process and returns its top.
func (r *run) profileOf(ctx context.Context, f func() error) ([]string, error) {
	path := filepath.Join(r.dir, "own.prof")
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, err
	}
	err = f()
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	return top(ctx, path), nil
}

// ours are the functions worth showing: of this project and of the libraries
// that do its work, not the runtime's ladder above and below them.
var ours = regexp.MustCompile(`weir-ml|miniredis|gopher-lua|kfake|/kgo|go-redis|parquet-go|iceberg-go|klauspost|gcBgMarkWorker$|runtime\.mallocgc$|Syscall6`)

// top is the functions a profile was in most, callees included. A profile is an
// extra: where it cannot be read, the line says so.
func top(ctx context.Context, path string) []string {
	const most = 18
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=400", path).Output()
	if err != nil {
		return []string{"the profile could not be read: " + err.Error()}
	}
	_, list, ok := strings.Cut(string(out), "flat%")
	if !ok {
		return []string{"the profile is empty"}
	}
	lines := []string{"      flat  flat%" + strings.SplitN(list, "\n", 2)[0]}
	last := ""
	for _, l := range strings.Split(list, "\n")[1:] {
		f := strings.Fields(l)
		if len(f) < 6 || !ours.MatchString(l) || f[3] == last || len(lines) > most {
			continue // one line of a ladder whose rungs all took the same time
		}
		last = f[3]
		l = strings.ReplaceAll(strings.ReplaceAll(l, "github.com/weir-ml/weir/", ""), "github.com/", "")
		lines = append(lines, l[:min(len(l), 150)])
	}
	return lines
}

// keepProfiles copies the profiles of a run out of its temporary folder.
func keepProfiles(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	all, err := filepath.Glob(filepath.Join(from, "*.prof"))
	if err != nil {
		return err
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
