package command

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/weir-ml/weir/registry/feature"
)

// newTable is the look of all tables.
func newTable(w io.Writer, head ...any) table.Writer {
	t := fit(table.NewWriter(), terminalWidth(w))
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateColumns = false
	t.Style().Options.DrawBorder = false
	t.Style().Format.Header, t.Style().Format.Footer = 0, 0
	if len(head) > 0 {
		t.AppendHeader(head)
	}
	return t
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// when shows microseconds as RFC 3339 UTC, a dash for none.
func when(micros int64) string {
	if micros == 0 {
		return "-"
	}
	return feature.Time(micros).Format(time.RFC3339Nano)
}

func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// number shows four digits, and all of those before the point.
func number(f float64) string {
	if a := math.Abs(f); a >= 1e4 && a < 1e15 {
		return count(int64(math.Round(f)))
	}
	return fmt.Sprintf("%.4g", f)
}
