package airflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/airflow"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/recordtest"
	"github.com/weir-ml/weir/registry/feature"
)

// event is the sample with another id and pipeline.
func event(t *testing.T, id, dag string) *outbox.Entry {
	var e map[string]any
	require.NoError(t, json.Unmarshal(pipeline.Sample(), &e))
	e["id"] = id
	e["data"].(map[string]any)["retrain"] = map[string]string{"model": "churn", "pipeline": dag}
	b, err := json.Marshal(e)
	require.NoError(t, err)
	return &outbox.Entry{ID: id + "/airflow", Destination: "airflow", Key: "customer_prices", Payload: b}
}

// TestRecorded holds what is sent against what Airflow 3.3 answered. To record it anew, start one with the
// user weir, the DAGs retrain_churn, paused (which is) and needs_region (with a parameter that
// has no default), and set WEIR_TEST_RECORD_AIRFLOW to its address and WEIR_TEST_AIRFLOW_PASSWORD.
func TestRecorded(t *testing.T) {
	if t.Setenv("WEIR_TEST_AIRFLOW_WRONG", "wrong"); recordtest.Replays("WEIR_TEST_RECORD_AIRFLOW") {
		t.Setenv("WEIR_TEST_AIRFLOW_PASSWORD", "of-the-test")
	}
	ctx := context.Background()
	var log bytes.Buffer
	url := recordtest.Start(t, "testdata/airflow.json", "WEIR_TEST_RECORD_AIRFLOW")
	opt := airflow.Options{URL: url + "/", User: "weir", Password: "env:WEIR_TEST_AIRFLOW_PASSWORD", Log: slog.New(slog.NewTextHandler(&log, nil))}
	d, err := airflow.New(opt)
	require.NoError(t, err)

	require.NoError(t, d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000001", "retrain_churn")))
	require.NoError(t, d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000001", "retrain_churn")), "the same again is answered by 409, and its run is there")
	require.Empty(t, log.String())
	require.NoError(t, d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000001", "paused")))
	require.Contains(t, log.String(), "paused")

	err = d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000001", "nobody"))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "it may be deployed later: %v", err)
	require.ErrorContains(t, err, "has no such DAG")
	err = d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000001", "needs_region"))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "region")

	opt.Password = "env:WEIR_TEST_AIRFLOW_WRONG"
	d, err = airflow.New(opt)
	require.NoError(t, err)
	err = d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000002", "retrain_churn"))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "user and password")

	// A token that is none is told by 403; there is nothing to renew.
	opt.User, opt.Password, opt.Token = "", "", "env:WEIR_TEST_AIRFLOW_WRONG"
	d, err = airflow.New(opt)
	require.NoError(t, err)
	err = d.Deliver(ctx, event(t, "5d4b3e0f-5b0f-5e6d-9d0a-000000000002", "retrain_churn"))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
}

// TestTokenIsRenewed: one that is no longer taken is asked for again, once.
func TestTokenIsRenewed(t *testing.T) {
	t.Setenv("WEIR_TEST_AIRFLOW_PASSWORD", "hunter2")
	given, taken, refusal, runs := 0, "", 401, 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" {
			given++
			token := string(rune('a' + given))
			if taken != "none" {
				taken = "Bearer " + token
			}
			w.WriteHeader(201)
			_ = json.NewEncoder(w).Encode(map[string]string{"access_token": token})
			return
		}
		if r.Header.Get("Authorization") != taken {
			w.WriteHeader(refusal)
			return
		}
		if r.Method == http.MethodPost {
			runs++
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer web.Close()
	d, err := airflow.New(airflow.Options{URL: web.URL, User: "weir", Password: "env:WEIR_TEST_AIRFLOW_PASSWORD"})
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, d.Deliver(context.Background(), event(t, "x", "d")))
		require.Equal(t, i+1, runs)
	}
	require.Equal(t, 1, given, "a token is kept")
	for i, status := range []int{401, 403} {
		taken, refusal = "another", status
		require.NoError(t, d.Deliver(context.Background(), event(t, "x", "d")))
		require.Equal(t, 2+i, given)
	}
	taken = "none"
	err = d.Deliver(context.Background(), event(t, "x", "d"))
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	require.Equal(t, 4, given, "once")
	require.NotContains(t, err.Error(), "hunter2")
	require.Equal(t, 5, runs)
}

// TestAnswers: what becomes of an event by what Airflow, or what stands before it, says.
func TestAnswers(t *testing.T) {
	t.Setenv("WEIR_TEST_AIRFLOW_TOKEN", "hunter2")
	post, get := 0, 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(post)
		} else {
			w.WriteHeader(get)
		}
	}))
	defer web.Close()
	d, err := airflow.New(airflow.Options{URL: web.URL, Token: "env:WEIR_TEST_AIRFLOW_TOKEN"})
	require.NoError(t, err)
	for _, c := range []struct {
		post, get int
		kind      feature.ErrorKind
	}{{409, 404, feature.Unavailable}, {409, 500, feature.Unavailable}, {422, 0, feature.Invalid}, {405, 0, feature.Invalid}, {302, 0, feature.Unavailable},
		{401, 0, feature.Unavailable}, {403, 0, feature.Unavailable}, {404, 0, feature.Unavailable}, {400, 0, feature.Unavailable}, {429, 0, feature.Unavailable}, {500, 0, feature.Unavailable}, {503, 0, feature.Unavailable}} {
		post, get = c.post, c.get
		err := d.Deliver(context.Background(), event(t, "x", "d"))
		require.Equal(t, c.kind, feature.KindOf(err), "%d: %v", c.post, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	post, get = 409, 200
	require.NoError(t, d.Deliver(context.Background(), event(t, "x", "d")))
	post, get = 200, 500
	require.NoError(t, d.Deliver(context.Background(), event(t, "x", "d")), "whether it is paused is for the log alone")
	err = d.Deliver(context.Background(), event(t, "x", ""))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.ErrorContains(t, err, "has no pipeline")
	web.Close()
	require.Equal(t, feature.Unavailable, feature.KindOf(d.Deliver(context.Background(), event(t, "x", "d"))))
}

func TestFaults(t *testing.T) {
	_, err := airflow.New(airflow.Options{URL: "nowhere", User: "weir", DAG: "retrain_{{.Modell}}"})
	for _, says := range []string{"url: ", "user: set it together with password", "with.dag: can't evaluate field Modell"} {
		require.ErrorContains(t, err, says)
	}
	_, err = airflow.New(airflow.Options{URL: "http://airflow:8080"})
	require.ErrorContains(t, err, "or token")
	d, err := airflow.New(airflow.Options{URL: "http://airflow:8080", Token: "env:X", DAG: "{{.Project}}.retrain_{{.Model}}"})
	require.NoError(t, err)
	r, err := d.Show(pipeline.Sample())
	require.NoError(t, err)
	require.Equal(t, "http://airflow:8080/api/v2/dags/default.retrain_churn/dagRuns", r.URL)
}
