package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weir-ml/weir/internal/testserver/native"
)

func main() {
	var o options
	flag.BoolVar(&o.servers, "servers", false, "start a Kafka, a PostgreSQL and an S3 server for all packages")
	flag.BoolVar(&o.require, "require", false, "a skip for an absent server or ../shared is a failure")
	flag.BoolVar(&o.soak, "soak", false, "run the tests that draw seeds, with new ones, again and again")
	flag.DurationVar(&o.time, "time", 0, "how long to soak; 0 is until it is interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, o, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

type options struct {
	servers, require, soak bool
	time                   time.Duration
}

func run(ctx context.Context, o options, args []string) (bool, error) {
	module, err := exec.CommandContext(ctx, "go", "list", "-m").Output()
	if err != nil {
		return false, fmt.Errorf("go list -m: %w", err)
	}
	env := append(os.Environ(), raceEnv()...)
	if o.servers {
		dir, err := os.MkdirTemp("", "weir-testrun-")
		if err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
		extra, end := startServers(ctx, dir)
		defer end()
		env = append(env, extra...)
	}
	if o.require {
		env = append(env, "WEIR_TEST_REQUIRE=1", "WEIR_SHARED_REQUIRE=1")
	}
	r := newReport(os.Stdout, strings.TrimSpace(string(module)), o.require)
	if o.soak {
		return soak(ctx, r, env, o.time, args)
	}
	if err := r.test(ctx, env, ordered(args)); err != nil {
		return false, err
	}
	if tests, packages := r.raceless(); len(tests) > 0 && ctx.Err() == nil {
		fmt.Println("\nAgain, without the race detector:")
		again := append([]string{"-timeout", "10m", "-run", "^(" + strings.Join(tests, "|") + ")$"}, packages...)
		if err := r.test(ctx, env, again); err != nil {
			return false, err
		}
	}
	return r.summary(), nil
}

// test has the report take one run of go test.
func (r *report) test(ctx context.Context, env, args []string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	// On an interrupt go test gets the signal too, and ends its children.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	before := len(r.failed)
	if err := r.read(out); err != nil {
		r.fail("reading go test's output: %v", err)
	}
	if err := cmd.Wait(); err != nil && len(r.failed) == before {
		r.fail("go test: %v", err)
	}
	return nil
}

// startServers starts what the environment does not name, and returns the
// variables that tell tests where. A server that cannot be had is left to the
// tests: they say what they miss.
func startServers(ctx context.Context, dir string) (env []string, end func()) {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		ends []func()
	)
	launch := func(variable string, start func(dir string) (string, func(), error)) {
		if os.Getenv(variable) != "" {
			return
		}
		sub, err := os.MkdirTemp(dir, "")
		if err == nil {
			err = os.Chmod(dir, 0o755) // PostgreSQL's own user has to pass
		}
		wg.Go(func() {
			var addr string
			var stop func()
			if err == nil {
				addr, stop, err = start(sub)
			}
			mu.Lock()
			defer mu.Unlock()
			if stop != nil {
				ends = append(ends, stop)
			}
			if err != nil {
				fmt.Printf("testrun: no shared server for %s: %v\n", variable, err)
				return
			}
			env = append(env, variable+"="+addr)
		})
	}
	launch("WEIR_TEST_KAFKA", func(dir string) (string, func(), error) {
		k, err := native.StartKafka(ctx, dir)
		if k == nil || k.Process == nil {
			return "", nil, err
		}
		return k.Addr, k.Kill, err
	})
	launch("WEIR_TEST_POSTGRES_URL", func(dir string) (string, func(), error) {
		p, err := native.StartPostgres(ctx, dir)
		if p == nil || p.Process == nil {
			return "", nil, err
		}
		return p.URL, p.Kill, err
	})
	launch("WEIR_TEST_S3", func(dir string) (string, func(), error) {
		s, err := native.StartS3(ctx, dir)
		if s == nil || s.Process == nil {
			return "", nil, err
		}
		return s.URL(), s.Kill, err
	})
	wg.Wait()
	return env, func() {
		for _, f := range ends {
			f()
		}
	}
}
