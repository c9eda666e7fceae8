package app

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/internal/outbox"
)

const (
	failedEvent = `{"type": "io.weir.quality.failed.v1", "time": "2026-11-20T09:00:01Z", "data": {"project": "p", "view": "orders", "rule": "suite", "firing": true,
		"severity": "critical", "since": "2026-11-20T08:00:00Z", "reason": "bad", "suite": "sane", "expectations": [
		{"type": "expect_column_mean_to_be_between", "column": "amount", "severity": "warning", "outcome": "failed", "expected": "{\"max_value\":10}", "observed": 50.5},
		{"type": "expect_column_values_to_not_be_null", "id": "there", "column": "card", "severity": "critical", "outcome": "failed", "elements": 10, "unexpected": 4}]}}`
	resolvedEvent = `{"type": "io.weir.quality.resolved.v1", "time": "2026-11-20T10:00:01Z", "data": {"project": "p", "view": "orders", "rule": "suite", "firing": false,
		"severity": "critical", "since": "2026-11-20T08:00:00Z", "reason": "good", "suite": "sane", "expectations": [
		{"type": "expect_column_mean_to_be_between", "column": "amount", "severity": "warning", "outcome": "failed"}]}}`
	staleEvent = `{"type": "io.weir.freshness.stale.v1", "time": "2026-11-20T09:00:01Z", "data": {"project": "q", "view": "orders", "rule": "freshness", "firing": true,
		"severity": "critical", "since": "2026-11-20T08:00:00Z", "reason": "no row has landed"}}`
	driftEvent = `{"type": "io.weir.drift.detected.v1", "time": "2026-11-20T09:00:01Z", "data": {"project": "p", "monitor": "prices", "view": "orders", "since": "2026-11-20T08:00:00Z"}}`
)

func TestAlertmanagerLabels(t *testing.T) {
	c := &AlertConfig{}
	as, err := alertsOf(c, []byte(failedEvent))
	require.NoError(t, err)
	require.Len(t, as, 2, "one for each expectation")
	require.Equal(t, map[string]string{"alertname": "WeirQualityFailed", "severity": "warning", "project": "p", "view": "orders", "suite": "sane", "monitor": "", "destination": "",
		"expectation": "expect_column_mean_to_be_between(amount)"}, as[0].Labels)
	require.Equal(t, `view orders: expect_column_mean_to_be_between(amount) failed: observed 50.5, expected {"max_value":10}`, as[0].Annotations["summary"])
	require.Equal(t, "view orders: there failed: 4 of 10 rows", as[1].Annotations["summary"])
	require.True(t, as[0].Ends.IsZero())
	require.Equal(t, 8, as[0].Starts.Hour())

	end, err := alertsOf(c, []byte(resolvedEvent))
	require.NoError(t, err)
	require.Len(t, end, 1)
	require.Equal(t, as[0].Labels, end[0].Labels, "the same alert, ended")
	require.Equal(t, time.Date(2026, 11, 20, 10, 0, 1, 0, time.UTC), end[0].Ends)

	for event, name := range map[string]string{staleEvent: "WeirFreshnessStale", driftEvent: "WeirDrift"} {
		as, err = alertsOf(c, []byte(event))
		require.NoError(t, err)
		require.Len(t, as, 1)
		require.Equal(t, name, as[0].Labels["alertname"])
		require.True(t, as[0].Ends.IsZero())
	}
	require.Equal(t, "warning", func() string { as, _ := alertsOf(c, []byte(driftEvent)); return as[0].Labels["severity"] }())
	const lost = `{"type": "io.weir.delivery.failed.v1", "time": "2026-11-20T09:00:01Z", "data": {"project": "p", "destination": "oncall", "firing": true,
		"severity": "critical", "since": "2026-11-20T08:00:00Z", "reason": "1 event could not be delivered to oncall"}}`
	as, err = alertsOf(c, []byte(lost))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"alertname": "WeirDeliveryFailed", "severity": "critical", "project": "p", "destination": "oncall",
		"view": "", "suite": "", "monitor": "", "expectation": ""}, as[0].Labels)
	require.Equal(t, "1 event could not be delivered to oncall", as[0].Annotations["summary"])
	as, err = alertsOf(&AlertConfig{Name: "oncall"}, []byte(lost))
	require.NoError(t, err)
	require.Empty(t, as, "not to the one it is about")
	_, err = alertsOf(c, []byte("{"))
	require.Error(t, err)
}

// TestChosen: a destination hears of its severities and projects alone, of begin and end alike.
func TestChosen(t *testing.T) {
	for _, c := range []struct {
		cfg  AlertConfig
		want []string
	}{
		{AlertConfig{}, []string{failedEvent, resolvedEvent, staleEvent, driftEvent}},
		{AlertConfig{Severities: []string{"critical"}}, []string{failedEvent, resolvedEvent, staleEvent}},
		{AlertConfig{Severities: []string{"warning"}}, []string{driftEvent}},
		{AlertConfig{Projects: []string{"q"}}, []string{staleEvent}},
	} {
		var got []string
		c.cfg.Type = toLog
		route := (&Config{Alerts: AlertList{c.cfg}}).route()
		for _, p := range []string{failedEvent, resolvedEvent, staleEvent, driftEvent} {
			x, err := readEvent([]byte(p))
			require.NoError(t, err)
			to := route(outbox.Subject{Project: x.Data.Project, Severity: x.Data.Severity})
			require.Equal(t, api.EventDestination, to[0], "the topic has all")
			if slices.Contains(to, toLog) {
				got = append(got, p)
			}
		}
		require.Equal(t, c.want, got)
		if len(c.cfg.Projects)+len(c.cfg.Severities) > 0 {
			as, err := alertsOf(&c.cfg, []byte(`{"data": {"project": "other", "severity": "info"}}`))
			require.NoError(t, err)
			require.Empty(t, as)
		}
	}
}
