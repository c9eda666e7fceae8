package mlflow

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/recordtest"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

// TestRecorded holds the client against what MLflow 3.17 answered. To record it anew, start one
// with two models, of which "churn model" has a version 1 with the tags below and the alias
// champion, and set WEIR_TEST_RECORD_MLFLOW to its address.
func TestRecorded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL = recordtest.Start(t, "testdata/registry.json", "WEIR_TEST_RECORD_MLFLOW") + "/"
	c, ctx := New(cfg), context.Background()
	c.page = 1

	v, err := c.ModelVersion(ctx, "churn model", "1")
	require.NoError(t, err)
	require.Equal(t, "churn model", v.Name)
	require.Equal(t, "1", v.Version)
	require.Equal(t, map[string]string{"feature_service": "churn_v1", "feature_snapshot_id": "snap_01"}, v.Tags)
	require.Equal(t, []string{"champion"}, v.Aliases)
	require.NotEmpty(t, v.RunID)
	require.Contains(t, v.Source, v.RunID)

	same, err := c.VersionByAlias(ctx, "churn model", "champion")
	require.NoError(t, err)
	require.Equal(t, v, same)

	require.NoError(t, c.SetVersionTag(ctx, "churn model", "1", "retraining.requested", "5d4b3e0f"))
	v, err = c.ModelVersion(ctx, "churn model", "1")
	require.NoError(t, err)
	require.Equal(t, "5d4b3e0f", v.Tags["retraining.requested"])

	all, err := c.Aliased(ctx)
	require.NoError(t, err)
	require.Equal(t, []Model{{"churn model", map[string]string{"champion": "1"}}}, all, "prices has no alias")

	for _, absent := range []func() error{
		func() error { _, err := c.ModelVersion(ctx, "churn model", "9"); return err },
		func() error { _, err := c.ModelVersion(ctx, "nobody", "1"); return err },
		func() error { _, err := c.VersionByAlias(ctx, "churn model", "nobody"); return err },
		func() error { _, err := c.VersionByAlias(ctx, "nobody", "champion"); return err },
		func() error { return c.SetVersionTag(ctx, "churn model", "9", "a", "b") },
	} {
		err := absent()
		require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
	}
	_, err = c.ModelVersion(ctx, "churn model", "one")
	require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
}

// TestNotMLflow: what something else says in its place is no word of MLflow's.
func TestNotMLflow(t *testing.T) {
	var status int
	var said, asked string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Authorization")
		w.Header().Set("Location", "http://127.0.0.1:1/login")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(said))
	}))
	t.Setenv("WEIR_TEST_MLFLOW_PASSWORD", "hunter2")
	c := New(Config{URL: web.URL, User: "weir", Password: "env:WEIR_TEST_MLFLOW_PASSWORD", Timeout: time.Minute})
	for _, x := range []struct {
		status int
		said   string
	}{{200, "<html>log in</html>"}, {302, ""}, {400, "<html>"}, {401, "who are you?"}, {403, `{"error_code":"PERMISSION_DENIED","message":"no"}`}, {404, "<html>not found"}, {429, ""},
		{500, `{"error_code":"INTERNAL_ERROR","message":"x"}`}, {503, "no"}} {
		status, said = x.status, x.said
		_, err := c.VersionByAlias(context.Background(), "m", "champion")
		require.Equal(t, feature.Unavailable, feature.KindOf(err), "%d %s: %v", x.status, x.said, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.Equal(t, "Basic d2VpcjpodW50ZXIy", asked)
	c = New(Config{URL: web.URL, Token: "env:WEIR_TEST_MLFLOW_PASSWORD", Timeout: time.Minute})
	_ = c.SetVersionTag(context.Background(), "m", "1", "a", "b")
	require.Equal(t, "Bearer hunter2", asked)
	web.Close()
	err := c.SetVersionTag(context.Background(), "m", "1", "a", "b")
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	good := Config{URL: "https://mlflow:5000", User: "weir", Password: "env:X", Timeout: time.Second}
	require.NoError(t, good.Validate())
	bad := Config{URL: "mlflow:5000", User: "weir", Password: "hunter2", Token: "hunter3", Timeout: 0}
	err := bad.Validate()
	require.Error(t, err)
	for _, says := range []string{"mlflow.url", "mlflow.password", "mlflow.token: must say", "mlflow.token: give", "mlflow.timeout"} {
		require.Contains(t, err.Error(), says)
	}
	require.NotContains(t, err.Error(), "hunter")
	require.ErrorContains(t, Config{URL: "http://a:b@mlflow", Timeout: time.Second}.Validate(), "must not hold a password")
	for _, lost := range []string{"?key=hunter2", "?", "#hunter2"} {
		err := Config{URL: "http://mlflow:5000" + lost, Timeout: time.Second}.Validate()
		require.ErrorContains(t, err, "mlflow.url: must end before ? and #", lost)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.ErrorContains(t, Config{Password: secret.Ref("env:X"), Timeout: time.Second}.Validate(), "set both")
}

// TestAliasedLarge: models with long descriptions are asked for fewer at a time, from where the last answer ended.
func TestAliasedLarge(t *testing.T) {
	const models = 30
	var sizes []int
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(r.URL.Query().Get("page_token"))
		most, err := strconv.Atoi(r.URL.Query().Get("max_results"))
		assert.NoError(t, err)
		sizes = append(sizes, most)
		type alias struct{ Alias, Version string }
		type model struct {
			Name        string  `json:"name"`
			Description string  `json:"description"`
			Aliases     []alias `json:"aliases"`
		}
		var out struct {
			Models []model `json:"registered_models"`
			Next   string  `json:"next_page_token,omitempty"`
		}
		for i := from; i < min(from+most, models); i++ {
			out.Models = append(out.Models, model{strconv.Itoa(i), strings.Repeat("x", 512<<10), []alias{{"champion", "1"}}})
		}
		if from+most < models {
			out.Next = strconv.Itoa(from + most)
		}
		b, err := json.Marshal(out)
		assert.NoError(t, err)
		_, _ = w.Write(b) // what is too much is not read
	}))
	t.Cleanup(web.Close)
	c := New(Config{URL: web.URL, Timeout: time.Minute})
	c.page = 20
	all, err := c.Aliased(context.Background())
	require.NoError(t, err)
	require.Len(t, all, models)
	require.Equal(t, "29", all[models-1].Name)
	require.Equal(t, []int{20, 5, 5, 5, 5, 5, 5}, sizes)
}
