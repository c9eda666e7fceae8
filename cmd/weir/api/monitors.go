package api

import (
	"context"
	"slices"
	"time"

	"github.com/weir-ml/weir/drift"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Monitors is weir.v1.MonitorService. Watch is nil where the process does not judge.
type Monitors struct {
	weirv1.UnimplementedMonitorServiceServer
	Registry *registry.Registry
	Reader   *drift.Reader
	Watch    *drift.Watch
	History  *drift.Backtester
}

// mostWindows are shown: a client takes 64 MiB.
const mostWindows = 2000

func (s *Monitors) find(ctx context.Context, proj, name string) (*feature.Monitor, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	m, err := cat.Monitor(project(proj), name)
	if err != nil {
		return nil, err
	}
	return drift.ResolveReference(ctx, s.Registry, m)
}

// List lists monitors with their state.
func (s *Monitors) List(ctx context.Context, req *weirv1.ListMonitorsRequest) (*weirv1.ListMonitorsResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	var ms []*feature.Monitor
	for _, m := range cat.Monitors() {
		if req.Project == "" || req.Project == m.Meta.Project {
			ms = append(ms, m)
		}
	}
	sts, err := s.Reader.Status(ctx, ms)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.ListMonitorsResponse{}
	for i := range sts {
		m, err := drift.ResolveReference(ctx, s.Registry, ms[i])
		if err != nil {
			return nil, err
		}
		resp.Monitors = append(resp.Monitors, summary(m, &sts[i]))
	}
	return resp, nil
}

// Show returns a monitor's windows, newest first.
func (s *Monitors) Show(ctx context.Context, req *weirv1.ShowMonitorRequest) (*weirv1.ShowMonitorResponse, error) {
	m, err := s.find(ctx, req.Project, req.Name)
	if err != nil {
		return nil, err
	}
	// The windows first: a state read after them is never older than they are.
	ws, err := s.Reader.Windows(ctx, m, min(limit(req.Limit, 20), mostWindows))
	if err != nil {
		return nil, err
	}
	sts, err := s.Reader.Status(ctx, []*feature.Monitor{m})
	if err != nil {
		return nil, err
	}
	resp := &weirv1.ShowMonitorResponse{Monitor: summary(m, &sts[0])}
	for _, w := range slices.Backward(ws) {
		resp.Windows = append(resp.Windows, window(m, &w))
	}
	return resp, nil
}

// Run closes the monitor's windows now and judges those that wait.
func (s *Monitors) Run(ctx context.Context, req *weirv1.RunMonitorRequest) (*weirv1.RunMonitorResponse, error) {
	if req.History {
		return s.backtest(ctx, req)
	}
	if s.Watch == nil {
		return nil, feature.Errorf(feature.Unsupported, "monitor.run", "", "this process does not judge").WithHint("ask one that runs the role drift")
	}
	m, err := s.find(ctx, req.Project, req.Name)
	if err != nil {
		return nil, err
	}
	judged, err := s.Watch.Judge(ctx, m.Meta.Project, m.Meta.Name)
	if err != nil {
		return nil, err
	}
	sts, err := s.Reader.Status(ctx, []*feature.Monitor{m})
	if err != nil {
		return nil, err
	}
	resp := &weirv1.RunMonitorResponse{Monitor: summary(m, &sts[0])}
	for i := range judged {
		r := drift.WindowReport{WindowRecord: judged[i]}
		if judged[i].Verdict != nil {
			r.Features = judged[i].Verdict.Features
		}
		resp.Windows = append(resp.Windows, window(m, &r))
	}
	return resp, nil
}

// backtest judges history: it stores nothing.
func (s *Monitors) backtest(ctx context.Context, req *weirv1.RunMonitorRequest) (*weirv1.RunMonitorResponse, error) {
	m, err := s.find(ctx, req.Project, req.Name)
	if err != nil {
		return nil, err
	}
	to := req.To
	if to == 0 {
		to = time.Now().UnixMicro()
	}
	b, err := s.History.Run(ctx, m, req.From, to)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.RunMonitorResponse{Monitor: summary(m, &b.State)}
	for i := range b.Windows {
		resp.Windows = append(resp.Windows, window(m, &b.Windows[i]))
	}
	for _, c := range b.Changes {
		resp.Changes = append(resp.Changes, &weirv1.MonitorChange{Drifted: c.Drifted, Window: c.End, Since: c.Since})
	}
	return resp, nil
}

func summary(m *feature.Monitor, st *drift.Status) *weirv1.MonitorSummary {
	out := &weirv1.MonitorSummary{Project: m.Meta.Project, Name: m.Meta.Name, View: m.View, Since: st.Since, Windows: int64(st.Judged),
		FalseAlarms: m.FalseAlarms(), WindowsAYear: m.WindowsAYear(), Promise: m.Promise(),
		State: weirv1.MonitorState_MONITOR_STATE_WAITING}
	switch {
	case st.Drifting:
		out.State = weirv1.MonitorState_MONITOR_STATE_DRIFTED
	case st.Last != nil: // early verdicts too
		out.State = weirv1.MonitorState_MONITOR_STATE_OK
	}
	out.Reference = m.ComparedWith()
	if st.Last != nil {
		r := drift.WindowReport{WindowRecord: *st.Last}
		if st.Last.Verdict != nil {
			r.Features = st.Last.Verdict.Features
		}
		out.Last = window(m, &r)
	}
	return out
}

func window(m *feature.Monitor, w *drift.WindowReport) *weirv1.WindowResult {
	out := &weirv1.WindowResult{Start: w.Start, End: w.End, Rows: w.Rows, JudgedAt: w.JudgedAt, Open: w.State == drift.Open || w.State == drift.Closed,
		Drifted: w.Verdict != nil && w.Verdict.Outcome == drift.Drifted}
	if w.Verdict != nil && w.Verdict.Compared != nil {
		c := w.Verdict.Compared
		out.Snapshot, out.Model, out.ModelVersion = c.Snapshot, c.Model, c.Version
	}
	if w.Verdict != nil && w.Verdict.Performance != nil {
		out.Performance = performance(w.Verdict.Performance)
	}
	for _, f := range w.Features {
		r := &weirv1.FeatureResult{Feature: f.Name, Drifted: f.Drifted(), Count: f.Count, Nulls: f.Nulls, ReferenceCount: f.RefCount}
		if m.ViewOf != nil {
			if i := m.ViewOf.Feature(f.Name); i >= 0 {
				r.Type = weirv1.Type(m.ViewOf.Features[i].Type)
			}
		}
		switch {
		case w.State == drift.ReferenceOnly:
			r.Skipped = "reference"
		case w.Verdict == nil:
			r.Skipped = "not judged yet"
		case f.Outcome != drift.Steady && f.Outcome != drift.Drifted:
			r.Skipped = string(f.Outcome)
		}
		for _, c := range f.Checks {
			r.Tests = append(r.Tests, checked(&f, &c))
		}
		if len(f.Checks) > 0 {
			out.Features = append(out.Features, r)
			continue
		}
		// A verdict from before there were checks.
		if f.Statistic != nil && f.PValue != nil {
			alpha := 0.0
			if w.Verdict != nil {
				alpha = w.Verdict.Alpha
			}
			r.Tests = append(r.Tests, &weirv1.TestResult{Test: f.Test, Statistic: *f.Statistic, PValue: f.PValue, Threshold: alpha, Exceeded: *f.PValue <= alpha})
		}
		if f.PSI != nil {
			r.Tests = append(r.Tests, &weirv1.TestResult{Test: "psi", Statistic: *f.PSI, Threshold: m.PSI, Exceeded: f.Drifted()})
		}
		if f.JS != nil {
			r.Tests = append(r.Tests, &weirv1.TestResult{Test: "jensen_shannon", Statistic: *f.JS, Threshold: m.JS, Exceeded: f.Drifted()})
		}
		out.Features = append(out.Features, r)
	}
	return out
}

// checked is a check in the words of the wire.
func checked(f *drift.Result, c *drift.Check) *weirv1.TestResult {
	p, adjusted := c.PValue, c.Adjusted
	t := &weirv1.TestResult{Test: c.Test, PValue: &p, AdjustedPValue: &adjusted, Check: c.Name, Effect: c.Effect, Statistic: c.Value, Threshold: c.Threshold, Exceeded: c.Drifted}
	if c.Name == feature.TestDistribution && f.Statistic != nil {
		t.TestStatistic = f.Statistic
	}
	return t
}
