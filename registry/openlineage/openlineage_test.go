package openlineage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

func made() feature.Snapshot {
	return feature.Snapshot{ID: "01k", Project: "shop", Service: "churn", ServiceVersion: 2, Rows: 7, CreatedAt: 1_700_000_000_000_000,
		Tables:  []feature.SnapshotTable{{View: "profile", ViewVersion: 3, Version: 42}, {View: "usage"}},
		Columns: []feature.SnapshotColumn{{Name: "tenure", View: "profile", Type: feature.Int64}, {Name: "calls", View: "usage", Type: feature.Float64}}}
}

func TestEvent(t *testing.T) {
	b, err := openlineage.Event(made(), "ns")
	require.NoError(t, err)
	again, err := openlineage.Event(made(), "ns")
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
	var e struct {
		EventType, EventTime, SchemaURL string
		Run                             struct{ RunID string }
		Job                             struct{ Namespace, Name string }
		Inputs, Outputs                 []struct {
			Namespace, Name string
			Facets          struct {
				Version struct{ DatasetVersion string }
				Schema  struct{ Fields []struct{ Name, Type string } }
			}
			OutputFacets struct{ OutputStatistics struct{ RowCount int64 } }
		}
	}
	require.NoError(t, json.Unmarshal(b, &e))
	require.Equal(t, "COMPLETE", e.EventType)
	require.Equal(t, "2023-11-14T22:13:20Z", e.EventTime)
	require.Equal(t, openlineage.RunID("01k"), e.Run.RunID)
	require.Equal(t, "ns shop.snapshot.churn", e.Job.Namespace+" "+e.Job.Name)
	require.Len(t, e.Inputs, 2)
	require.Equal(t, "shop.profile", e.Inputs[0].Name)
	require.Equal(t, "42", e.Inputs[0].Facets.Version.DatasetVersion)
	require.Equal(t, []struct{ Name, Type string }{{"tenure", "int64"}}, e.Inputs[0].Facets.Schema.Fields)
	require.Len(t, e.Outputs, 1)
	require.Equal(t, "shop.trainingset.01k", e.Outputs[0].Name)
	require.Len(t, e.Outputs[0].Facets.Schema.Fields, 2)
	require.EqualValues(t, 7, e.Outputs[0].OutputFacets.OutputStatistics.RowCount)
}

// records fail where err is set.
type records struct{ err error }

func (r *records) PutSnapshot(context.Context, feature.Snapshot, []byte) error { return r.err }

func TestTeller(t *testing.T) {
	t.Setenv("WEIR_TEST_TOKEN", "hunter2")
	got, answers := make(chan string, 10), make(chan int, 10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("Authorization") + " " + string(b)
		w.WriteHeader(<-answers)
	}))
	defer web.Close()
	var log bytes.Buffer
	at := make(chan time.Time)
	close(at) // no wait
	var waited []time.Duration
	rec := &records{}
	c := openlineage.Config{URL: web.URL, Token: "env:WEIR_TEST_TOKEN", Namespace: "weir"}
	tell := func(codes ...int) string {
		t.Helper()
		log.Reset()
		waited = nil
		for _, x := range codes {
			answers <- x
		}
		teller := openlineage.NewTeller(rec, c, slog.New(slog.NewTextHandler(&log, nil)), func(d time.Duration) <-chan time.Time {
			waited = append(waited, d)
			return at
		})
		require.NoError(t, teller.PutSnapshot(context.Background(), made(), nil))
		want, err := openlineage.Event(made(), "weir")
		require.NoError(t, err)
		for range codes {
			require.Equal(t, "Bearer hunter2 "+string(want), <-got)
		}
		teller.Wait()
		require.NoError(t, teller.Close())
		require.NotContains(t, log.String(), "hunter2")
		return log.String()
	}
	require.Contains(t, tell(201), "was told")
	require.Contains(t, tell(503, 500, 200), "was told", "tried again")
	require.Len(t, waited, 2)
	require.Contains(t, tell(400), "was not told", "it will never be taken")
	require.Contains(t, tell(503, 503, 503, 503, 503), "was not told", "given up")
	require.Len(t, waited, 4)

	rec.err = errors.New("full")
	teller := openlineage.NewTeller(rec, c, slog.New(slog.DiscardHandler), time.After)
	require.ErrorContains(t, teller.PutSnapshot(context.Background(), made(), nil), "full")
	require.NoError(t, teller.Close())
	require.Empty(t, got, "what was not put is not told")
}

func TestConfig(t *testing.T) {
	require.NoError(t, openlineage.DefaultConfig().Validate())
	err := openlineage.Config{URL: "marquez", Token: "hunter2"}.Validate()
	for _, says := range []string{"openlineage.url", "openlineage.token", "openlineage.namespace"} {
		require.ErrorContains(t, err, says)
	}
	require.NotContains(t, err.Error(), "hunter2")
}
