package mlflow_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/mlflow"
)

// recorded is what MLflow 3.17 posted when a tag was set, an alias set and an alias deleted.
func recorded(t *testing.T) (calls map[string]struct {
	Header map[string]string
	Body   string
}) {
	b, err := os.ReadFile("testdata/calls.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &struct{ Calls any }{&calls}))
	require.Len(t, calls, 3)
	return calls
}

// hooked is a hook with the recording's secret at the recording's time, and what it looked at.
type hooked struct {
	*mlflow.Hook
	looked []string
	err    error
	now    time.Time
	log    bytes.Buffer
}

func newHook(t *testing.T) *hooked {
	t.Setenv("WEIR_TEST_WEBHOOK", "test-secret-of-the-recording")
	h := &hooked{now: time.Unix(1795328803, 0)}
	h.Hook = &mlflow.Hook{Secret: "env:WEIR_TEST_WEBHOOK", Log: slog.New(slog.NewTextHandler(&h.log, nil)), Metrics: mlflow.NewMetrics(nil),
		Now: func() time.Time { return h.now },
		Look: func(_ context.Context, model, alias string) error {
			h.looked = append(h.looked, model+" "+alias)
			return h.err
		}}
	return h
}

func (h *hooked) post(header map[string]string, body string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/v1/hooks/mlflow", strings.NewReader(body))
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestRecordedCalls(t *testing.T) {
	h := newHook(t)
	for _, name := range []string{"tag-set", "alias-created", "alias-deleted"} {
		c := recorded(t)[name]
		status, said := h.post(c.Header, c.Body)
		require.Equal(t, http.StatusNoContent, status, "%s: %s", name, said)
	}
	require.Equal(t, []string{"Modèle churn champion", "Modèle churn champion"}, h.looked)
	require.Empty(t, h.log.String())
}

// TestCallsNotTaken: whatever is not signed, not of now or not whole is refused, without saying more, and nothing is looked at.
func TestCallsNotTaken(t *testing.T) {
	good := recorded(t)["alias-created"]
	for name, c := range map[string]struct {
		change func(h *hooked, header map[string]string, body *string)
		status int
	}{
		"no signature":    {func(_ *hooked, x map[string]string, _ *string) { delete(x, "X-MLflow-Signature") }, 401},
		"other signature": {func(_ *hooked, x map[string]string, _ *string) { x["X-MLflow-Signature"] = "v1,AAAA" }, 401},
		"not base64":      {func(_ *hooked, x map[string]string, _ *string) { x["X-MLflow-Signature"] = "v1,%%" }, 401},
		"other version": {func(_ *hooked, x map[string]string, _ *string) {
			x["X-MLflow-Signature"] = "v2" + x["X-MLflow-Signature"][2:]
		}, 401},
		"other body":         {func(_ *hooked, _ map[string]string, b *string) { *b = strings.Replace(*b, "champion", "champio", 1) }, 401},
		"other delivery":     {func(_ *hooked, x map[string]string, _ *string) { x["X-MLflow-Delivery-Id"] = "x" }, 401},
		"other time":         {func(_ *hooked, x map[string]string, _ *string) { x["X-MLflow-Timestamp"] = "1795328802" }, 401},
		"no time":            {func(_ *hooked, x map[string]string, _ *string) { delete(x, "X-MLflow-Timestamp") }, 401},
		"time without end":   {func(_ *hooked, x map[string]string, _ *string) { x["X-MLflow-Timestamp"] = "99999999999999999999" }, 401},
		"replayed later":     {func(h *hooked, _ map[string]string, _ *string) { h.now = h.now.Add(6 * time.Minute) }, 401},
		"of the future":      {func(h *hooked, _ map[string]string, _ *string) { h.now = h.now.Add(-6 * time.Minute) }, 401},
		"other secret":       {func(h *hooked, _ map[string]string, _ *string) { t.Setenv("WEIR_TEST_WEBHOOK", "another") }, 401},
		"no secret":          {func(h *hooked, _ map[string]string, _ *string) { t.Setenv("WEIR_TEST_WEBHOOK", "") }, 503},
		"a body without end": {func(_ *hooked, _ map[string]string, b *string) { *b = strings.Repeat(" ", 1<<20+1) }, 413},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			header, body := map[string]string{}, good.Body
			for k, v := range good.Header {
				header[k] = v
			}
			c.change(h, header, &body)
			status, said := h.post(header, body)
			require.Equal(t, c.status, status, said)
			require.Empty(t, h.looked)
			require.NotContains(t, said+h.log.String(), "test-secret")
			require.Contains(t, h.log.String(), "was not taken")
		})
	}
}

// sign signs as MLflow does.
func (h *hooked) sign(secret, body string) map[string]string {
	stamp := strconv.FormatInt(h.now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("id-1." + stamp + "." + body))
	return map[string]string{"X-MLflow-Delivery-Id": "id-1", "X-MLflow-Timestamp": stamp, "X-MLflow-Signature": "v1,old v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

func TestCallsAnswered(t *testing.T) {
	h := newHook(t)
	const secret = "test-secret-of-the-recording"
	for _, body := range []string{`{"entity":"registered_model","action":"created","data":{"name":"m"}}`, `{"entity":"model_version_alias","action":"created","data":{}}`} {
		status, _ := h.post(h.sign(secret, body), body)
		require.Equal(t, 204, status, "it is signed, and nothing of ours")
	}
	status, _ := h.post(h.sign(secret, "{"), "{")
	require.Equal(t, 400, status)
	require.Empty(t, h.looked)

	h.err = feature.Errorf(feature.Unavailable, "mlflow", "http://mlflow.internal", "down")
	body := `{"entity":"model_version_alias","action":"created","data":{"name":"m","alias":"champion"}}`
	status, said := h.post(h.sign(secret, body), body)
	require.Equal(t, 503, status, "so that MLflow calls again")
	require.Equal(t, "try again\n", said)
	require.Contains(t, h.log.String(), "mlflow.internal")
}
