//go:build loop

package loop

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timeline prints what happened, when, and by what it was seen.
type timeline struct {
	t     *testing.T
	began time.Time
}

func newTimeline(t *testing.T) *timeline {
	fmt.Printf("\n%8s  %-44s  %s\n", "seconds", "step", "evidence")
	return &timeline{t, time.Now()}
}

// say prints a step that was reached.
func (l *timeline) say(step, evidence string, args ...any) {
	fmt.Printf("%8.1f  %-44s  %s\n", time.Since(l.began).Seconds(), step, fmt.Sprintf(evidence, args...))
}

// until waits for what a program will do in its own time; ok says what is there instead.
func until(t *testing.T, within time.Duration, what string, ok func() (bool, any)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		done, there := ok()
		if done {
			return
		}
		require.True(t, time.Now().Before(deadline), "waited %s for %s; there is %+v", within, what, there)
		time.Sleep(500 * time.Millisecond)
	}
}
