package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mlflowRegistry answers as MLflow's model registry does, for one model.
type mlflowRegistry struct {
	mu       sync.Mutex
	snapshot map[string]string // of a version
	champion string
}

func (m *mlflowRegistry) set(champion, snapshot string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.champion, m.snapshot[champion] = champion, snapshot
}

func (m *mlflowRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	version := r.URL.Query().Get("version")
	switch {
	case strings.HasSuffix(r.URL.Path, "/registered-models/search"):
		all := []any{}
		if m.champion != "" {
			all = append(all, map[string]any{"name": "churn", "aliases": []any{map[string]any{"alias": "champion", "version": m.champion}}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"registered_models": all})
		return
	case strings.HasSuffix(r.URL.Path, "/registered-models/alias"):
		version = m.champion
	}
	if m.snapshot[version] == "" {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"none"}`))
		return
	}
	tags := []any{map[string]any{"key": "feature_snapshot_id", "value": m.snapshot[version]}, map[string]any{"key": "feature_service", "value": "model"}}
	_ = json.NewEncoder(w).Encode(map[string]any{"model_version": map[string]any{"name": "churn", "version": version, "run_id": "r" + version, "source": "models:/" + version, "tags": tags}})
}

// TestMLflowChampion: a signed call moves the alias at once, an unsigned one nothing; and a call that is lost is made up for by the next sync.
func TestMLflowChampion(t *testing.T) {
	there := &mlflowRegistry{snapshot: map[string]string{}}
	web := httptest.NewServer(there)
	defer web.Close()
	t.Setenv("WEIR_TEST_WEBHOOK", "hunter2")
	c := testConfig(t)
	c.MLflow.URL, c.MLflow.WebhookSecret, c.MLflow.Sync = web.URL, "env:WEIR_TEST_WEBHOOK", 0
	w := start(t, c)
	spine := salesRows(w, 30)
	snapshot := func() string {
		var s struct{ ID string }
		w.json(&s, "snapshot", "create", "--service", "model", "--spine", spine, "--out", filepath.Join(t.TempDir(), "set.parquet"))
		return s.ID
	}
	call := func(secret string) int {
		body := `{"entity":"model_version_alias","action":"created","data":{"name":"churn","alias":"champion","version":"1"}}`
		stamp := fmt.Sprint(time.Now().Unix())
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("d1." + stamp + "." + body))
		req, err := http.NewRequest(http.MethodPost, "http://"+w.app.HTTPAddr()+"/v1/hooks/mlflow", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-MLflow-Delivery-Id", "d1")
		req.Header.Set("X-MLflow-Timestamp", stamp)
		req.Header.Set("X-MLflow-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	champion := func() string {
		code, out, _ := w.try("get", "model", "churn@champion", "-o", "json")
		if code != 0 {
			return ""
		}
		var m modelShown
		require.NoError(t, json.Unmarshal([]byte(out), &m))
		return m.Version + " " + m.Snapshot
	}
	one, two := snapshot(), snapshot()
	there.set("1", one)
	require.Equal(t, 401, call("wrong"))
	require.Empty(t, champion())
	require.Equal(t, 204, call("hunter2"))
	require.Equal(t, "1 "+one, champion())
	require.Equal(t, 204, call("hunter2"), "again")
	require.NotContains(t, w.run("config"), "hunter2")

	// Weir is down while the alias moves.
	w.stop()
	there.set("2", two)
	c.MLflow.Sync = time.Hour // only the one at the start
	w = start(t, c)
	w.eventually(func() bool { return champion() == "2 "+two }, "the sync at the start")
}

// TestMLflowOff: without a secret no call is taken.
func TestMLflowOff(t *testing.T) {
	w := start(t, testConfig(t))
	resp, err := http.Post("http://"+w.app.HTTPAddr()+"/v1/hooks/mlflow", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}
