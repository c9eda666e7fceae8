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
