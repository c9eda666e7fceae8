package pipeline_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/outbox/webhook"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

const id = "5d4b3e0f-5b0f-5e6d-9d0a-7a5f8f0e6a11"

// receiver notes what comes, as a text, and answers with a status.
type receiver struct {
	*httptest.Server
	status int
	got    string
	last   *http.Request
	body   []byte
}

func receive(t *testing.T) *receiver {
	r := &receiver{status: 200}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.last = req
		r.body, _ = io.ReadAll(req.Body)
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", req.Method, req.RequestURI)
		var names []string
		for k := range req.Header {
			if !slices.Contains([]string{"Accept-Encoding", "User-Agent"}, k) {
				names = append(names, k)
			}
		}
		slices.Sort(names)
		for _, k := range names {
			fmt.Fprintf(&b, "%s: %s\n", k, strings.Join(req.Header[k], ", "))
		}
		var v any
		if json.Unmarshal(r.body, &v) == nil {
			pretty, _ := json.MarshalIndent(v, "", "  ")
			fmt.Fprintf(&b, "\n%s\n", pretty)
		} else {
			fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(string(r.body), "&", "\n&"))
		}
		r.got = b.String()
		w.WriteHeader(r.status)
		_, _ = w.Write([]byte(`{"message":"so it is"}`))
	}))
	t.Cleanup(r.Close)
	return r
}

func entry(payload []byte) *outbox.Entry {
	return &outbox.Entry{ID: id + "/retrain_churn", Destination: "retrain_churn", Key: "customer_prices", Scope: "default", Payload: payload}
}

// TestRequests holds what each built-in template sends against testdata, and each status that its API may
// answer against what becomes of the event.
func TestRequests(t *testing.T) {
	t.Setenv("WEIR_TEST_PIPELINE_TOKEN", "the-token")
	token, user := pipeline.Options{Token: "env:WEIR_TEST_PIPELINE_TOKEN"}, pipeline.Options{User: "weir", Password: "env:WEIR_TEST_PIPELINE_TOKEN"}
	type with = map[string]string
	cases := map[string]struct {
		opt                   pipeline.Options
		with                  with
		fine, retried, failed []int
	}{
		"github":          {token, with{"repository": "acme/churn"}, []int{204}, []int{200, 302, 401, 403, 404, 429, 500}, []int{422}},
		"github_workflow": {token, with{"repository": "acme/churn"}, []int{200, 204}, []int{401, 404, 422, 502}, []int{400}},
		"gitlab":          {token, with{"project": "acme/churn"}, []int{201}, []int{200, 400, 401, 404, 503}, []int{422}},
		"jenkins":         {user, with{"job": "ml/job/retrain churn"}, []int{201}, []int{200, 302, 400, 403, 404, 409, 500}, []int{405}},
		"gocd":            {token, nil, []int{202}, []int{401, 404, 409, 422}, []int{400}},
		"tekton":          {pipeline.Options{}, nil, []int{200, 201, 202}, []int{404, 503}, []int{400}},
		"argo":            {token, with{"namespace": "ml"}, []int{200, 409}, []int{400, 403, 404, 500}, []int{405}},
		"kubeflow":        {pipeline.Options{}, with{"pipeline_id": "a1b2"}, []int{200}, []int{400, 404, 500}, []int{405}},
	}
	for _, name := range pipeline.Types() {
		if name == pipeline.HTTP {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c, ok := cases[name]
			require.True(t, ok, "a template without a test")
			r := receive(t)
			tmpl, err := pipeline.Of(name, pipeline.Request{})
			require.NoError(t, err)
			c.opt.Template, c.opt.With, c.opt.URL = tmpl, c.with, r.URL
			d, err := pipeline.New(c.opt)
			require.NoError(t, err)
			for _, s := range c.fine {
				r.status = s
				require.NoError(t, d.Deliver(context.Background(), entry(pipeline.Sample())), s)
			}
			golden := filepath.Join("testdata", name+".txt")
			if os.Getenv("WEIR_TEST_UPDATE") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(r.got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), r.got)
			require.Contains(t, r.got, id, "the receiver can tell a repetition")
			first := r.got
			for _, s := range c.retried {
				r.status = s
				err := d.Deliver(context.Background(), entry(pipeline.Sample()))
				require.Equal(t, feature.Unavailable, feature.KindOf(err), "%d: %v", s, err)
				require.NotContains(t, err.Error(), "the-token")
			}
			for _, s := range c.failed {
				r.status = s
				err := d.Deliver(context.Background(), entry(pipeline.Sample()))
				require.Equal(t, feature.Invalid, feature.KindOf(err), "%d: %v", s, err)
			}
			require.Equal(t, first, r.got, "each attempt is the same request")
			shown, err := d.Show(pipeline.Sample())
			require.NoError(t, err)
			require.NotContains(t, fmt.Sprint(shown, string(shown.Body)), "the-token")
		})
	}
}

