//go:build loop

package loop

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/peers/platform"
)

// mlserver: a model server that knows nothing of features predicts the same of what Weir answers in its protocol.
func (w *world) mlserver(version string) {
	w.t.Helper()
	folder := w.t.TempDir()
	var is struct{ Version string }
	require.NoError(w.t, json.Unmarshal([]byte(w.script("mlserver.py", folder)), &is))
	require.Equal(w.t, version, is.Version)
	server := platform.StartMLServer(w.t, folder)

	id := w.known()
	features := post(w.t, "http://"+w.weir.http+"/v2/models/churn/infer", map[string]any{
		"inputs":     []any{map[string]any{"name": "customer_id", "datatype": "BYTES", "shape": []int{1}, "data": []string{id}}},
		"parameters": map[string]any{"as": "request", "datatype": "FP64"},
		"outputs":    []any{map[string]any{"name": "*"}},
	})
	status, body := server.Infer(w.t, model, features)
	require.Equal(w.t, http.StatusOK, status, "%s", body)
	var a struct {
		Version string `json:"model_version"`
		Outputs []struct {
			Name string
			Data []float64
		}
	}
	require.NoError(w.t, json.Unmarshal(body, &a))
	require.Equal(w.t, version, a.Version)
	require.Len(w.t, a.Outputs, 1)
	require.Len(w.t, a.Outputs[0].Data, 2)

	var said struct {
		Model string
		Churn []float64
	}
	require.NoError(w.t, json.Unmarshal(post(w.t, w.predicts, map[string]any{"customer_id": []string{id}}), &said))
	require.Equal(w.t, model+"@"+version, said.Model)
	require.InDelta(w.t, said.Churn[0], a.Outputs[0].Data[1], 1e-12)
	w.line.say(starts, "MLServer predicts of features that Weir sends it", "version %s says %.2f of customer %s, as /predict does", a.Version, a.Outputs[0].Data[1], id)
}

// post asks with JSON; the answer has to be a good one.
func post(t *testing.T, url string, question any) []byte {
	t.Helper()
	body, err := json.Marshal(question)
	require.NoError(t, err)
	r, err := http.Post(url, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s", answer)
	return bytes.TrimSpace(answer)
}

// known is the customer of the newest label.
func (w *world) known() string {
	w.t.Helper()
	lines := strings.Split(strings.TrimSpace(w.labels()), "\n")
	id, _, _ := strings.Cut(lines[len(lines)-1], ",")
	return id
}
