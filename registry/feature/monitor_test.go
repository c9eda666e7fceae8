package feature

import (
	"testing"
	"time"
)

func TestMonitorFalseAlarms(t *testing.T) {
	for _, c := range []struct {
		m       Monitor
		promise string
	}{
		{Monitor{Window: Window{Size: "1h"}}, "at most 87.66 false alarms a year are expected: 8766 windows, alpha 0.01; windows: 2 would make it 0.88"},
		{Monitor{Window: Window{Size: "1h"}, Windows: 2}, "at most 0.88 false alarms a year are expected: 8766 windows, alpha 0.01, 2 in a row"},
		{Monitor{Window: Window{Size: "month"}}, "at most 0.12 false alarms a year are expected: 12 windows, alpha 0.01"},
		{Monitor{Window: Window{Size: "1d"}, Alpha: 0.001, Windows: 3}, "at most 3.7e-07 false alarms a year are expected: 365 windows, alpha 0.001, 3 in a row"},
		{Monitor{Window: Window{Size: "1h", Slide: "10m"}}, "at most 526 false alarms a year are expected: 52595 windows of which 6 overlap, alpha 0.01; windows: 7 would make it 5.26"},
		{Monitor{Window: Window{Size: "1h", Rows: 500}, Windows: 2}, "at most 0.88 false alarms a year are expected: up to 8766 windows, alpha 0.01, 2 in a row"},
		{Monitor{Window: Window{Size: "1d", Slide: "12h"}, Windows: 2}, "at most 3.65 false alarms a year are expected: 730 windows of which 2 overlap, alpha 0.01, 2 in a row"},
		{Monitor{Window: Window{Size: "1d", Slide: "12h"}, Windows: 3}, "at most 0.07 false alarms a year are expected: 730 windows of which 2 overlap, alpha 0.01, 3 in a row"},
		{Monitor{Window: Window{Size: "1m"}, Alpha: 0.5, CoolDown: Duration(365.2425 * 24 * float64(time.Hour))}, ""},
	} {
		if got := c.m.Promise(); c.promise != "" && got != c.promise {
			t.Errorf("%s", got)
		}
	}
	m := Monitor{Window: Window{Size: "1m"}, Alpha: 0.5, CoolDown: Duration(365.2425 * 24 * float64(time.Hour))}
	if n := m.FalseAlarms(); n != 1 {
		t.Errorf("a year of cool-down leaves %g", n)
	}
}

func TestMonitorDecisionsAreChecked(t *testing.T) {
	m := &Monitor{Meta: Meta{Name: "m", Project: "p"}, View: "v", Reference: Reference{Snapshot: "s"}, Window: Window{Size: "1h"},
		PSI: 0.2, Distance: 0.1, Tests: []string{"nulls", "ks", "nulls"}, CoolDown: -1}
	got := map[string]bool{}
	for _, f := range m.Check() {
		got[f.Field] = true
	}
	for _, want := range []string{"spec", "spec.distance", "spec.tests[1]", "spec.tests[2]"} {
		if !got[want] {
			t.Errorf("no fault at %s: %v", want, got)
		}
	}
}

func TestWindowsThatOverlapAreChecked(t *testing.T) {
	for _, c := range []struct {
		w     Window
		fault string
	}{
		{Window{Size: "1h", Slide: "10m"}, ""},
		{Window{Size: "28d", Slide: "1d"}, ""},
		{Window{Size: "64s", Slide: "1s"}, ""},
		{Window{Size: "1h", Slide: "7m"}, ".slide"},
		{Window{Size: "1h", Slide: "1h"}, ".slide"},
		{Window{Size: "1h", Slide: "2h"}, ".slide"},
		{Window{Size: "65s", Slide: "1s"}, ".slide"},
		{Window{Size: "1h", Slide: "10"}, ".slide"},
		{Window{Size: "1s", Slide: "100ms"}, ".slide"},
		{Window{Size: "month", Slide: "1d"}, ".slide"},
		{Window{Size: "an hour", Slide: "1d"}, ".size"},
		{Window{Size: "5m", Rows: 5000}, ""},
		{Window{Size: "5m", Rows: 5000, AtMost: Duration(7 * 24 * time.Hour)}, ""},
		{Window{Size: "5m", Rows: 5000, Slide: "1m"}, ".rows"},
		{Window{Size: "5m", Rows: -1}, ".rows"},
		{Window{Size: "month", Rows: 5000}, ".rows"},
		{Window{Size: "7d", Rows: 5000, AtMost: Duration(28 * 24 * time.Hour)}, ".rows"},
		{Window{Size: "5m", AtMost: Duration(time.Hour)}, ".at_most"},
		{Window{Size: "5m", Rows: 5000, AtMost: Duration(7 * time.Minute)}, ".at_most"},
		{Window{Size: "5m", Rows: 5000, AtMost: Duration(5 * time.Minute)}, ".at_most"},
		{Window{Size: "1s", Rows: 5000}, ".at_most"},
	} {
		got := ""
		for _, f := range c.w.check("") {
			got += f.Field
		}
		if got != c.fault {
			t.Errorf("%+v: faults at %q", c.w, got)
		}
	}
	w := Window{Size: "1h", Slide: "10m"}
	if w.Panes() != 6 || w.Pane() != "10m" || w.Name() != "1h/10m" || w.Reach() != 50*60*1e6 {
		t.Errorf("%d panes of %s, %s, %d", w.Panes(), w.Pane(), w.Name(), w.Reach())
	}
	w.Slide = ""
	if w.Panes() != 1 || w.Pane() != "1h" || w.Name() != "1h" || w.Reach() != 0 {
		t.Errorf("%d panes of %s, %s, %d", w.Panes(), w.Pane(), w.Name(), w.Reach())
	}
	w = Window{Size: "5m", Rows: 5000}
	if w.Name() != "5m/5000 rows/1d" || w.Anew(-1) != -24*3600*1e6 || w.Anew(1) != 0 || w.Needs() != 24*3600*1e6 || w.Longest() != "1d" {
		t.Errorf("%s, %d, %d, %d, %s", w.Name(), w.Anew(-1), w.Anew(1), w.Needs(), w.Longest())
	}
	q := Quality{Window: w}
	if f := q.check("q"); len(f) != 1 || f[0].Field != "q.window.rows" {
		t.Error(f)
	}
	q.Window = Window{Size: "1h", Slide: "30m"}
	if f := q.check("q"); len(f) != 1 || f[0].Field != "q.window.slide" {
		t.Error(f)
	}
}
