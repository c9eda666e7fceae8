package expect

import (
	"fmt"
)

// Judge says what the suite makes of a window. t stays as it is; it may have been
// counted by an earlier version of the suite, or merged from several.
//
// Result.Error declares the error of an answer that is not exact. An expectation fails only
// where its answer is outside of its limits by more than that. Result.Examples are up to 20 different unexpected
// values with the place where each was first met (Example.Row is the offset), a
// sample where there are more; their Counts are exact.
func (s *WindowSuite) Judge(t *WindowTally) *Report {
	out := &Report{Success: true, Rows: t.rows, Results: make([]Result, len(s.entries))}
	for i := range s.entries {
		e, res := &s.suite.entries[i], &out.Results[i]
		res.Expectation = e.written
		rows, err := s.judge(t, i, res)
		if err != nil { // of no summary: nothing is read from files
			res.Exception = err.Error()
		}
		if res.Map && e.near == nil {
			res.Success = passed(res.Unexpected, res.Elements-res.Missing, e.mostly)
			if e.nulls {
				res.Missing = -1
			}
		}
		if missed := t.rows - rows; missed > 0 {
			if res.Error != "" {
				res.Error += "; "
			}
			res.Error += fmt.Sprintf("without %d of %d rows, which were counted before the suite was changed", missed, t.rows)
		}
		out.Success = out.Success && res.Success
	}
	return out
}

// judge fills one result, and returns how many of the tally's rows it is about.
func (s *WindowSuite) judge(t *WindowTally, i int, res *Result) (rows int64, err error) {
	e := &s.suite.entries[i]
	rows = t.rows
	states := make([]state, len(s.entries[i].specs))
	for k, at := range s.entries[i].specs {
		spec := &s.specs[at]
		states[k] = spec.begin()
		seen := int64(0)
		if p := t.find(spec.key); p >= 0 && t.parts[p].state.kind() == states[k].kind() {
			// What was stored must be of the suite's shape, or it is as if nothing were counted.
			if fits(t.parts[p].state, states[k]) {
				states[k], seen = t.parts[p].state, t.parts[p].rows
			}
		}
		rows = min(rows, seen)
	}
	switch {
	case e.rows != nil:
		states[0].(*rowsState).result(e, s.suite.suite, res)
		res.Observed = e.observed
		return rows, nil
	case e.near != nil:
		return rows, e.near(states, res)
	}
	ms := make([]metric, len(states))
	for k, st := range states {
		switch st := st.(type) {
		case *counterState:
			ms[k] = &st.c
		case *momentsState:
			ms[k] = st.copied()
		case *extremesState:
			ms[k] = &st.e
			if st.cut {
				res.Error = fmt.Sprintf("texts are compared by their first %d bytes", maxExtreme)
			}
		}
	}
	return rows, e.whole(nil, ms, res)
}

// fits reports whether a stored state has the shape of an empty one of the same kind.
func fits(have, empty state) bool {
	switch h := have.(type) {
	case *momentsState:
		e := empty.(*momentsState)
		return h.m.whole == e.m.whole && h.m.spread == e.m.spread
	case *ranksState:
		return h.floating == empty.(*ranksState).floating
	case *valuesState:
		return h.texted == empty.(*valuesState).texted
	case *frequentState:
		return h.texted == empty.(*frequentState).texted
	case *histogramState:
		return len(h.counts) == len(empty.(*histogramState).counts)
	case *orderState:
		return h.up == empty.(*orderState).up && h.least == empty.(*orderState).least
	}
	return true
}
