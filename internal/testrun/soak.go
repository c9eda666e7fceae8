package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

// soak runs the tests that draw seeds, with new seeds, package after package and
// again and again, until the time is up (0: until it is interrupted). Which tests those are
// a package's first run tells, which is of all its tests.
func soak(ctx context.Context, r *report, env []string, long time.Duration, args []string) (bool, error) {
	flags, asked := apart(args)
	packages, err := seeded(ctx, env, asked)
	if err != nil {
		return false, err
	}
	began := time.Now()
	fmt.Printf("%d packages draw seeds\n", len(packages))
	env = append(env, "WEIR_TEST_SEED=new")
	drawn := draws{tests: map[string][]string{}}
	r.ended = drawn.ended
rounds:
	for round := 1; len(packages) > 0; round++ {
		fmt.Printf("\nRound %d, after %s:\n", round, time.Since(began).Round(time.Second))
		for _, p := range packages {
			if long > 0 && time.Since(began) > long {
				break rounds
			}
			one := append([]string{"-count=1"}, flags...)
			if round > 1 {
				one = append(one, "-run", "^("+strings.Join(drawn.tests[p], "|")+")$")
			}
			before := len(r.failed)
			delete(r.packages, p) // what failed in an earlier round is told
			if err := r.test(ctx, env, append(one, p)); err != nil {
				return false, err
			}
			if ctx.Err() != nil { // what was cut off has not failed
				r.failed = r.failed[:before]
				break rounds
			}
		}
		packages = slices.DeleteFunc(packages, func(p string) bool { return len(drawn.tests[p]) == 0 })
	}
	ok := r.summary()
	if len(drawn.again) > 0 {
		fmt.Printf("\nAgain with\n    %s\n", strings.Join(drawn.again, "\n    "))
	}
	return ok, nil
}

// apart tells go test's flags, each written as -name=value, from its packages.
func apart(args []string) (flags, packages []string) {
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			flags = append(flags, a)
		} else {
			packages = append(packages, a)
		}
	}
	return flags, packages
}

// seeded are those of the packages whose tests need internal/testseed, by whatever way.
func seeded(ctx context.Context, env, packages []string) ([]string, error) {
	const format = `{{$p := .ImportPath}}{{range .Deps}}{{if eq . "github.com/weir-ml/weir/internal/testseed"}}{{$p}}{{"\n"}}{{end}}{{end}}`
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-test", "-f", format}, packages...)...)
	cmd.Env = env
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, said.String())
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		// A package's test program is listed as the package with .test behind it.
		if p, ok := strings.CutSuffix(strings.TrimSpace(line), ".test"); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// draws notes which tests draw seeds, and those with which one failed.
type draws struct {
	tests map[string][]string // by package, without their parts
	again []string            // commands
}

var seedLine = regexp.MustCompile(`WEIR_(TEST|SIM)_SEED=[0-9]+`)

// ended is told of each test when it ends.
func (d *draws) ended(at id, action, output string) {
	seeds := seedLine.FindAllString(output, -1)
	if len(seeds) == 0 {
		return
	}
	top, _, _ := strings.Cut(at.test, "/")
	if !slices.Contains(d.tests[at.pkg], top) {
		d.tests[at.pkg] = append(d.tests[at.pkg], top)
	}
	if action != "fail" {
		return
	}
	var parts []string
	for part := range strings.SplitSeq(at.test, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	again := fmt.Sprintf("%s go test %s -count=1 -run '%s'", seeds[len(seeds)-1], at.pkg, strings.Join(parts, "/"))
	d.again = append(d.again, again)
	fmt.Printf("\nAgain with\n    %s\n", again)
}
