package main

import (
	"fmt"
	"strings"
)

// Line is one measured thing.
type Line struct {
	What    string   `json:"what"`
	Value   float64  `json:"value"`
	Unit    string   `json:"unit"`
	Target  float64  `json:"target,omitempty"`   // 0: none
	AtLeast bool     `json:"at_least,omitempty"` // the target is a floor; else a ceiling
	Verdict string   `json:"verdict,omitempty"`  // met or MISSED; empty without a target
	CPU     float64  `json:"cpu,omitempty"`      // seconds of CPU for one of CPUUnit
	CPUUnit string   `json:"cpu_unit,omitempty"` // "event", "request", "start", ...
	Note    string   `json:"note,omitempty"`     // what else is worth knowing, on one line
	Profile []string `json:"profile,omitempty"`  // where the time went, for a target that was missed
}

const (
	met    = "met"
	missed = "MISSED"
)

// judge compares the value with the target.
func (l *Line) judge() {
	reached := l.Value <= l.Target
	if l.AtLeast {
		reached = l.Value >= l.Target
	}
	switch {
	case l.Target == 0:
	case reached:
		l.Verdict = met
	default:
		l.Verdict = missed
	}
}

func (l *Line) measuredText() string { return number(l.Value) + " " + l.Unit }

func (l *Line) targetText() string {
	if l.Target == 0 {
		return ""
	}
	if l.AtLeast {
		return "at least " + number(l.Target)
	}
	return "at most " + number(l.Target)
}

func (l *Line) cpuText() string {
	if l.CPU == 0 {
		return ""
	}
	return duration(l.CPU) + " a " + l.CPUUnit
}

// number is a number with as many digits as mean something.
func number(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int64(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// duration is seconds in the unit that reads best.
func duration(s float64) string {
	switch {
	case s < 1e-6:
		return fmt.Sprintf("%.0f ns", s*1e9)
	case s < 1e-3:
		return fmt.Sprintf("%.1f µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.1f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f s", s)
}
