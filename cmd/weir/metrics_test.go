package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// described are the metrics that a Weir with every role registers, and their labels.
func described(t *testing.T) map[string][]string {
	c := testConfig(t)
	c.Serving.Log.Topic, c.Serving.Log.Sample = "seen", 1 // some are there where something is switched on
	c.MLflow.URL = "http://127.0.0.1:1"
	c.Online.StaleFor, c.Online.CacheTTL, c.Online.Coalesce = time.Minute, time.Second, true
	w := start(t, c)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		w.app.Metrics().Describe(descs)
	}()
	read := regexp.MustCompile(`fqName: "([a-z_0-9]+)".*variableLabels: \{([a-z_,]*)\}`)
	found := map[string][]string{}
	for d := range descs {
		m := read.FindStringSubmatch(d.String())
		require.NotNil(t, m, d.String())
		found[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' })
	}
	return found
}

// ofHistogram is what the series of a histogram have behind its name.
var ofHistogram = regexp.MustCompile(`_(bucket|sum|count)$`)

// The labels that a scrape adds, and those of a histogram's buckets.
var fromScrape = []string{"job", "instance", "le"}

// TestAlertsNameRealMetrics holds the alert rules, their tests and what docs say against the metrics that a
// running Weir registers, so that renaming one, or a label, shows here and not in a silent night.
func TestAlertsNameRealMetrics(t *testing.T) {
	root := moduleRoot(t)
	real := described(t)
	require.Greater(t, len(real), 80)
	labels := func(m string) ([]string, bool) {
		l, ok := real[m]
		if !ok {
			l, ok = real[ofHistogram.ReplaceAllString(m, "")]
		}
		return l, ok
	}
	read := func(name string, into any) {
		b, err := os.ReadFile(filepath.Join(root, "deploy/prometheus", name))
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(b, into))
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	read("weir.rules.yml", &rules)
	var tests struct {
		Tests []struct {
			Series []struct{ Series string } `yaml:"input_series"`
			Alerts []struct {
				Name string           `yaml:"alertname"`
				Exp  []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read("weir.rules_test.yml", &tests)

	metric := regexp.MustCompile(`\bweir_[a-z0-9_]+\b`)
	by := regexp.MustCompile(`\bby \(([a-z_, ]+)\)`)
	grouped := regexp.MustCompile(`by \([a-z_, ]+\) \((?:[a-z_]+\()?(weir_[a-z0-9_]+)`)
	matched := regexp.MustCompile(`(weir_[a-z0-9_]+)\{([^}]*)\}`)
	label := regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	known := func(what, m string, names ...string) {
		has, ok := labels(m)
		if !ok {
			t.Errorf("%s: %s is a metric that nothing registers", what, m)
			return
		}
		for _, l := range names {
			if !slices.Contains(has, l) && !slices.Contains(fromScrape, l) {
				t.Errorf("%s: %s has no label %s; it has %v", what, m, l, has)
			}
		}
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, x := range tests.Tests {
		for _, s := range x.Series {
			m := matched.FindStringSubmatch(s.Series)
			if m == nil {
				continue // Prometheus' own
			}
			var names []string
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				names = append(names, l[1])
			}
			known("weir.rules_test.yml", m[1], names...)
			has, _ := labels(m[1])
			for _, l := range has {
				if !slices.Contains(names, l) {
					t.Errorf("weir.rules_test.yml: %s has no %s, and the real one does", s.Series, l)
				}
			}
		}
		for _, a := range x.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Exp) > 0
			quiet[a.Name] = quiet[a.Name] || len(a.Exp) == 0
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Annotations["summary"] == "" || !slices.Contains([]string{"page", "warning"}, r.Labels["severity"]) {
				t.Errorf("alert %s needs a summary, and a severity: page or warning", r.Alert)
			}
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("alert %s has no test in weir.rules_test.yml in which it fires, or none in which it does not", r.Alert)
			}
			for _, m := range metric.FindAllString(r.Expr+r.Annotations["description"], -1) {
				known("alert "+r.Alert, m)
			}
			for _, m := range grouped.FindAllString(r.Expr, -1) {
				known("alert "+r.Alert, metric.FindString(m), strings.Split(strings.ReplaceAll(by.FindStringSubmatch(m)[1], " ", ""), ",")...)
			}
			for _, m := range matched.FindAllStringSubmatch(r.Expr, -1) {
				for _, l := range label.FindAllStringSubmatch(m[2], -1) {
					known("alert "+r.Alert, m[1], l[1])
				}
			}
		}
	}

	// Docs name what is no metric, too: parameters of pipelines, databases, columns.
	others := regexp.MustCompile(`^weir_(event_id|model|service|monitor|tables|feature_service|address)$`)
	for _, name := range trackedFiles(t, root) {
		if !strings.HasSuffix(name, ".md") || name == "CHANGELOG.md" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // removed but not committed
		}
		for _, m := range metric.FindAllString(string(b), -1) {
			if !others.MatchString(m) && !strings.HasSuffix(m, "_") {
				known(name, m)
			}
		}
		// Tables of metrics: | `a`, `b` | labels | meaning |
		for _, row := range regexp.MustCompile("(?m)^\\| (`weir_[^|]*) \\| ([a-z_, ]*) \\|").FindAllStringSubmatch(string(b), -1) {
			for _, m := range metric.FindAllString(row[1], -1) {
				want := strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ' ' })
				if has, ok := labels(m); ok && !slices.Equal(want, has) {
					t.Errorf("%s: %s has the labels %v, and not %v", name, m, has, want)
				}
			}
		}
	}
}