// TestOwnRequest: a request in the settings, signed as webhooks are.
func TestOwnRequest(t *testing.T) {
	t.Setenv("WEIR_TEST_PIPELINE_SECRET", "hunter2")
	r := receive(t)
	tmpl, err := pipeline.Of(pipeline.HTTP, pipeline.Request{Method: "PUT", Path: "/runs/{{.ID}}/{{.With.env}}", Query: map[string]string{"model": "{{.Model}} & {{.Service}}"},
		Headers: map[string]string{"X-Window": "{{.Event.data.window.start}}"}, Body: `{"rows": {{.Event.data.window.rows}}, "all": {{json .Event.data.features}}}`, Success: []int{202}})
	require.NoError(t, err)
	d, err := pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL + "/", With: map[string]string{"env": "prod-{{.Project}}"}, Secret: "env:WEIR_TEST_PIPELINE_SECRET",
		Now: func() time.Time { return time.Unix(1700000000, 0) }})
	require.NoError(t, err)
	r.status = 202
	require.NoError(t, d.Deliver(context.Background(), entry(pipeline.Sample())))
	require.Equal(t, "PUT", r.last.Method)
	require.Equal(t, "/runs/"+id+"/prod-default?model=churn+%26+churn_v1", r.last.RequestURI)
	require.Equal(t, "2026-11-20T08:00:00Z", r.last.Header.Get("X-Window"))
	require.Contains(t, string(r.body), `"rows":5120`)
	require.Contains(t, string(r.body), `1e-30`, "a number stays as it was")
	sig, err := webhook.Sign("hunter2", id, "1700000000", r.body)
	require.NoError(t, err)
	require.Equal(t, sig, r.last.Header.Get("webhook-signature"))
	require.Equal(t, id, r.last.Header.Get("webhook-id"))
	r.status = 200
	err = d.Deliver(context.Background(), entry(pipeline.Sample()))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "200 is not what counts as a receipt there")

	tmpl, err = pipeline.Of(pipeline.HTTP, pipeline.Request{})
	require.NoError(t, err)
	d, err = pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL})
	require.NoError(t, err)
	require.NoError(t, d.Deliver(context.Background(), entry(pipeline.Sample())))
	require.JSONEq(t, string(pipeline.Sample()), string(r.body), "without a body the event is it")
}

