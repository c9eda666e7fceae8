package quality

import (
	"strings"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// Line is a suite of a view, judged per window.
type Line struct {
	View   *feature.View
	Suite  *feature.Suite
	Shadow bool // the suite counts and rejects nothing
}

// linesOf lists a view's suites: the enforced one, then the one in shadow; none where windows are not watched.
func linesOf(v *feature.View) (out []Line) {
	if !v.Quality.Windowed() {
		return nil
	}
	if v.SuiteOf != nil {
		out = append(out, Line{v, v.SuiteOf, false})
	}
	if v.ShadowOf != nil {
		out = append(out, Line{v, v.ShadowOf, true})
	}
	return out
}

// Series is the line's windows.
func (l Line) Series() tally.Series {
	return tally.Series{Project: l.View.Meta.Project, Owner: ownerOfSuite(l.View.Meta.Name, l.Suite.Meta.Name), Size: l.View.Quality.Window.Size}
}

// compile makes the suite ready for rows of a version of the view.
func (l Line) compile(v *feature.View) (*expect.WindowSuite, []feature.Fault) {
	return expect.CompileWindow(l.Suite, v, expect.WithParameters(l.View.Quality.Parameters))
}

// Targets are what a tap counts of a view's rows: one line of windows for each suite. A suite
// that cannot be compiled is left out; the catalog does not let one in.
func Targets(v *feature.View) (out []tally.Target[*expect.WindowTally]) {
	for _, l := range linesOf(v) {
		if s, faults := l.compile(v); len(faults) == 0 {
			out = append(out, &target{l, s})
		}
	}
	return out
}

type target struct {
	Line
	suite *expect.WindowSuite
}

func (t *target) Window() feature.Window   { return t.View.Quality.Window }
func (t *target) New() *expect.WindowTally { return t.suite.New() }

// Bind implements tally.Target. Rows of an older version of the view, which a
// replay may bring, are counted by the suite as it reads their columns.
func (t *target) Bind(v *feature.View) func(*expect.WindowTally, *feature.Batch, int, int, bool) {
	s := t.suite
	if v != t.View {
		var faults []feature.Fault
		if s, faults = t.compile(v); len(faults) > 0 {
			return nil // a column that the version does not have yet
		}
	}
	return s.FoldBatch
}

func sizeOf(v *feature.View) (window.Size, error) { return window.Parse(v.Quality.Window.Size) }

// splitOwner takes a series' owner apart: "orders/sane" and "orders:freshness".
func splitOwner(owner string) (view, rule string, ok bool) {
	if i := strings.IndexAny(owner, "/:"); i > 0 {
		return owner[:i], owner[i+1:], true
	}
	return "", "", false
}
