package feature

import (
	"strings"
	"testing"
	"time"
)

func churnViews() (predictions, outcomes *View) {
	keys := []Field{{Name: "id", Type: String}}
	predictions = &View{Meta: Meta{Name: "predictions"}, Keys: keys, Features: []Field{{Name: "score", Type: Float64}, {Name: "class", Type: String}, {Name: "at", Type: Timestamp}}}
	outcomes = &View{Meta: Meta{Name: "outcomes"}, Keys: keys, Features: []Field{{Name: "churned", Type: Bool}, {Name: "text", Type: String}, {Name: "n", Type: Int64}}}
	return predictions, outcomes
}

func churnMonitor(change func(*Monitor)) *Monitor {
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	m := &Monitor{Meta: Meta{Name: "m", Project: "p"}, View: "predictions", Window: Window{Size: "1d"}, Reference: Reference{From: day(1), To: day(9)},
		Performance: &Performance{Prediction: "score", Kind: Probability, Outcomes: Outcomes{View: "outcomes", Label: "churned", Within: Duration(7 * 24 * time.Hour)}}}
	change(m)
	return m
}

func TestPerformanceIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Monitor)
		fault  string // at; empty for none
	}{
		"whole":      {func(*Monitor) {}, ""},
		"prediction": {func(m *Monitor) { m.Performance.Prediction = "" }, "spec.performance.prediction"},
		"kind":       {func(m *Monitor) { m.Performance.Kind = "score" }, "spec.performance.kind"},
		"view":       {func(m *Monitor) { m.Performance.Outcomes.View = "" }, "spec.performance.outcomes.view"},
		"label":      {func(m *Monitor) { m.Performance.Outcomes.Label = "" }, "spec.performance.outcomes.label"},
		"within":     {func(m *Monitor) { m.Performance.Outcomes.Within = 0 }, "spec.performance.outcomes.within"},
		"metric":     {func(m *Monitor) { m.Performance.Metrics = []string{"accuracy", "mae"} }, "spec.performance.metrics[1]"},
		"twice":      {func(m *Monitor) { m.Performance.Metrics = []string{"brier", "brier"} }, "spec.performance.metrics[1]"},
		"both":       {func(m *Monitor) { m.Performance.Baseline = map[string]float64{"accuracy": .8} }, "spec.reference"},
		"baseline": {func(m *Monitor) {
			m.Reference, m.Performance.Baseline = Reference{}, map[string]float64{"accuracy": .8}
		}, ""},
		"no baseline": {func(m *Monitor) { m.Reference = Reference{} }, "spec.reference"},
		"snapshot":    {func(m *Monitor) { m.Reference = Reference{Snapshot: "s"} }, "spec.reference"},
		"model":       {func(m *Monitor) { m.Reference = Reference{Model: "churn"} }, "spec.reference"},
		"trailing":    {func(m *Monitor) { m.Reference = Reference{Trailing: Duration(7 * 24 * time.Hour)} }, "spec.reference.trailing"},
		"slide":       {func(m *Monitor) { m.Window.Slide = "6h" }, "spec.window.slide"},
		"rows":        {func(m *Monitor) { m.Window = Window{Size: "1h", Rows: 1000} }, "spec.window.rows"},
		"large share": {func(m *Monitor) { m.Reference, m.Performance.Baseline = Reference{}, map[string]float64{"recall": 8} }, "spec.performance.baseline.recall"},
		"other's":     {func(m *Monitor) { m.Reference, m.Performance.Baseline = Reference{}, map[string]float64{"rmse": 8} }, "spec.performance.baseline.rmse"},
		"not one": {func(m *Monitor) {
			m.Reference, m.Performance.Baseline, m.Performance.Metrics = Reference{}, map[string]float64{"recall": .8, "brier": .1}, []string{"brier"}
		}, "spec.performance.baseline.recall"},
		"not all": {func(m *Monitor) {
			m.Reference, m.Performance.Baseline, m.Performance.Metrics = Reference{}, map[string]float64{"brier": .1}, []string{"brier", "recall"}
		}, "spec.performance.baseline"},
		"threshold":  {func(m *Monitor) { m.Performance.Threshold = 2 }, "spec.performance.threshold"},
		"of a label": {func(m *Monitor) { m.Performance.Kind, m.Performance.Threshold = Label, .5 }, "spec.performance.threshold"},
		"number's":   {func(m *Monitor) { m.Performance.Kind, m.Performance.Positive = Number, "1" }, "spec.performance.positive"},
		"rise":       {func(m *Monitor) { m.Performance.Rise = -1 }, "spec.performance"},
		"coverage":   {func(m *Monitor) { x := 2.0; m.Performance.MinCoverage = &x }, "spec.performance.min_coverage"},
		"features":   {func(m *Monitor) { m.Features = []string{"score"} }, "spec.features"},
		"drift's":    {func(m *Monitor) { m.PSI = .2 }, "spec.psi"},
	} {
		faults := churnMonitor(c.change).Check()
		switch {
		case c.fault == "" && len(faults) > 0, c.fault != "" && (len(faults) != 1 || faults[0].Field != c.fault):
			t.Errorf("%s: %v, want %q", name, faults, c.fault)
		}
	}
}

