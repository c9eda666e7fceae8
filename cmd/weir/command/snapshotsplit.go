package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// splitArgs are the flags that divide a training set.
type splitArgs struct {
	shares, times string
	by            []string
	seed          uint64
}

func (a *splitArgs) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.shares, "split", "", "parts by the hash of the entity, like train=80,validation=10,test=10")
	f.StringVar(&a.times, "split-at", "", "parts by time, like validation=2026-01-01,test=2026-02-01; before the first: train")
	f.StringSliceVar(&a.by, "split-by", nil, "columns of the spine to hash instead of all join keys")
	f.Uint64Var(&a.seed, "split-seed", 0, "another number is another split")
}

// firstPart is what comes before the first time of --split-at.
const firstPart = "train"

// of is the split that the flags ask for, nil for none. The server judges the rest.
func (a *splitArgs) of() (*weirv1.SnapshotSplit, error) {
	switch {
	case a.shares != "" && a.times != "":
		return nil, fmt.Errorf("--split and --split-at: give one of them")
	case a.shares == "" && (len(a.by) > 0 || a.seed != 0):
		return nil, fmt.Errorf("--split-by and --split-seed go with --split")
	case a.shares == "" && a.times == "":
		return nil, nil
	}
	out := &weirv1.SnapshotSplit{By: a.by, Seed: a.seed, Time: a.times != ""}
	flag, text := "--split", a.shares
	if out.Time {
		flag, text = "--split-at", a.times
		out.Parts = append(out.Parts, &weirv1.SnapshotPart{Name: firstPart})
	}
	for _, s := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(s), "=")
		if !ok {
			return nil, fmt.Errorf("%s %s: write each part as NAME=%s", flag, s, map[bool]string{false: "PERCENT", true: "TIME"}[out.Time])
		}
		p := &weirv1.SnapshotPart{Name: name}
		if out.Time {
			if name == firstPart {
				return nil, fmt.Errorf("--split-at %s: what comes before the first time is called %s; name the parts after it", s, firstPart)
			}
			if value == "" {
				return nil, fmt.Errorf("--split-at %s: a time is missing", s)
			}
			var err error
			if p.From, err = moment("--split-at "+name, value); err != nil {
				return nil, err
			}
		} else {
			share, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
			if err != nil {
				return nil, fmt.Errorf("--split %s: %q is not a percentage", s, value)
			}
			p.Share = share
		}
		out.Parts = append(out.Parts, p)
	}
	return out, nil
}

func partNames(s *weirv1.SnapshotSplit) (out []string) {
	for _, p := range s.GetParts() {
		out = append(out, p.Name)
	}
	return out
}

func splitJSON(s *weirv1.SnapshotSplit) any {
	if s == nil {
		return nil
	}
	parts := []any{}
	for i, p := range s.Parts {
		m := map[string]any{"name": p.Name, "rows": p.Rows}
		switch {
		case !s.Time:
			m["share"] = p.Share
		case i > 0:
			m["from"] = when(p.From)
		}
		parts = append(parts, m)
	}
	out := map[string]any{"parts": parts}
	if s.Time {
		out["no_part"] = s.NoPart
	} else {
		out["by"], out["seed"] = emptyNotNil(s.By), s.Seed
	}
	return out
}

func (e *env) showSplit(s *weirv1.SnapshotSplit) {
	if s == nil {
		return
	}
	fmt.Fprintln(e.out)
	t := newTable(e.out, "part", map[bool]string{false: "share", true: "from"}[s.Time], "rows")
	for i, p := range s.Parts {
		what := strconv.FormatFloat(p.Share, 'f', -1, 64) + " %"
		if s.Time {
			what = ""
			if i > 0 {
				what = when(p.From)
			}
		}
		t.AppendRow([]any{p.Name, what, count(p.Rows)})
	}
	if s.NoPart > 0 {
		t.AppendRow([]any{"no part", "no time", count(s.NoPart)})
	}
	t.Render()
	switch {
	case s.Time:
	case len(s.By) > 0:
		fmt.Fprintf(e.out, "by the hash of %s, seed %d\n", strings.Join(s.By, ", "), s.Seed)
	default:
		fmt.Fprintf(e.out, "by the hash of the join keys, seed %d\n", s.Seed)
	}
}
