package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/registry/feature"
)

func TestPipelineSettings(t *testing.T) {
	f := write(t, `
alerts: [{type: log}]
mlflow: {url: 'http://mlflow:5000', user: weir, password: env:MLFLOW_PASSWORD}
pipelines:
  - {name: training, type: airflow, url: 'http://airflow:8080', user: weir, password: env:AIRFLOW_PASSWORD, with: {dag: 'retrain_{{.Model}}'}, takes: ['*'], projects: [default]}
  - {name: retrain_churn, type: gitlab, url: 'https://gitlab.example.com', token: file:/run/secrets/trigger, with: {project: 42}, timeout: 5s}
  - name: own
    type: http
    url: https://me:hunter2@trainer.example.com/hunter3
    token: env:TRAINER_KEY
    token_header: X-Api-Key
    with: {queue: gpu}
    request: {method: PUT, path: '/runs/{{.ID}}', headers: {X-Queue: '{{.With.queue}}'}, body: '{"model": {{.Model}}}', success: [202, 409], retry: [400]}
`)
	c, err := Load(f, nil)
	require.NoError(t, err)
	require.Len(t, c.Pipelines, 3)
	require.Equal(t, map[string]string{"project": "42"}, c.Pipelines[1].With, "a number is a text")
	require.Equal(t, 5*time.Second, c.Pipelines[1].Timeout)
	require.Equal(t, []int{202, 409}, c.Pipelines[2].Request.Success)
	shown := ""
	for _, s := range c.Settings() {
		if s.Key == "pipelines" {
			require.True(t, s.Changed)
			shown = fmt.Sprint(s.Value)
		}
		require.NotContains(t, fmt.Sprint(s.Value), "hunter2", s.Key)
	}
	require.Contains(t, shown, "training: airflow http://airflow:8080 dag=retrain_{{.Model}} user=weir password=env:AIRFLOW_PASSWORD takes=* projects=default; retrain_churn: gitlab ")
	require.NotContains(t, shown, "hunter")

	for i := range c.Pipelines {
		s, err := c.Pipelines[i].Sender(nil)
		require.NoError(t, err)
		r, err := s.Show(pipeline.Sample())
		require.NoError(t, err)
		require.NotEmpty(t, r.URL)
	}

	monitor := func(project, name string) *feature.Monitor {
		return &feature.Monitor{Meta: feature.Meta{Project: project, Name: "m"}, Retrain: feature.Retrain{Pipeline: name}}
	}
	require.Empty(t, c.advise(monitor("shop", "retrain_churn")))
	require.Empty(t, c.advise(monitor("default", "anything")), "all are taken there")
	require.Contains(t, c.advise(monitor("shop", "anything")), "no pipeline of the settings takes retrain.pipeline anything: a drift starts nothing (weir pipelines lists what they take)")
	require.Empty(t, c.advise(monitor("shop", "")))
	require.Empty(t, (&Config{}).advise(monitor("shop", "anything")), "others may listen")

	route := c.route()
	ask := func(project string, firing bool, r *feature.Retrain) []string {
		return route(outbox.Subject{Project: project, Severity: feature.Warning, Firing: firing, Retrain: r})
	}
	require.Equal(t, []string{"kafka", "log", "training", "retrain_churn", "mlflow"}, ask("default", true, &feature.Retrain{Model: "churn", Pipeline: "retrain_churn"}))
	require.Equal(t, []string{"kafka", "log", "retrain_churn"}, ask("shop", true, &feature.Retrain{Pipeline: "retrain_churn"}))
	require.Equal(t, []string{"kafka", "log", "training"}, ask("default", true, &feature.Retrain{Service: "churn_v1"}))
	require.Equal(t, []string{"kafka", "log"}, ask("default", true, nil), "a drift that asks for nothing")
	require.Equal(t, []string{"kafka", "log"}, ask("default", false, &feature.Retrain{Model: "churn", Pipeline: "retrain_churn"}), "its end trains nothing")
	require.Equal(t, []string{"kafka", "log", "training", "retrain_churn", "own", "mlflow"}, c.destinations())
}

// TestPipelineFaults: strict to the last field, all at once, and never showing what may be a secret.
func TestPipelineFaults(t *testing.T) {
	for text, want := range map[string][]string{
		`{type: travis}`:  {"pipelines[0].type: must be one of airflow, argo"},
		`{type: airflow}`: {"pipelines[0].url", "pipelines[0].user"},
		`{type: airflow, url: 'http://a', user: u, password: hunter2}`:                                           {"pipelines[0].password: must say where"},
		`{type: airflow, url: 'http://a', token: 'env:X', with: {job: a}}`:                                       {"pipelines[0].with.job", "there is dag"},
		`{type: airflow, url: 'http://a', token: 'env:X', with: {dag: '{{.Dag}}'}}`:                              {"pipelines[0].with.dag: can't evaluate field Dag"},
		`{type: airflow, url: 'http://a', token: 'env:X', secret: 'env:X', request: {path: /x}}`:                 {"pipelines[0].secret", "pipelines[0].request"},
		`{type: airflow, name: log, url: 'http://a', token: 'env:X'}`:                                            {"pipelines[0].name"},
		`{type: airflow, name: mlflow, url: 'http://a', token: 'env:X'}`:                                         {"pipelines[0].name"},
		`{type: github, token: hunter2}`:                                                                         {"pipelines[0].token", "pipelines[0].with.repository: must be set"},
		`{type: gocd, url: 'https://g'}`:                                                                         {"pipelines[0].token or user: must be set"},
		`{type: jenkins, url: 'https://me:hunter2@', token_header: X, takes: [''], timeout: -1s}`:                {"pipelines[0].url", "pipelines[0].token_header", "pipelines[0].takes", "pipelines[0].timeout"},
		`{type: http, url: 'https://x', request: {body: '{{.Nothing}}'}}`:                                        {"pipelines[0].body: can't evaluate field Nothing: an event has no such field"},
		`{type: http, url: 'https://x?key=hunter3', request: {path: /a}}`:                                        {"pipelines[0].url: must end before ? and #"},
		`{type: http, url: 'https://x', timeout: 20s}`:                                                           {"pipelines[0].timeout: must be at most drift.outbox.timeout, 10s (got 20s)"},
		`{type: http, url: 'https://x', request: {bodi: x}}`:                                                     {"pipelines[0].request.bodi"},
		`{type: http, url: 'https://x', takse: [x]}`:                                                             {"pipelines[0].takse"},
		"{type: http, url: 'https://x'}\n  - {type: http, url: 'https://x'}":                                     {"pipelines[1].name"},
		`{type: http, url: 'https://x', request: {headers: {Authorization: Bearer hunter2}}}`:                    {"Authorization cannot be set here"},
		`{type: argo, url: 'https://x', token: 'env:X', with: {namespace: '{{.Event.data.nothing}}', other: y}}`: {"pipelines[0].with.other"},
	} {
		_, err := Load(write(t, "alerts: [{type: log}]\npipelines:\n  - "+text+"\n"), nil)
		for _, w := range want {
			require.ErrorContains(t, err, w, text)
		}
		require.NotContains(t, err.Error(), "hunter2", text)
	}
	t.Setenv("WEIR_PIPELINES", "x")
	_, err := Load(write(t, "# nothing\n"), nil)
	require.ErrorContains(t, err, "set it in the file")
}
