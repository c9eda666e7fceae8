package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is one line of `go test -json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// report collects events and prints as packages end.
type report struct {
	out      io.Writer
	require  bool // an absent server or ../shared is a failure
	module   string
	printed  map[id]*strings.Builder // output of tests that have not ended
	packages map[string]*pkg
	skips    []skip
	failed   []string
	passes   int
	builds   map[string]*strings.Builder
	ended    func(at id, action, output string) // where it is set, told of each test
}

type id struct{ pkg, test string }

type pkg struct{ passed, failed, skipped int }

type skip struct {
	at    id
	where string
	why   string
}

func newReport(out io.Writer, module string, require bool) *report {
	return &report{out: out, require: require, module: module, printed: map[id]*strings.Builder{},
		packages: map[string]*pkg{}, builds: map[string]*strings.Builder{}}
}

// read takes the whole stream. Lines that are not events are printed as they are.
func (r *report) read(in io.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 1<<20), 64<<20)
	for s.Scan() {
		var e event
		if line := s.Bytes(); len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(r.out, "%s\n", line)
			continue
		}
		r.add(e)
	}
	return s.Err()
}

func (r *report) add(e event) {
	switch {
	case e.ImportPath != "":
		if e.Action == "build-output" {
			builder(r.builds, e.ImportPath).WriteString(e.Output)
		}
	case e.Action == "output":
		builder(r.printed, id{e.Package, e.Test}).WriteString(e.Output)
	case e.Test != "":
		r.endTest(e)
	default:
		r.endPackage(e)
	}
}

func builder[K comparable](m map[K]*strings.Builder, k K) *strings.Builder {
	if m[k] == nil {
		m[k] = &strings.Builder{}
	}
	return m[k]
}

func (r *report) pkg(name string) *pkg {
	if r.packages[name] == nil {
		r.packages[name] = &pkg{}
	}
	return r.packages[name]
}

// absent marks the reasons that -require turns into failures.
var absent = regexp.MustCompile(`SKIP\((kafka|redis|postgres|s3|shared) absent\)`)

// race marks a test that has to run without the race detector.
const race = "SKIP(race)"

// noise are the lines that go test itself adds to a test's output.
var noise = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME)|--- (PASS|SKIP|FAIL)).*`)

func (r *report) endTest(e event) {
	at := id{e.Package, e.Test}
	p := r.pkg(e.Package)
	where := r.short(e.Package) + "." + e.Test
	switch e.Action {
	case "pass", "skip", "fail":
		// It may have run before; what counts is how it ended last.
		r.skips = slices.DeleteFunc(r.skips, func(s skip) bool { return s.at == at })
	}
	switch e.Action {
	case "pass":
		p.passed++
		r.passes++
	case "skip":
		why := reason(builder(r.printed, at).String())
		if r.require && absent.MatchString(why) {
			p.failed++
			r.failed = append(r.failed, where+": skipped, and it must not be here: "+why)
			break
		}
		p.skipped++
		r.skips = append(r.skips, skip{at, where, why})
	case "fail":
		p.failed++
		r.failed = append(r.failed, where)
		fmt.Fprintf(r.out, "\n==== FAIL %s (%s)\n%s\n", where, seconds(e.Elapsed), trimmed(builder(r.printed, at).String()))
	default:
		return // run, pause, cont, bench
	}
	if r.ended != nil {
		r.ended(at, e.Action, builder(r.printed, at).String())
	}
	delete(r.printed, at)
}

func (r *report) endPackage(e event) {
	at := id{e.Package, ""}
	p := r.pkg(e.Package)
	name := r.short(e.Package)
	switch e.Action {
	case "fail":
		// Without a failed test of its own the package itself has failed: it did not
		// build, or the process died. Then what was printed last says why.
		if p.failed == 0 || r.dangling(e.Package) {
			p.failed++
			r.failed = append(r.failed, name)
			fmt.Fprintf(r.out, "\n==== FAIL %s (%s)\n", name, seconds(e.Elapsed))
			if b := r.builds[e.FailedBuild]; b != nil {
				fmt.Fprintln(r.out, strings.TrimSpace(b.String()))
			}
			for k, b := range r.printed {
				if k.pkg == e.Package && k.test != "" {
					fmt.Fprintf(r.out, "---- %s had not ended\n%s\n", k.test, trimmed(b.String()))
					if r.ended != nil {
						r.ended(k, "fail", b.String())
					}
				}
			}
			fmt.Fprintln(r.out, strings.TrimSpace(builder(r.printed, at).String()))
		} else {
			fmt.Fprintf(r.out, "FAIL  %s  %s  (%d passed, %d failed, %d skipped)\n", name, seconds(e.Elapsed), p.passed, p.failed, p.skipped)
		}
	case "pass":
		fmt.Fprintf(r.out, "ok    %s  %s  (%d passed, %d skipped)\n", name, seconds(e.Elapsed), p.passed, p.skipped)
	case "skip": // no test files
		delete(r.packages, e.Package)
	default:
		return // start
	}
	for k := range r.printed {
		if k.pkg == e.Package {
			delete(r.printed, k)
		}
	}
}

// raceless are the tests that skipped only because of the race detector, with
// their packages, whose counts begin anew. Parts of a test are not among them.
func (r *report) raceless() (tests, packages []string) {
	for _, s := range r.skips {
		if !strings.HasPrefix(s.why, race) || strings.Contains(s.at.test, "/") {
			continue
		}
		r.packages[s.at.pkg] = &pkg{}
		tests, packages = append(tests, s.at.test), append(packages, s.at.pkg)
	}
	slices.Sort(tests)
	slices.Sort(packages)
	return slices.Compact(tests), slices.Compact(packages)
}

// fail notes a failure that belongs to no test.
func (r *report) fail(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

// dangling reports whether a test of the package began and never ended.
func (r *report) dangling(name string) bool {
	for k := range r.printed {
		if k.pkg == name && k.test != "" {
			return true
		}
	}
	return false
}

func (r *report) short(name string) string {
	if s, ok := strings.CutPrefix(name, r.module+"/"); ok {
		return s
	}
	return name
}

// reason is what a skipped test said: its last line of text, without the file and line.
func reason(output string) string {
	why := "no reason given"
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !noise.MatchString(line) {
			why = line
		}
	}
	return regexp.MustCompile(`^\S+\.go:\d+: `).ReplaceAllString(why, "")
}

func trimmed(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(strings.TrimSpace(line), "=== ") {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond).String()
}

// summary prints what was skipped and failed and, last, the counts. It reports
// whether the run is good.
func (r *report) summary() bool {
	skipped := len(r.skips)
	if skipped > 0 {
		fmt.Fprintf(r.out, "\nSkipped:\n")
		byWhy := map[string][]string{}
		var order []string
		for _, s := range r.skips {
			if byWhy[s.why] == nil {
				order = append(order, s.why)
			}
			byWhy[s.why] = append(byWhy[s.why], s.where)
		}
		for _, why := range order {
			fmt.Fprintf(r.out, "  %s\n", why)
			for _, where := range byWhy[why] {
				fmt.Fprintf(r.out, "      %s\n", where)
			}
		}
	}
	if len(r.failed) > 0 {
		slices.Sort(r.failed)
		fmt.Fprintf(r.out, "\nFailed:\n")
		for _, f := range r.failed {
			fmt.Fprintf(r.out, "  %s\n", f)
		}
	}
	fmt.Fprintf(r.out, "\n%d packages with tests\n", len(r.packages))
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passes, len(r.failed), skipped)
	return len(r.failed) == 0 && r.passes > 0
}
