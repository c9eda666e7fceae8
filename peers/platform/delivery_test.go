//go:build peers || loop

package platform_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	driftsql "github.com/weir-ml/weir/drift/sqlstore"
	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/modeltags"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/peers/platform"
)

// box is an outbox in a database that is worked off while the test runs.
type box struct {
	t     *testing.T
	to    string
	store *driftsql.Store
	kick  func()
}

// workOff delivers with retries within a second.
func workOff(t *testing.T, name string, to outbox.Deliverer) *box {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	db, err := sqldb.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "outbox.db"))
	require.NoError(t, err)
	store, err := driftsql.New(ctx, db)
	require.NoError(t, err)
	cfg := outbox.DefaultConfig()
	cfg.Poll, cfg.Backoff, cfg.MaxBackoff, cfg.MaxAttempts = 100*time.Millisecond, 100*time.Millisecond, time.Second, 10000
	d := outbox.New(store, map[string]outbox.Deliverer{name: to}, cfg, slog.New(slog.DiscardHandler), nil, nil)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, db.Close())
	})
	return &box{t, name, store, d.Kick}
}

// tell records a retraining event, as a drift does, and gives its id.
func (b *box) tell(id, model, dag string) {
	b.t.Helper()
	var e map[string]any
	require.NoError(b.t, json.Unmarshal(pipeline.Sample(), &e))
	e["id"] = id
	e["data"].(map[string]any)["retrain"] = map[string]string{"model": model, "pipeline": dag}
	payload, err := json.Marshal(e)
	require.NoError(b.t, err)
	ok, err := b.store.Tell(context.Background(), &tally.Change{At: time.Now(), Event: &tally.Event{ID: id, Project: "default", Owner: "customer_prices", Type: "io.weir.drift.detected.v1", Payload: payload},
		Outbox: []outbox.Entry{{ID: id + "/" + b.to, Destination: b.to, Key: "customer_prices", Scope: "default", Payload: payload}}})
	require.NoError(b.t, err)
	require.True(b.t, ok)
	b.kick()
}

// await waits until an event's entry is as wanted.
func (b *box) await(id, what string, is func(outbox.Entry) bool) outbox.Entry {
	b.t.Helper()
	var e outbox.Entry
	require.Eventually(b.t, func() bool {
		all, err := b.store.Entries(context.Background(), outbox.Query{ID: id + "/" + b.to})
		require.NoError(b.t, err)
		require.Len(b.t, all, 1)
		e = all[0]
		return is(e)
	}, 2*time.Minute, 20*time.Millisecond, "%s: %s", id, what)
	return e
}

func delivered(e outbox.Entry) bool { return e.State == outbox.Delivered }

// failing: it was tried several times, and why it could not be delivered is there to see.
func failing(e outbox.Entry) bool {
	return e.State == outbox.Pending && e.Attempts >= 2 && e.LastError != ""
}

// again sends an event once more, as weir events resend does.
func (b *box) again(id string) {
	b.t.Helper()
	n, err := b.store.Resend(context.Background(), []string{id + "/" + b.to}, time.Now())
	require.NoError(b.t, err)
	require.EqualValues(b.t, 1, n)
	b.kick()
	b.await(id, "sent again", delivered)
}

// TestMLflowIsTagged: the version in use gets the tags, also where MLflow was away when the event was recorded.
func TestMLflowIsTagged(t *testing.T) {
	m := platform.StartMLflow(t, platform.MLflowOptions{})
	version := func(name string) { // its files have to be those of a run
		var of struct {
			Run struct {
				Info struct {
					ID  string `json:"run_id"`
					URI string `json:"artifact_uri"`
				}
			}
		}
		m.Do(http.MethodPost, "runs/create", map[string]string{"experiment_id": "0"}, &of)
		m.Do(http.MethodPost, "model-versions/create", map[string]string{"name": name, "run_id": of.Run.Info.ID, "source": of.Run.Info.URI + "/model"}, nil)
	}
	m.Do(http.MethodPost, "registered-models/create", map[string]string{"name": "churn"}, nil)
	version("churn")
	version("churn")
	m.Do(http.MethodPost, "registered-models/alias", map[string]string{"name": "churn", "alias": "champion", "version": "1"}, nil)
	cfg := mlflow.DefaultConfig()
	cfg.URL = m.URL
	c := mlflow.New(cfg)
	b := workOff(t, "mlflow", modeltags.New(c))

	requested := func(version string) string {
		v, err := c.ModelVersion(context.Background(), "churn", version)
		require.NoError(t, err)
		return v.Tags[modeltags.Requested]
	}
	b.tell("first", "churn", "")
	b.await("first", "MLflow is there", delivered)
	require.Equal(t, "first", requested("1"))
	require.Empty(t, requested("2"))

	m.Stop()
	b.tell("second", "churn", "")
	b.await("second", "MLflow is away", failing)
	m.Start()
	b.await("second", "MLflow is back", delivered)
	require.Equal(t, "second", requested("1"))

	b.tell("third", "prices", "")
	e := b.await("third", "MLflow has no such model", failing)
	require.Contains(t, e.LastError, "prices")
	m.Do(http.MethodPost, "registered-models/create", map[string]string{"name": "prices"}, nil)
	version("prices")
	m.Do(http.MethodPost, "registered-models/alias", map[string]string{"name": "prices", "alias": "champion", "version": "1"}, nil)
	b.await("third", "MLflow has it now", delivered)
}
