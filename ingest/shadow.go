package ingest

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
)

// ShadowStatus is what a view's suite in shadow has counted since a time, in this process.
type ShadowStatus struct {
	Suite    string
	Version  int
	Since    int64 // microseconds UTC
	Rows     int64
	Rejected int64 // rows that it would have held back
	Rules    []ShadowRule
	Fault    string // why it cannot judge, or what it failed at last
}

// ShadowRule is what one expectation of it has counted.
type ShadowRule struct {
	validate.Rule
	validate.Count
}

// shadow is a suite in shadow: it sees every row that could be decoded, counts,
// and is asked nothing. It stands outside of what must hold exactly once: rows
// that are read again are counted again, and whatever goes wrong in it stays there.
type shadow struct {
	suite *expect.Suite // nil where it does not compile
	view  *feature.View
	met   *shadowMetrics

	mu sync.Mutex
	st ShadowStatus // guarded by mu
}

// shadowMetrics are the counters of suites in shadow, and what they stand at. A
// series is one expectation of one suite, so that there are as many as were written.
type shadowMetrics struct {
	rows, rejected, failed *prometheus.CounterVec

	mu     sync.Mutex
	byView map[string]*shadow // guarded by mu
	texts  map[string]string  // guarded by mu; what each was made of
}

func newShadowMetrics() *shadowMetrics {
	return &shadowMetrics{
		byView: map[string]*shadow{}, texts: map[string]string{},
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_shadow_rows_total", Help: "Rows that a suite in shadow has judged; rows read again after a restart count again."},
			[]string{"project", "view", "suite"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_shadow_rejected_total", Help: "Rows that a suite in shadow would have held back."},
			[]string{"project", "view", "suite"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_shadow_failures_total", Help: "Rows that failed an expectation of a suite in shadow."},
			[]string{"project", "view", "suite", "expectation", "column", "severity"}),
	}
}

// of gives what counts for a view; nil where it has no suite in shadow. Another
// suite, or the same with another text, begins at zero.
func (m *shadowMetrics) of(v *feature.View) *shadow {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := v.ID()
	if v.ShadowOf == nil {
		m.drop(v, id)
		return nil
	}
	text, _ := json.Marshal([]any{v.ShadowOf.Meta.Name, v.ShadowOf.Expectations, v.Keys, v.Features}) // from JSON it came
	if s := m.byView[id]; s != nil && m.texts[id] == string(text) {
		return s
	}
	m.drop(v, id)
	s := &shadow{view: v, met: m, st: ShadowStatus{Suite: v.ShadowOf.Meta.Name, Version: v.ShadowOf.Version, Since: time.Now().UnixMicro()}}
	suite, faults := expect.CompileView(v.ShadowOf, v)
	if len(faults) > 0 {
		s.st.Fault = "it cannot judge: " + feature.JoinFaults(faults).Error()
	} else {
		s.suite = suite
		for _, r := range suite.Rules() {
			s.st.Rules = append(s.st.Rules, ShadowRule{Rule: r})
		}
	}
	m.byView[id], m.texts[id] = s, string(text)
	return s
}

// drop forgets the suite that was in shadow until now. The caller holds mu.
func (m *shadowMetrics) drop(v *feature.View, id string) {
	if m.byView[id] == nil {
		return
	}
	delete(m.byView, id)
	labels := prometheus.Labels{"project": v.Meta.Project, "view": v.Meta.Name}
	for _, c := range []*prometheus.CounterVec{m.rows, m.rejected, m.failed} {
		c.DeletePartialMatch(labels)
	}
}

// Shadow is what the suite in shadow of a view has counted in this process; nil
// where it has judged nothing.
func (m *Metrics) Shadow(project, view string) *ShadowStatus {
	m.shadows.mu.Lock()
	s := m.shadows.byView[project+"/"+view]
	m.shadows.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.st
	st.Rules = append([]ShadowRule(nil), st.Rules...)
	return &st
}

// judge counts what the suite says of a batch of the view's columns.
func (s *shadow) judge(b *feature.Batch, verdict *validate.Verdict) {
	if s == nil || s.suite == nil || b.Len() == 0 {
		return
	}
	fault, err := tryCheck(s.suite, b, verdict)
	if err != nil {
		fault = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault != "" {
		s.st.Fault = "some rows could not be judged: " + fault
		return
	}
	project, view := s.view.Meta.Project, s.view.Meta.Name
	rejected := int64(len(verdict.Rejected()))
	s.st.Rows += int64(b.Len())
	s.st.Rejected += rejected
	s.met.rows.WithLabelValues(project, view, s.st.Suite).Add(float64(b.Len()))
	s.met.rejected.WithLabelValues(project, view, s.st.Suite).Add(float64(rejected))
	for i, c := range verdict.Counts() {
		r := &s.st.Rules[i]
		r.Evaluated, r.Failed = r.Evaluated+c.Evaluated, r.Failed+c.Failed
		if c.Failed > 0 {
			s.met.failed.WithLabelValues(project, view, s.st.Suite, r.Type, r.Path, string(r.Severity)).Add(float64(c.Failed))
		}
	}
}
