package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAlertSettings(t *testing.T) {
	f := write(t, `
alerts:
  - {type: log}
  - {name: oncall, type: webhook, url: 'https://me:hunter2@hooks.example.com/weir/hunter4?key=hunter3', secret: env:WEIR_HOOK_KEY, timeout: 5s, severities: [critical], projects: [default, shop]}
  - {type: alertmanager, url: 'http://alertmanager:9093', token: file:/run/secrets/am, resend: 30s}
`)
	c, err := Load(f, nil)
	require.NoError(t, err)
	require.Len(t, c.Alerts, 3)
	require.Equal(t, 5*time.Second, c.Alerts[1].Timeout)
	require.Equal(t, []string{"default", "shop"}, c.Alerts[1].Projects)
	require.EqualValues(t, "env:WEIR_HOOK_KEY", c.Alerts[1].Secret)
	require.Equal(t, "alertmanager", c.Alerts[2].name())
	shown := ""
	for _, s := range c.Settings() {
		if s.Key == "alerts" {
			require.True(t, s.Changed)
			shown = fmt.Sprint(s.Value)
		}
	}
	require.Equal(t, "log: log; oncall: webhook https://hooks.example.com/... secret=env:WEIR_HOOK_KEY timeout=5s severities=critical projects=default,shop; "+
		"alertmanager: alertmanager http://alertmanager:9093 token=file:/run/secrets/am resend=30s", shown)
	require.Equal(t, "(redacted)", fmt.Sprint(ref("hunter2")))
}

// TestAlertFaults: strict to the last field, and never showing what may be a secret.
func TestAlertFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{type: pager}`:                   "alerts[0].type",
		`{type: webhook}`:                 "alerts[0].url",
		`{type: webhook, url: 'ftp://x'}`: "alerts[0].url",
		`{type: webhook, url: 'https://x', secret: hunter2}`:       "alerts[0].secret",
		`{type: webhook, url: 'https://x', token: hunter2}`:        "alerts[0].token",
		`{type: alertmanager, url: 'https://x', secret: 'env:X'}`:  "alerts[0].secret",
		`{type: alertmanager, url: 'https://x?a=hunter2'}`:         "alerts[0].url: must end before ? and #",
		`{type: alertmanager, url: 'https://x/#hunter2'}`:          "alerts[0].url: must end before ? and #",
		`{type: webhook, url: 'https://x/y#hunter2'}`:              "alerts[0].url: must end before #",
		`{type: log, url: 'https://x'}`:                            "alerts[0].url",
		`{type: log, severities: [info]}`:                          "alerts[0].severities",
		`{type: log, resend: 5s}`:                                  "alerts[0].resend",
		`{type: webhook, url: 'https://x', timeout: -1s}`:          "alerts[0].timeout",
		`{type: log, name: kafka}`:                                 "alerts[0].name",
		`{type: log, name: mlflow}`:                                "alerts[0].name",
		`{type: log, name: openlineage}`:                           "alerts[0].name",
		`{type: log, name: On-Call}`:                               "alerts[0].name",
		"{type: log}\n  - {type: log}":                             "alerts[1].name",
		`{type: log, severity: critical}`:                          "alerts[0].severity",
		`{type: log, mode: binary}`:                                "alerts[0].mode: mode and format are for webhooks",
		`{type: webhook, url: 'https://x', mode: base64}`:          "alerts[0].mode: must be structured or binary",
		`{type: webhook, url: 'https://x', format: evidently}`:     "alerts[0].format: must be weir or seldon",
		`{type: webhook, url: 'https://me:hunter2@x', secrets: 1}`: "alerts[0].secrets",
		`nonsense`: "alerts[0]: must be a map",
	} {
		_, err := Load(write(t, "alerts:\n  - "+text+"\n"), nil)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "hunter2", text)
	}
	_, err := Load(write(t, "events: {mode: batched, format: cloudy}\n"), nil)
	require.ErrorContains(t, err, "events.mode: must be structured or binary")
	require.ErrorContains(t, err, "events.format: must be weir or seldon")
	_, err = Load(write(t, "alerts: {type: log}\n"), nil)
	require.Error(t, err)
	_, err = Load(write(t, "alerts: 1\n"), nil)
	require.ErrorContains(t, err, "must be a list")
	_, err = Load(write(t, "# nothing\n"), map[string]string{"alerts": "x"})
	require.ErrorContains(t, err, "set it in the file")
	t.Setenv("WEIR_ALERTS", "x")
	_, err = Load(write(t, "# nothing\n"), nil)
	require.ErrorContains(t, err, "set it in the file")
}