func TestPerformanceFitsItsViews(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *Performance, predictions, outcomes *View)
		fault  string
	}{
		"whole":         {func(*Performance, *View, *View) {}, ""},
		"keys":          {func(_ *Performance, _, o *View) { o.Keys = []Field{{Name: "id", Type: Int64}} }, "outcomes.view: predictions and outcomes find each other by key"},
		"more keys":     {func(_ *Performance, v, _ *View) { v.Keys = append(v.Keys[:1:1], Field{Name: "shop", Type: Int64}) }, "id string, shop int64, outcomes has id string"},
		"time":          {func(p *Performance, _, _ *View) { p.Prediction = "at" }, "prediction: at is timestamp"},
		"no number":     {func(p *Performance, _, _ *View) { p.Prediction = "class" }, "prediction: class is string and no probability"},
		"no estimate":   {func(p *Performance, _, _ *View) { p.Kind = Number }, "outcomes.label: churned is bool and no number"},
		"labels":        {func(p *Performance, _, _ *View) { p.Kind, p.Prediction = Label, "class" }, "churned is bool and the prediction class is string"},
		"same labels":   {func(p *Performance, _, _ *View) { p.Kind, p.Prediction, p.Outcomes.Label = Label, "class", "text" }, ""},
		"which":         {func(p *Performance, _, _ *View) { p.Outcomes.Label = "text" }, "positive: which label is the positive one is required"},
		"said":          {func(p *Performance, _, _ *View) { p.Outcomes.Label, p.Positive = "text", "yes" }, ""},
		"a number":      {func(p *Performance, _, _ *View) { p.Outcomes.Label = "n" }, ""},
		"no such label": {func(p *Performance, _, _ *View) { p.Outcomes.Label, p.Positive = "n", "yes" }, `positive: "yes" cannot be a label: n is int64`},
		"absent":        {func(p *Performance, _, _ *View) { p.Outcomes.Absent = "none" }, `outcomes.absent: "none" cannot be a label: churned is bool`},
		"is no":         {func(p *Performance, _, _ *View) { p.Outcomes.Absent = "false" }, ""},
		"whose": {func(p *Performance, _, _ *View) {
			p.Kind, p.Prediction, p.Outcomes.Label, p.Metrics = Label, "class", "text", []string{"recall"}
		}, "positive: which label"},
	} {
		predictions, outcomes := churnViews()
		p := churnMonitor(func(*Monitor) {}).Performance
		c.change(p, predictions, outcomes)
		var got string
		for _, f := range p.Fits(predictions, outcomes) {
			got += strings.TrimPrefix(f.Field, "spec.performance.") + ": " + f.Msg + "\n"
		}
		if c.fault == "" && got != "" || !strings.Contains(got, c.fault) {
			t.Errorf("%s: %q, want %q", name, got, c.fault)
		}
	}
}

func TestPerformanceDefaults(t *testing.T) {
	_, outcomes := churnViews()
	m := churnMonitor(func(m *Monitor) { m.Performance.Outcomes.ViewOf = outcomes })
	d := m.WithDefaults().Performance
	if strings.Join(d.Metrics, " ") != "accuracy log_loss" || d.Positive != "true" || d.Threshold != .5 || *d.MinCoverage != .5 || d.Drop != .02 || d.Rise != .1 {
		t.Errorf("%+v", d)
	}
	if m.Performance.Positive != "" {
		t.Error("the definition itself has changed")
	}
	m.Performance.Baseline = map[string]float64{"recall": .5, "brier": .1}
	if d = m.WithDefaults().Performance; strings.Join(d.Metrics, " ") != "brier recall" {
		t.Errorf("%+v", d)
	}
	if refs := m.Refs(); len(refs) != 2 || refs[1].Name != "outcomes" {
		t.Errorf("%v", refs)
	}
}
