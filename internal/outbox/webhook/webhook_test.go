package webhook_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/webhook"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

type request struct {
	method, path string
	header       http.Header
	body         string
}

// receiver records requests and answers with status.
func receiver(t *testing.T, status *int) (string, *[]request) {
	var got []request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, request{r.Method, r.URL.Path, r.Header, string(b)})
		if *status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(*status)
		_, _ = io.WriteString(w, "no thanks")
	}))
	t.Cleanup(s.Close)
	return s.URL, &got
}

// TestSignature: the example of Standard Webhooks' own libraries.
func TestSignature(t *testing.T) {
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	got, err := webhook.Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)

	two, err := webhook.Sign("\nplain text\n"+key+"\n", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	require.Len(t, strings.Fields(two), 2)
	require.Equal(t, got, strings.Fields(two)[1])

	for _, bad := range []secret.Text{"", "\n", "whsec_", "whsec_?"} {
		_, err = webhook.Sign(bad, "a", "1", nil)
		require.Error(t, err)
	}
}

func TestRequest(t *testing.T) {
	status := 204
	url, got := receiver(t, &status)
	key := filepath.Join(t.TempDir(), "key")
	d := webhook.New(webhook.Options{URL: url + "/hook", Secret: secret.Ref("file:" + key), Token: "env:WEIR_TEST_TOKEN",
		Now: func() time.Time { return time.Unix(1614265330, 0) }})
	t.Setenv("WEIR_TEST_TOKEN", "bearer")
	e := &outbox.Entry{ID: "msg_p5jXN8AQM9LWM0D4loKWxJek/oncall", Destination: "oncall", Payload: []byte(`{"test": 2432232314}`),
		Headers: map[string]string{"content-type": "application/cloudevents+json"}}

	err := d.Deliver(context.Background(), e)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "the secret can be put there yet")
	require.Empty(t, *got, "nothing goes out unsigned")

	require.NoError(t, os.WriteFile(key, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600))
	require.NoError(t, d.Deliver(context.Background(), e))
	require.Len(t, *got, 1)
	r := (*got)[0]
	require.Equal(t, "POST", r.method)
	require.Equal(t, "/hook", r.path)
	require.Equal(t, `{"test": 2432232314}`, r.body)
	require.Equal(t, "application/cloudevents+json", r.header.Get("content-type"))
	require.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", r.header.Get("webhook-id"))
	require.Equal(t, "1614265330", r.header.Get("webhook-timestamp"))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", r.header.Get("webhook-signature"))
	require.Equal(t, "Bearer bearer", r.header.Get("authorization"))
}

func TestAnswers(t *testing.T) {
	var status int
	url, got := receiver(t, &status)
	d := webhook.New(webhook.Options{URL: strings.Replace(url, "://", "://me:hunter2@", 1)})
	for code, kind := range map[int]feature.ErrorKind{
		301: feature.Unavailable, 400: feature.Invalid, 401: feature.Unavailable, 403: feature.Unavailable, 404: feature.Unavailable, 408: feature.Unavailable,
		410: feature.Invalid, 425: feature.Unavailable, 429: feature.Unavailable, 500: feature.Unavailable, 503: feature.Unavailable,
	} {
		status, *got = code, nil
		err := d.Deliver(context.Background(), &outbox.Entry{ID: "a/b", Destination: "b"})
		require.Equal(t, kind, feature.KindOf(err), "%d", code)
		require.ErrorContains(t, err, "no thanks")
		require.NotContains(t, err.Error(), "hunter2")
		require.Len(t, *got, 1, "%d: no redirect is followed", code)
		require.Empty(t, (*got)[0].header.Get("webhook-signature"))
	}
	for _, code := range []int{200, 201, 202} {
		status = code
		require.NoError(t, d.Deliver(context.Background(), &outbox.Entry{ID: "a/b", Destination: "b"}))
	}
}

func TestNobodyThere(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	d := webhook.New(webhook.Options{URL: strings.Replace(s.URL, "://", "://me:hunter2@", 1) + "/services/hunter4/in?key=hunter3", Timeout: 20 * time.Millisecond})
	err := d.Deliver(context.Background(), &outbox.Entry{ID: "a/b"})
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, err.Error(), "hunter3")
	require.NotContains(t, err.Error(), "hunter4", "keys are in paths as well")
	require.ErrorContains(t, err, "http://127.0.0.1:")
}
