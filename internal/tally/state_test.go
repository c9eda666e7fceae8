package tally

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each step is a window and its outcome (g good, b bad, u unsure); after it the state:
// F where it fires, the streak, the start since when, and > where it turned.
func TestStateCount(t *testing.T) {
	for _, c := range []struct {
		name          string
		fire, resolve int
		steps, want   string
	}{
		{"one each", 1, 1, "1g 2b 3b 4u 5g", "0 F0@2> F0@2 F0@2 0>"},
		{"two to fire, three to resolve", 2, 3, "1b 2g 3b 4b 5g 6b 7g 8g 9g", "1@1 0@1 1@3 F0@3> F1@3 F0@3 F1@3 F2@3 0>"},
		{"history changes nothing", 1, 1, "5g 3b 6b", "0 0 F0@6>"},
		{"an amendment flips a state and back", 1, 1, "1g 2b 2g 2b", "0 F0@2> 0> F0@2>"},
		{"an amendment that says the same", 2, 1, "1b 1b 2b 2b", "1@1 1@1 F0@1> F0@1"},
		{"an amendment takes a resolution back", 1, 1, "1b 2g 2b 3b", "F0@1> 0> F0@1> F0@1"},
		{"what fires is resolved since its first window", 2, 1, "1b 2b 2g", "1@1 F0@1> 0@1>"},
		{"amended to say nothing", 1, 1, "1b 2g 2u 2g", "F0@1> 0> F0@1> 0>"},
		{"amended to say something", 1, 1, "1u 1b", "0 F0@1>"},
		{"only the last that counted is counted again", 1, 1, "1b 2b 1g", "F0@1> F0@1 F0@1"},
		{"not known what it was counted on", 1, 1, "1g 2b 2u 1b", "0 F0@2> 0> 0"},
		{"zero is one", 0, 0, "1b 2g", "F0@1> 0>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, got := State{}, []string{}
			for _, step := range strings.Fields(c.steps) {
				var start int64
				var o string
				_, err := fmt.Sscanf(step, "%d%s", &start, &o)
				require.NoError(t, err)
				was := s.Since
				next, turn, moved := s.Count(start, map[string]Outcome{"g": Good, "b": Bad, "u": Unsure}[o], c.fire, c.resolve)
				if !moved {
					require.Equal(t, s, next)
				}
				s = next
				line := fmt.Sprint(s.Streak)
				if s.Firing {
					line = "F" + line
				}
				if s.Since != 0 {
					line += fmt.Sprintf("@%d", s.Since)
				}
				if turn != nil {
					require.Equal(t, s.Firing, turn.Firing)
					require.Equal(t, max(s.Since, was), turn.Since)
					line += ">"
				}
				got = append(got, line)
			}
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

// States that were stored before there were amendments are read as they were.
func TestStateOfOld(t *testing.T) {
	const old = `{"Project":"p","Monitor":"m","Size":"1h","View":"v","Version":3,"Drifting":true,"Streak":1,"Since":5,"LastStart":7,"Seen":true,"Event":"e","Revision":4,"Updated":9}`
	var s State
	require.NoError(t, json.Unmarshal([]byte(old), &s))
	require.Equal(t, State{Series: Series{"p", "m", "1h"}, View: "v", Version: 3, Revision: 4, Updated: 9,
		Standing: Standing{Firing: true, Streak: 1, Since: 5, LastStart: 7, Seen: true, Event: "e"}}, s)
	b, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, old, string(b))
	same, turn, moved := s.Count(7, Good, 1, 2)
	require.False(t, moved, "it is not known what window 7 was counted on")
	require.Nil(t, turn)
	require.Equal(t, s, same)
}
