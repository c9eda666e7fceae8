package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measurement is one part of a run; it may give several lines.
type measurement struct {
	name    string
	measure func(context.Context, *run) error
}

var measurements = []measurement{
	{"checks", measureChecks},
	{"formats", measureFormats},
	{"quality", measureQuality},
	{"drift", measureDrift},
	{"events", measureEvents},
	{"demo", measureDemo},
	{"start", measureStart},
	{"commits", measureCommits},
	{"refill", measureRefill},
	{"serving", measureServing},
	{"flow", measureFlow},
	{"fresh", measureFresh},
	{"memory", measureMemory},
	{"compact", measureCompact},
	{"import", measureImport},
	{"pit", measurePit},
}

// run is what the measurements share.
type run struct {
	dir      string // temporary
	binary   string // the built weir
	profiles string // folder that keeps the profiles; taken even where nothing is missed; may be empty
	lines    []Line
	table    *filledTable    // made when first needed; see refill.go
	pitRows  int             // of each view that training sets are made of
	pitFresh bool            // Weir's folders of them are filled anew
	pitDone  map[string]bool // those that were filled anew
	pitParts string          // which of them; all when empty
}

// add judges a line and shows it at once on standard error, for a run takes minutes.
func (r *run) add(l Line) {
	l.judge()
	r.lines = append(r.lines, l)
	fmt.Fprintf(os.Stderr, "  %s: %s %s\n", l.What, l.measuredText(), l.Verdict)
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == profiledWeir {
		os.Exit(weirWithProfile(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) == 4 && os.Args[1] == compactTable {
		os.Exit(compactMain(os.Args[2], os.Args[3]))
	}
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	output := flag.String("o", "table", "table, json or markdown")
	profiles := flag.String("profiles", "", "folder to keep the CPU profiles in that were taken of workers")
	only := flag.String("only", "", "measure only these, with commas between: "+strings.Join(names, ", "))
	r := &run{}
	flag.IntVar(&r.pitRows, "pit-rows", pitRows, "rows of each of the three views that training sets are made of; fewer for a look")
	flag.BoolVar(&r.pitFresh, "pit-fresh", false, "fill the tables of the training sets anew, as after a change of the table files")
	flag.StringVar(&r.pitParts, "pit-parts", "", "of the training sets only these, with commas between: joins, known, feast, growth, few, flight, export")
	flag.Parse()
	r.profiles = *profiles
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := mainErr(ctx, r, *output, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(2)
	}
}

func mainErr(ctx context.Context, r *run, output, only string) error {
	if !slices.Contains([]string{"table", "json", "markdown"}, output) {
		return fmt.Errorf("-o %s: use table, json or markdown", output)
	}
	wanted := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, w := range wanted {
		if !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == w }) {
			return fmt.Errorf("-only %s: there is no such measurement", w)
		}
	}
	if _, err := os.Stat(filepath.Join("cmd", "weir")); err != nil {
		return fmt.Errorf("run it at the root of the module: make bench")
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	m := thisMachine(began.UTC().Format("2006-01-02 15:04 MST"))
	r.dir = dir
	if err := r.build(ctx); err != nil {
		return err
	}
	for _, x := range measurements {
		if len(wanted) > 0 && !slices.Contains(wanted, x.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, x.name)
		if err := x.measure(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	if r.profiles != "" {
		if err := keepProfiles(r.dir, r.profiles); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "took %s\n\n", time.Since(began).Round(time.Second))
	m.LoadAfter = load()
	if len(wanted) == 0 {
		if err := os.WriteFile(filepath.Join("bench", "results.md"), []byte(markdown(m, r.lines)), 0o644); err != nil {
			return err
		}
	}
	switch output {
	case "json":
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"machine": m, "lines": r.lines})
	case "markdown":
		fmt.Print(markdown(m, r.lines))
	default:
		fmt.Print(tableText(m, r.lines))
	}
	return nil
}
