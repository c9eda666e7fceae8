package tally

import "slices"

// WindowState is where a window stands.
type WindowState string

const (
	Open    WindowState = "open"      // takes rows; may have an early verdict
	Closed  WindowState = "closed"    // takes no more rows, waits for its verdict
	Judged  WindowState = "judged"    // for good
	Skipped WindowState = "reference" // counted, not judged: it is what others are compared with
	// Part panes have been counted and are part of the window that ends with a later one, if any does.
	Part WindowState = "part"
	// Passed panes came when those after them were settled, and are in no window.
	Passed WindowState = "passed"
	// Abandoned windows were not judged for good before their owner was no longer watched.
	Abandoned WindowState = "abandoned"
)

// Delta is what one commit adds to one window.
type Delta[T any] struct {
	Series
	Start, End int64
	Import     string // ImportID of the import; empty for rows of a stream
	Profile    T
}

// Record is a window as it is stored.
type Record[T Tally[T], V comparable] struct {
	Series
	Start, End int64 // microseconds UTC
	State      WindowState
	Rows       int64    // Count of what was folded
	ImportRows int64    // of Rows, those that came from imports
	Late       int64    // rows that came after it was closed; not in Rows
	Imports    []string // imports that brought rows while it was open
	Profile    T        // nil unless asked for, or when it was pruned
	Verdict    V        // nil unless judged; of an open window, its early verdict
	// Deltas is how often rows were merged into it, Seen how many of these merges the
	// verdict has seen: fewer, and there is something to amend. Seen is 0 before the first verdict.
	Deltas, Seen int64
	Amended      int64 // verdicts that were replaced because rows came within the lateness
	ClosedAt     int64
	JudgedAt     int64
	// Lost is how many of its panes have rows whose profile is no longer kept. Of what is stored it is 0.
	Lost int
}

// Early reports whether the verdict may still be amended.
func (w *Record[T, V]) Early() bool { return w.State == Open && w.Seen > 0 }

// Add merges a delta, whose profile it may keep; a window that is no longer open counts its rows as late.
func (w *Record[T, V]) Add(d *Delta[T]) {
	n := d.Profile.Count()
	if w.State != Open {
		w.Late += n
		return
	}
	w.Rows += n
	w.Deltas++
	if d.Import != "" {
		w.ImportRows += n
		if !slices.Contains(w.Imports, d.Import) {
			w.Imports = append(w.Imports, d.Import)
		}
	}
	var none T
	if w.Profile == none {
		w.Profile = d.Profile
		return
	}
	w.Profile.Merge(d.Profile)
}

// Take applies a judgement that was accepted.
func (w *Record[T, V]) Take(j *Judgement[V]) {
	if w.Seen > 0 && j.Deltas > w.Seen {
		w.Amended++
	}
	w.State, w.Verdict, w.Seen, w.JudgedAt = j.State, j.Verdict, j.Deltas, j.At.UnixMicro()
}

// Takes reports whether the window is still where the judgement found it.
func (w *Record[T, V]) Takes(j *Judgement[V]) bool {
	want := Closed
	if j.State == Open {
		want = Open
	}
	return w.State == want && w.Seen == j.Seen
}