// TestHostileValues: whatever an event's names hold, it stays a value.
func TestHostileValues(t *testing.T) {
	r := receive(t)
	for _, hostile := range []string{`","ref":"evil`, `../../admin`, `a/b?c#d`, "x\r\nX-Evil: 1", `{{.ID}}`, "</script>\u2028", `a&b=c`} {
		var e map[string]any
		require.NoError(t, json.Unmarshal(pipeline.Sample(), &e))
		e["data"].(map[string]any)["retrain"].(map[string]any)["pipeline"] = hostile
		payload, err := json.Marshal(e)
		require.NoError(t, err)
		tmpl, err := pipeline.Of(pipeline.HTTP, pipeline.Request{Path: "/p/{{.Pipeline}}/run", Query: map[string]string{"q": "{{.Pipeline}}"}, Body: `{"a": {{.Pipeline}}, "b": {{printf "x%s" .Pipeline}}}`})
		require.NoError(t, err)
		d, err := pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL})
		require.NoError(t, err)
		require.NoError(t, d.Deliver(context.Background(), entry(payload)))
		var got map[string]string
		require.NoError(t, json.Unmarshal(r.body, &got))
		require.Equal(t, map[string]string{"a": hostile, "b": "x" + hostile}, got)
		require.Equal(t, hostile, r.last.URL.Query().Get("q"))
		require.Equal(t, "/p/"+hostile+"/run", r.last.URL.Path)
		require.Equal(t, 3, strings.Count(strings.Split(r.last.RequestURI, "?")[0], "/"), "%s", r.last.RequestURI)
		require.Empty(t, r.last.Header.Get("X-Evil"))

		tmpl.Request.Headers = map[string]string{"X-Name": "{{.Pipeline}}"}
		d, err = pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL})
		require.NoError(t, err)
		err = d.Deliver(context.Background(), entry(payload))
		if strings.ContainsAny(hostile, "\r\n") {
			require.Equal(t, feature.Invalid, feature.KindOf(err))
		} else {
			require.NoError(t, err)
		}
	}
	for _, path := range []string{"", ".", ".."} {
		tmpl, err := pipeline.Of(pipeline.HTTP, pipeline.Request{Path: "/p/{{.With.x}}/run"})
		require.NoError(t, err)
		_, err = pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL, With: map[string]string{"x": path}})
		require.ErrorContains(t, err, "path: ", "%q", path)
	}
}

// TestFaultsAreFoundAtOnce: what cannot work is said when the settings are read, with its place.
func TestFaultsAreFoundAtOnce(t *testing.T) {
	for _, c := range []struct {
		r    pipeline.Request
		says string
	}{
		{pipeline.Request{Body: `{"a": {{.Nothing}}}`}, "body: can't evaluate field Nothing: an event has no such field"},
		{pipeline.Request{Body: `{"a": {{.Event.data.nothing}}}`}, `body: map has no entry for key "nothing"`},
		{pipeline.Request{Body: `{"a": {{.With.nothing}}}`}, `body: map has no entry for key "nothing"`},
		{pipeline.Request{Body: `{"a": {{.ID}`}, "body"},
		{pipeline.Request{Body: `{"a": {{shell .ID}}}`}, `"shell" not defined`},
		{pipeline.Request{Body: `{"a": "{{.ID}}"}`}, "body: what came out is not JSON"},
		{pipeline.Request{Path: "/runs?model={{.Model}}"}, "path: ? and # have no place in it"},
		{pipeline.Request{Path: "runs"}, "path: must begin with /"},
		{pipeline.Request{Method: "FETCH"}, "method: must be"},
		{pipeline.Request{Body: "{}", Form: map[string]string{"a": "b"}}, "body: give it or form"},
		{pipeline.Request{Headers: map[string]string{"authorization": "Bearer hunter2"}}, "headers: authorization cannot be set here"},
		{pipeline.Request{Success: []int{20}}, "20 is no status"},
	} {
		tmpl, err := pipeline.Of(pipeline.HTTP, c.r)
		require.NoError(t, err)
		_, err = pipeline.New(pipeline.Options{Template: tmpl, URL: "http://127.0.0.1:1"})
		require.ErrorContains(t, err, c.says)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, r := range []pipeline.Request{{Path: "/runs"}, {Query: map[string]string{"a": "b"}}, {}} {
		tmpl, err := pipeline.Of(pipeline.HTTP, r)
		require.NoError(t, err)
		d, err := pipeline.New(pipeline.Options{Template: tmpl, URL: "https://hooks.example.com/start/?sig=abc"})
		if r.Path != "" || r.Query != nil {
			require.ErrorContains(t, err, "url: must end before ? and #")
			continue
		}
		require.NoError(t, err)
		shown, err := d.Show(pipeline.Sample())
		require.NoError(t, err)
		require.Equal(t, "https://hooks.example.com/start/?sig=abc", shown.URL, "as it was given")
	}
	_, err := pipeline.Of("travis", pipeline.Request{})
	require.ErrorContains(t, err, "argo, github")

	tmpl, err := pipeline.Of("gitlab", pipeline.Request{})
	require.NoError(t, err)
	_, err = pipeline.New(pipeline.Options{Template: tmpl, URL: "nowhere", With: map[string]string{"branch": "main"}, User: "weir", Secret: "env:X"})
	for _, says := range []string{"url: ", "with.project: must be set", "with.branch: is not a setting of this type: there are project", "token: must be set", "user: set it together", "secret: "} {
		require.ErrorContains(t, err, says)
	}
}

// TestNotForThem: what fails before anything is sent.
func TestNotForThem(t *testing.T) {
	r := receive(t)
	tmpl, err := pipeline.Of("gitlab", pipeline.Request{})
	require.NoError(t, err)
	d, err := pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL, With: map[string]string{"project": "1"}, Token: secret.Ref("env:WEIR_TEST_NO_SUCH")})
	require.NoError(t, err)
	err = d.Deliver(context.Background(), entry(pipeline.Sample()))
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "somebody may put the token there")
	err = d.Deliver(context.Background(), entry([]byte(`{"id":"x","data":{"monitor":"m"}}`)))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.ErrorContains(t, err, "asks for no retraining")
	err = d.Deliver(context.Background(), entry([]byte(`nonsense`)))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.Nil(t, r.last)

	var e map[string]any
	require.NoError(t, json.Unmarshal(pipeline.Sample(), &e))
	delete(e["data"].(map[string]any)["reference"].(map[string]any), "snapshot")
	payload, err := json.Marshal(e)
	require.NoError(t, err)
	tmpl, err = pipeline.Of(pipeline.HTTP, pipeline.Request{Body: `{"of": {{.Event.data.reference.snapshot}}}`})
	require.NoError(t, err)
	d, err = pipeline.New(pipeline.Options{Template: tmpl, URL: r.URL})
	require.NoError(t, err)
	err = d.Deliver(context.Background(), entry(payload))
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.ErrorContains(t, err, `body: map has no entry for key "snapshot"`)
	require.ErrorContains(t, err, "weir events resend")
	require.Nil(t, r.last)
}

