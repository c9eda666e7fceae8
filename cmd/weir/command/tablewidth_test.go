package command

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"
)

// On a terminal the widest columns are wrapped, so that no line is longer than it; elsewhere nothing is.
func TestTablesKeepToTheTerminal(t *testing.T) {
	long := strings.Repeat("words that go on ", 12)
	show := func(width int) string {
		var b bytes.Buffer
		tab := fit(newTable(&b), width)
		tab.AppendHeader([]any{"name", "time", "why"})
		tab.AppendRow([]any{"a", "2026-11-22T09:42:33.041127Z", long + "\nthe end"})
		tab.Render()
		return b.String()
	}
	require.Contains(t, show(0), strings.TrimSpace(long), "lines are whole where no person looks")
	narrow := show(80)
	require.LessOrEqual(t, text.LongestLineLen(narrow), 80)
	require.Contains(t, narrow, "2026-11-22T09:42:33.041127Z", "times are not broken")
	require.Equal(t, strings.Count(long, "words"), strings.Count(narrow, "words"))
	require.Contains(t, narrow, "the end")
	require.Equal(t, show(0), show(1000))
}

func TestNarrowed(t *testing.T) {
	require.Equal(t, []int{10, 46, 18}, narrowed([]column{{10, 10}, {100, 9}, {18, 9}}, 80))
	require.Equal(t, []int{10, 34, 35}, narrowed([]column{{10, 10}, {100, 9}, {40, 9}}, 85), "the widest first, then both")
	require.Equal(t, []int{10, 30, 36}, narrowed([]column{{10, 10}, {100, 9}, {36, 36}}, 82), "an id stays whole")
	require.Equal(t, []int{27, 27, 27, 50}, narrowed([]column{{27, 27}, {27, 27}, {27, 27}, {50, 9}}, 80), "what cannot fit is left")
	require.Equal(t, []int{10, 20}, narrowed([]column{{10, 10}, {20, 9}}, 80))
}
