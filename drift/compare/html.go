package compare

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"path/filepath"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// Size of a drawing, in pixels of its own.
const (
	drawWidth, drawHeight = 460.0, 150.0
	barHeight, labelWidth = 11.0, 150.0
)

type pageData struct {
	*Report
	Title, Rule string
	Rows        []pageRow
}

type pageRow struct {
	Name, Kind, State, Test, P, Effect, Found string
	Drawing                                   *drawing
	Facts                                     [][3]string // what, reference, current
	Tests                                     [][2]string
}

// drawing is a plot in coordinates.
type drawing struct {
	Width, Height float64
	Bars          []rect // of the reference
	Line          string // of the current file
	Pairs         []bars // of categories
	Ticks         []tick
	Note          string
}

type rect struct{ X, Y, W, H float64 }

type bars struct {
	Label, Full, Shares string
	Y, TextY            float64
	Ref, Cur            rect
	EndX                float64
}

type tick struct {
	X    float64
	Text string
}

// WriteHTML writes the report as one page: it loads nothing from anywhere and runs no
// script. Plots are there when Options.Plots was set.
func (r *Report) WriteHTML(w io.Writer) error {
	d := pageData{Report: r, Title: filepath.Base(r.Current.Path) + " against " + filepath.Base(r.Reference.Path), Rule: r.Rule()}
	for i := range r.Columns {
		c := &r.Columns[i]
		row := pageRow{Name: c.Name, Kind: string(c.Kind), State: c.State(), Test: c.Test, P: c.ShownScore(), Found: c.Found()}
		if c.Effect != nil {
			row.Effect = Shown(float64(c.Effect.Value)) + " " + c.Effect.Name
		}
		if c.plot != nil {
			row.Drawing = c.plot.draw()
		}
		row.Facts, row.Tests = c.facts(), c.Tests.lines()
		d.Rows = append(d.Rows, row)
	}
	return page.Execute(w, d)
}

func (p *plot) draw() *drawing {
	if p.labels != nil {
		return p.drawBars()
	}
	d := &drawing{Width: drawWidth, Height: drawHeight + 16}
	most := 0.0
	for i := range p.ref {
		most = max(most, p.ref[i], p.cur[i])
	}
	n := float64(len(p.ref))
	var line strings.Builder
	fmt.Fprintf(&line, "M0 %.1f", drawHeight)
	for i := range p.ref {
		x, w := drawWidth*float64(i)/n, drawWidth/n
		h := drawHeight * p.ref[i] / most
		d.Bars = append(d.Bars, rect{round(x), round(drawHeight - h), round(w - 0.5), round(h)})
		y := drawHeight * (1 - p.cur[i]/most)
		fmt.Fprintf(&line, "L%.1f %.1fL%.1f %.1f", x, y, x+w, y)
	}
	fmt.Fprintf(&line, "L%.1f %.1f", drawWidth, drawHeight)
	d.Line = line.String()
	for _, f := range []float64{0, 0.25, 0.5, 0.75, 1} {
		at := p.edges[0]*(1-f) + p.edges[len(p.edges)-1]*f
		d.Ticks = append(d.Ticks, tick{round(drawWidth * f), Shown(at)})
	}
	if p.beyond {
		d.Note = "values farther out are in the first and the last bar"
	}
	return d
}

func (p *plot) drawBars() *drawing {
	row := 2*barHeight + 6
	d := &drawing{Width: drawWidth, Height: row * float64(len(p.labels))}
	most := 0.0
	for i := range p.ref {
		most = max(most, p.ref[i], p.cur[i])
	}
	room := drawWidth - labelWidth - 90
	for i, label := range p.labels {
		y := float64(i) * row
		b := bars{Label: cut(label, 24), Full: label, Y: y, TextY: round(y + barHeight + 4), Shares: percent(p.ref[i]) + " → " + percent(p.cur[i])}
		if b.Label == "" {
			b.Label = "(empty)"
		}
		b.Ref = rect{labelWidth, round(y), round(room * p.ref[i] / most), barHeight}
		b.Cur = rect{labelWidth, round(y + barHeight), round(room * p.cur[i] / most), barHeight}
		b.EndX = round(labelWidth + max(b.Ref.W, b.Cur.W) + 5)
		d.Pairs = append(d.Pairs, b)
	}
	return d
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