// TestSecretsComeBack: a server that repeats what it was sent does not get credentials into errors, logs and events.
func TestSecretsComeBack(t *testing.T) {
	const hush = "s3cr/t+ w0rd"
	t.Setenv("WEIR_TEST_PIPELINE_TOKEN", hush)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(500)
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "no %s %s %s %s", user, password, r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), body)
	}))
	t.Cleanup(web.Close)
	own, err := pipeline.Of(pipeline.HTTP, pipeline.Request{Method: "GET"})
	require.NoError(t, err)
	named := *own
	named.Token = "header X-Api-Key"
	gitlab, err := pipeline.Of("gitlab", pipeline.Request{})
	require.NoError(t, err)
	for _, o := range []pipeline.Options{
		{Template: own, Token: "env:WEIR_TEST_PIPELINE_TOKEN"},
		{Template: &named, Token: "env:WEIR_TEST_PIPELINE_TOKEN"},
		{Template: own, User: "weir", Password: "env:WEIR_TEST_PIPELINE_TOKEN"},
		{Template: gitlab, Token: "env:WEIR_TEST_PIPELINE_TOKEN", With: map[string]string{"project": "1"}},
	} {
		o.URL = web.URL
		d, err := pipeline.New(o)
		require.NoError(t, err)
		err = d.Deliver(context.Background(), entry(pipeline.Sample()))
		require.ErrorContains(t, err, "answered 500: no ")
		for _, s := range []string{hush, url.QueryEscape(hush), base64.StdEncoding.EncodeToString([]byte("weir:" + hush)), "s3cr"} {
			require.NotContains(t, err.Error(), s)
		}
	}
}
