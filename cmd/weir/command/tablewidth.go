package command

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// wrapTo is how narrow a column may get, and no narrower than its longest word: ids are copied.
const wrapTo = 24

// fitted is a table that keeps to the width of the terminal it is shown on, as far as wrapping its
// widest columns goes. In a pipe or a file, where others read them, lines stay whole.
type fitted struct {
	table.Writer
	width   int
	columns []column
}

// column is how long the longest line and the longest word of a column are.
type column struct{ line, word int }

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
			f.columns = append(f.columns, column{})
		}
		c, shown := &f.columns[i], fmt.Sprint(cell)
		c.line = max(c.line, text.LongestLineLen(shown))
		for _, w := range strings.Fields(shown) {
			c.word = max(c.word, text.StringWidthWithoutEscSequences(w))
		}
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
		if n < f.columns[i].line {
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

// narrowed takes from the widest column, one character at a time, until the table fits. One that cannot fit is
// left as it is: wrapped by the terminal it takes fewer lines than wrapped by both.
func narrowed(columns []column, width int) []int {
	total, natural := 0, make([]int, len(columns))
	for i, c := range columns {
		natural[i] = c.line
		total += c.line + 2 // a space on both sides
	}
	to := slices.Clone(natural)
	for ; total > width; total-- {
		widest := -1
		for i, n := range to {
			if n > max(wrapTo, columns[i].word) && (widest < 0 || n > to[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return natural
		}
		to[widest]--
	}
	return to
}
