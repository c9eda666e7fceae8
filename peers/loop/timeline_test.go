//go:build loop

package loop

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the steps of the timeline have waited for.
const (
	starts    = "programs start: Airflow, MLflow, MLServer, Kafka, Redis, Weir, which is built first"
	verdicts  = "records are sent, and Weir judges their windows"
	delivers  = "Weir delivers, with its backoff while Airflow is away and its lease after a kill"
	trains    = "Airflow runs DAGs, whose tasks make training sets and models"
	predicts  = "/predict is asked until it has the new version"
	shows     = "weir demo, with the pace of its stream"
	endsAgain = "programs end"
)

// timeline prints what happened, when, after how long, and by what it was seen; and at the end where the time went.
type timeline struct {
	began, last time.Time
	spent       map[string]float64
}

func newTimeline(t *testing.T) *timeline {
	fmt.Printf("\n%8s %7s  %-48s  %s\n", "seconds", "took", "step", "evidence")
	now := time.Now()
	l := &timeline{began: now, last: now, spent: map[string]float64{}}
	t.Cleanup(l.sum) // the last of all
	return l
}

// say prints a step that was reached, and counts the time since the one before.
func (l *timeline) say(waitedFor, step, evidence string, args ...any) {
	now := time.Now()
	took := now.Sub(l.last).Seconds()
	l.last = now
	l.spent[waitedFor] += took
	fmt.Printf("%8.1f %7.1f  %-48s  %s\n", now.Sub(l.began).Seconds(), took, step, fmt.Sprintf(evidence, args...))
}

// sum prints where the time went.
func (l *timeline) sum() {
	l.say(endsAgain, "everything has ended", "")
	fmt.Printf("\n%8s  where they went\n", "seconds")
	for _, what := range slices.SortedFunc(maps.Keys(l.spent), func(a, b string) int { return cmp.Compare(l.spent[b], l.spent[a]) }) {
		fmt.Printf("%8.1f  %s\n", l.spent[what], what)
	}
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
