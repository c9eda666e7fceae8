package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/cmd/weir/command"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
)

// TestRetrainingGuide writes the settings of docs/retraining.md and gets what its commands are said to print. Its
// table of requests names every type, each with the path that is really asked.
func TestRetrainingGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "retraining.md"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	try := func(args ...string) (int, string, string) {
		var o, e bytes.Buffer
		return command.Main(args, strings.NewReader(""), &o, &e), o.String(), e.String()
	}
	last, outputs, commands := "", 0, 0
	for _, m := range qualityBlock.FindAllStringSubmatch(string(guide), -1) {
		switch kind, name, text := m[1], m[2], m[3]; kind {
		case "file":
			require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		case "output":
			require.Equal(t, text, last)
			outputs++
		case "run":
			want, err := strconv.Atoi(name)
			require.NoError(t, err)
			for line := range strings.Lines(text) {
				args := strings.Fields(line)
				code, out, errs := try(args[1:]...)
				require.Equal(t, want, code, "%s\n%s%s", line, out, errs)
				last = out
				commands++
			}
		}
	}
	require.Equal(t, []int{1, 2}, []int{outputs, commands})
	code, out, _ := try("pipelines", "nobody")
	require.NotZero(t, code, out)
	code, out, errs := try("pipelines", "--types")
	require.Zero(t, code, errs)
	for _, name := range pipeline.Types() {
		require.Contains(t, out, name)
		require.Contains(t, string(guide), "`"+name+"`")
		if name == pipeline.HTTP || name == "tekton" {
			continue
		}
		tmpl, err := pipeline.Of(name, pipeline.Request{})
		require.NoError(t, err)
		path := templateAction.ReplaceAllString(tmpl.Request.Path, "{$1}")
		require.Contains(t, string(guide), "| `"+name+"` | `POST "+path+"`")
	}
}

// TestSampleIsAnEvent: what templates are tried with has no field that the event of docs/events.md, which is held against
// real ones, does not have.
func TestSampleIsAnEvent(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "events.md"))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(doc), "**The retraining event**")
	_, rest, _ = strings.Cut(rest, "```json\n")
	text, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	var real, sample any
	require.NoError(t, json.Unmarshal([]byte(text), &real))
	require.NoError(t, json.Unmarshal(pipeline.Sample(), &sample))
	var within func(at string, s, r any)
	within = func(at string, s, r any) {
		switch s := s.(type) {
		case map[string]any:
			for k, v := range s {
				m, _ := r.(map[string]any)
				require.Contains(t, m, k, at)
				within(at+"."+k, v, m[k])
			}
		case []any:
			l, _ := r.([]any)
			require.NotEmpty(t, l, at)
			within(at+"[0]", s[0], l[0])
		default:
			require.IsType(t, r, s, at)
		}
	}
	within("", sample, real)
}

// TestPlanNotesWhatNobodyStarts: a monitor may ask for what no pipeline takes, and is told so.
func TestPlanNotesWhatNobodyStarts(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("demo", "project.yaml"))
	require.NoError(t, err)
	project := filepath.Join(t.TempDir(), "project.yaml")
	text := strings.NewReplacer("@FROM@", "2026-01-01T00:00:00Z", "@TO@", "2026-02-01T00:00:00Z").Replace(string(b))
	require.NoError(t, os.WriteFile(project, []byte(text), 0o600))
	cfg := testConfig(t)
	cfg.Pipelines = app.PipelineList{{Type: "airflow", URL: "http://127.0.0.1:1", Token: "env:WEIR_TEST_AIRFLOW_TOKEN", Takes: []string{"retrain_prices"}}}
	require.NoError(t, cfg.Validate())
	w := start(t, cfg)
	require.Contains(t, w.run("plan", "-f", project), "no pipeline of the settings takes retrain.pipeline retrain_churn")
}

// templateAction is a setting in a path, like {{segments .With.repository}}.
var templateAction = regexp.MustCompile(`\{\{(?:segments )?\.With\.(\w+)\}\}`)
