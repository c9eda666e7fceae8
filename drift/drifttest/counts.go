package drifttest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/registry/feature"
)

// Counts prints how many rows, and how many nulls of each feature, every window of a monitor has.
func Counts(t testing.TB, s drift.Store, project, monitor string) (out []string) {
	t.Helper()
	all, err := s.Windows(ctx, drift.WindowQuery{Project: project, Owner: monitor, Profiles: true})
	require.NoError(t, err)
	for _, w := range all {
		require.Zero(t, w.Late)
		line := fmt.Sprintf("%d rows=%d", w.Start, w.Rows)
		for _, f := range w.Profile.Features {
			require.Equal(t, w.Rows, f.Rows(), "the sketch of %s has seen as many rows", f.Name)
			line += fmt.Sprintf(" %s=%d", f.Name, f.Nulls)
			if top, _ := f.Categories(); f.Shape == drift.Categories {
				of := map[string]int64{}
				for _, c := range top {
					of[c.Value] = c.Count
				}
				line += fmt.Sprint(of) // printed in the order of keys
			}
		}
		out = append(out, line)
	}
	return out
}

// Tally counts rows in the plain way; its Lines are those of Counts.
type Tally struct {
	view    *feature.View
	windows map[int64]*tallied
}

type tallied struct {
	rows  int64
	nulls []int64            // of each feature
	texts []map[string]int64 // of each feature
}

// NewTally counts rows of a view in windows of an hour.
func NewTally(v *feature.View) *Tally { return &Tally{v, map[int64]*tallied{}} }

// Add counts a row; values are of the features, "null" where null.
func (t *Tally) Add(event int64, deleted bool, values []string) {
	if deleted {
		return
	}
	at := Floor(event, hour)
	w := t.windows[at]
	if w == nil {
		w = &tallied{nulls: make([]int64, len(values)), texts: make([]map[string]int64, len(values))}
		t.windows[at] = w
	}
	w.rows++
	for i, v := range values {
		if v == "null" {
			w.nulls[i]++
			continue
		}
		if w.texts[i] == nil {
			w.texts[i] = map[string]int64{}
		}
		w.texts[i][v]++
	}
}

// Lines prints the windows.
func (t *Tally) Lines() (out []string) {
	order := make([]int, len(t.view.Features))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(t.view.Features[a].Name, t.view.Features[b].Name) })
	for start, w := range t.windows {
		line := fmt.Sprintf("%d rows=%d", start, w.rows)
		for _, i := range order {
			f := t.view.Features[i]
			line += fmt.Sprintf(" %s=%d", f.Name, w.nulls[i])
			if drift.ShapeOf(f.Type) == drift.Categories {
				line += fmt.Sprint(w.texts[i])
			}
		}
		out = append(out, line)
	}
	return out
}
