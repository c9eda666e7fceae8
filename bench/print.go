package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

func (m Machine) lines() []string {
	return []string{
		fmt.Sprintf("%s, %d cores, %s memory, %s, %s", m.CPU, m.Cores, m.Memory, m.Kernel, m.Go),
		fmt.Sprintf("%s, commit %s, load average before the run %.1f, at its end %.1f", m.Date, m.Commit, m.Load, m.LoadAfter),
	}
}

var header = table.Row{"what", "measured", "target", "", "CPU", "note"}

// tableText is what people see.
func tableText(m Machine, lines []Line) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = 0
	t.AppendHeader(header)
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 1, WidthMax: 56, WidthMaxEnforcer: text.WrapSoft}, {Number: 6, WidthMax: 60, WidthMaxEnforcer: text.WrapSoft}})
	for _, l := range lines {
		t.AppendRow(table.Row{l.What, l.measuredText(), l.targetText(), l.Verdict, l.cpuText(), l.Note})
	}
	var b strings.Builder
	for _, s := range m.lines() {
		fmt.Fprintln(&b, s)
	}
	fmt.Fprintln(&b, t.Render())
	for _, l := range lines {
		if len(l.Profile) > 0 {
			fmt.Fprintf(&b, "\nWhere the CPU time went: %s\n", l.What)
			for _, p := range l.Profile {
				fmt.Fprintln(&b, "  "+p)
			}
		}
	}
	return b.String()
}

// markdown is the copy that is kept.
func markdown(m Machine, lines []Line) string {
	var b strings.Builder
	b.WriteString("# Results of the newest run\n\nWritten by `make bench`; [docs/benchmarks.md](../docs/benchmarks.md) says what each line means.\n\n")
	for _, s := range m.lines() {
		fmt.Fprintf(&b, "- %s\n", s)
	}
	b.WriteString("\n| what | measured | target | | CPU | note |\n|---|--:|--:|---|--:|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.What, l.measuredText(), l.targetText(), l.Verdict, l.cpuText(), l.Note)
	}
	for _, l := range lines {
		if len(l.Profile) > 0 {
			fmt.Fprintf(&b, "\n## Where the CPU time went: %s\n\n```\n%s\n```\n", l.What, strings.Join(l.Profile, "\n"))
		}
	}
	return b.String()
}
