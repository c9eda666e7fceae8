package command

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// The columns that are wrapped are those wider than a time or a duration of any length, and they
// are left so many characters that words stay whole.
const (
	wrapFrom = 28
	wrapTo   = 18
)

// fitted is a table that keeps to the width of the terminal it is shown on, as far as wrapping its
// widest columns goes. In a pipe or a file, where others read them, lines stay whole.
type fitted struct {
	table.Writer
	width   int
	columns []int // the longest line of each
}

// fit has a table keep to a width; 0 is none.
func fit(t table.Writer, width int) table.Writer {
	if width <= 0 {
		return t
	}
	return &fitted{Writer: t, width: width}
}

// terminalWidth is how many characters a line of the terminal behind w has; 0 where there is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func (f *fitted) measure(row table.Row) {
	for i, cell := range row {
		if i == len(f.columns) {
			f.columns = append(f.columns, 0)
		}
		f.columns[i] = max(f.columns[i], text.LongestLineLen(fmt.Sprint(cell)))
	}
}

func (f *fitted) AppendHeader(row table.Row, c ...table.RowConfig) {
	f.measure(row)
	f.Writer.AppendHeader(row, c...)
}

func (f *fitted) AppendFooter(row table.Row, c ...table.RowConfig) {
	f.measure(row)
	f.Writer.AppendFooter(row, c...)
}

func (f *fitted) AppendRow(row table.Row, c ...table.RowConfig) {
	f.measure(row)
	f.Writer.AppendRow(row, c...)
}

func (f *fitted) AppendRows(rows []table.Row, c ...table.RowConfig) {
	for _, row := range rows {
		f.AppendRow(row, c...)
	}
}

func (f *fitted) Render() string {
	var wrapped []table.ColumnConfig
	for i, n := range narrowed(f.columns, f.width) {
		if n < f.columns[i] {
			wrapped = append(wrapped, table.ColumnConfig{Number: i + 1, WidthMax: n, WidthMaxEnforcer: wrapLines})
		}
	}
	if len(wrapped) > 0 {
		f.Writer.SetColumnConfigs(wrapped)
	}
	return f.Writer.Render()
}

// wrapLines wraps each line of a cell by itself; text.WrapSoft would run them together.
func wrapLines(cell string, width int) string {
	lines := strings.Split(cell, "\n")
	for i, l := range lines {
		lines[i] = text.WrapSoft(l, width)
	}
	return strings.Join(lines, "\n")
}

// narrowed takes from the widest column, one character at a time, until the table fits or no column has any to give.
func narrowed(columns []int, width int) []int {
	to, total := append([]int(nil), columns...), 0
	for _, n := range columns {
		total += n + 2 // a space on both sides
	}
	for total > width {
		widest := -1
		for i, n := range to {
			if columns[i] > wrapFrom && n > wrapTo && (widest < 0 || n > to[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		to[widest]--
		total--
	}
	return to
}
