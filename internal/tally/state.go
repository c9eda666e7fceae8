package tally

// Outcome is what a verdict says to the state of its series.
type Outcome int

const (
	Unsure Outcome = iota // says nothing either way
	Good
	Bad
)

// Standing is what a series has come to.
type Standing struct {
	Firing bool  `json:"Drifting"` // Watched.Fire bad windows in a row, and not yet Watched.Resolve good ones
	Streak int   // windows in a row that say the opposite of Firing
	Since  int64 // start of the first bad window of the streak, or of what fires
	// LastStart is the newest window that counted. Older ones, as an import of
	// history brings them, are judged but change no state.
	LastStart int64
	Seen      bool   // LastStart means something
	Event     string // id of the event of the last change; empty before the first
}

// State is whether a series is well, and since when.
type State struct {
	Series
	View    string
	Version int // of the definition that judged last
	Standing
	// Before is what LastStart was counted on, so that an amendment can count it again.
	// Nil where that is not known: then the window is not counted again.
	Before   *Standing `json:",omitempty"`
	Revision int64     // guards against two judges
	Updated  int64
}

// Turn is a change between firing and not.
type Turn struct {
	Firing bool  // what it is now
	Since  int64 // start of the first bad window of what fires, or fired
}

// Count returns the state after a verdict on the window that starts at start, and
// whether it now fires, or no longer does. A window that was the last to count is
// counted again, as if it had not been; moved is false when the state stays as it is.
// The first window has no predecessor: bad windows in a row are those that counted one after another.
func (s State) Count(start int64, o Outcome, fire, resolve int) (next State, turn *Turn, moved bool) {
	now := s.Standing
	switch {
	case !s.Seen || start > s.LastStart:
		if o == Unsure {
			return s, nil, false
		}
		s.Before = &now
	case start < s.LastStart || s.Before == nil:
		return s, nil, false // history that came after what it precedes
	default:
		s.Standing = *s.Before
	}
	if o == Unsure { // amended: it does not count after all
		s.Before = nil
	} else {
		s.Standing.count(start, o == Bad, max(1, fire), max(1, resolve))
	}
	if s.Firing != now.Firing {
		turn = &Turn{Firing: s.Firing, Since: s.Since}
		if !s.Firing {
			turn.Since = now.Since
		}
	} else {
		s.Event = now.Event
	}
	return s, turn, true
}

func (s *Standing) count(start int64, bad bool, fire, resolve int) {
	s.LastStart, s.Seen = start, true
	if bad == s.Firing {
		s.Streak = 0
		return
	}
	if s.Streak == 0 && bad {
		s.Since = start
	}
	s.Streak++
	if bad && s.Streak >= fire {
		s.Firing, s.Streak = true, 0
	} else if !bad && s.Streak >= resolve {
		s.Firing, s.Streak, s.Since = false, 0, 0
	}
}
