package alertmanager_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/alertmanager"
	"github.com/weir-ml/weir/registry/feature"
)

// server records what is posted, as "path body".
func server(t *testing.T, status *int) (string, *[]string) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(b))
		w.WriteHeader(*status)
	}))
	t.Cleanup(s.Close)
	return s.URL, &got
}

// payload is what the tests' Alerts understands.
type payload struct {
	Name string
	Over bool
}

func TestRequests(t *testing.T) {
	status := 200
	url, got := server(t, &status)
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	began := now.Add(-time.Hour)
	var firing [][]byte
	var asked []string
	d := alertmanager.New(alertmanager.Options{
		URL: url + "/am/", Now: func() time.Time { return now },
		Alerts: func(b []byte) ([]alertmanager.Alert, error) {
			var p payload
			require.NoError(t, json.Unmarshal(b, &p))
			if p.Name == "" {
				return nil, nil // not for this destination
			}
			a := alertmanager.Alert{Labels: map[string]string{"alertname": p.Name, "suite": ""}, Annotations: map[string]string{"summary": "it is bad"}, Starts: began}
			if p.Over {
				a.Ends = now
			}
			return []alertmanager.Alert{a}, nil
		},
		Firing: func(_ context.Context, project, owner string) ([][]byte, error) {
			asked = append(asked, project+"|"+owner)
			return firing, nil
		},
	})
	ctx := context.Background()

	require.NoError(t, d.Deliver(ctx, &outbox.Entry{Payload: []byte(`{"Name": ""}`)}))
	require.NoError(t, d.Repeat(ctx))
	require.Empty(t, *got, "nothing to tell, nothing sent")

	firing = [][]byte{[]byte(`{"Name": "WeirQualityFailed"}`), []byte(`{"Name": ""}`)}
	require.NoError(t, d.Deliver(ctx, &outbox.Entry{Scope: "p", Key: "p/v/suite", Payload: []byte(`{"Name": "WeirQualityFailed"}`)}))
	require.Equal(t, "p|v/suite", asked[len(asked)-1])
	const head = `POST /am/api/v2/alerts application/json [{"labels":{"alertname":"WeirQualityFailed"},"annotations":{"summary":"it is bad"},"startsAt":"2026-11-20T08:00:00Z",`
	require.Equal(t, []string{head + `"endsAt":"2026-11-20T09:05:00Z"}]`}, *got, "it ends by itself when nobody repeats it")

	now = now.Add(time.Minute)
	require.NoError(t, d.Repeat(ctx))
	require.Equal(t, head+`"endsAt":"2026-11-20T09:06:00Z"}]`, (*got)[1])

	over := &outbox.Entry{Payload: []byte(`{"Name": "WeirQualityFailed", "Over": true}`)}
	require.NoError(t, d.Deliver(ctx, over))
	require.Len(t, *got, 2, "an end that was sent again: it fires anew since")
	firing = nil
	require.NoError(t, d.Deliver(ctx, over))
	require.Equal(t, head+`"endsAt":"2026-11-20T09:01:00Z"}]`, (*got)[2], "the same labels, ended")

	require.NoError(t, d.Repeat(ctx))
	require.NoError(t, d.Deliver(ctx, &outbox.Entry{Payload: []byte(`{"Name": "WeirQualityFailed"}`)}))
	require.Len(t, *got, 3, "a beginning that was sent again: it is over, and nobody is woken")

	firing = [][]byte{[]byte(`{"Name": "x"}`)}
	status = 400
	err := d.Deliver(ctx, &outbox.Entry{Payload: []byte(`{"Name": "x"}`)})
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	status = 503
	err = d.Deliver(ctx, &outbox.Entry{Payload: []byte(`{"Name": "x"}`)})
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
}
