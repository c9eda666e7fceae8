package recordtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Exchange is one request and its answer. Of a body, Text is there where it is not JSON.
type Exchange struct {
	Request struct {
		Method        string          `json:"method"`
		URL           string          `json:"url"` // path and query
		Authorization string          `json:"authorization,omitempty"`
		ContentType   string          `json:"content_type,omitempty"`
		JSON          json.RawMessage `json:"json,omitempty"`
		Text          string          `json:"text,omitempty"`
	} `json:"request"`
	Response struct {
		Status int             `json:"status"`
		JSON   json.RawMessage `json:"json,omitempty"`
		Text   string          `json:"text,omitempty"`
	} `json:"response"`
}

// Start gives the address of a server that answers as the file says. Where the variable env
// has the address of the real one, that is asked instead, and the file written anew.
func Start(t testing.TB, file, env string) string {
	t.Helper()
	s := &server{t: t, file: file, real: strings.TrimRight(os.Getenv(env), "/")}
	if s.real == "" {
		b, err := os.ReadFile(file)
		require.NoError(t, err, "record it: set %s to the address of a real server", env)
		require.NoError(t, json.Unmarshal(b, &s.exchanges))
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.Close()
		s.end()
	})
	return web.URL
}

type server struct {
	t          testing.TB
	file, real string

	mu        sync.Mutex
	at        int
	exchanges []Exchange
	tokens    []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if !assert.NoError(s.t, err) {
		return
	}
	var got Exchange
	got.Request.Method, got.Request.URL = r.Method, r.URL.RequestURI()
	got.Request.Authorization, got.Request.ContentType = r.Header.Get("Authorization"), r.Header.Get("Content-Type")
	got.Request.JSON, got.Request.Text = split(body)
	if s.real != "" {
		s.pass(w, got, body)
		return
	}
	if !assert.Less(s.t, s.at, len(s.exchanges), "%s: nothing was recorded after these: %s %s", s.file, r.Method, r.URL) {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	x := s.exchanges[s.at]
	s.at++
	want, is := x.Request, got.Request
	same := assert.JSONEq(s.t, orNull(want.JSON), orNull(is.JSON))
	want.JSON, is.JSON = nil, nil
	if !assert.Equal(s.t, want, is, "%s: request %d", s.file, s.at) || !same {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	answer(w, x)
}

// pass asks the real server.
func (s *server) pass(w http.ResponseWriter, x Exchange, body []byte) {
	// What the client has of us are the names that tokens are recorded under.
	auth := x.Request.Authorization
	for i, token := range s.tokens {
		auth = strings.ReplaceAll(auth, name(i), token)
	}
	req, err := http.NewRequest(x.Request.Method, s.real+x.Request.URL, bytes.NewReader(body))
	if !assert.NoError(s.t, err) {
		return
	}
	if x.Request.ContentType != "" {
		req.Header.Set("Content-Type", x.Request.ContentType)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if !assert.NoError(s.t, err) {
		return
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if !assert.NoError(s.t, err) {
		return
	}
	said = jwt.ReplaceAllFunc(said, func(token []byte) []byte {
		s.tokens = append(s.tokens, string(token))
		return []byte(name(len(s.tokens) - 1))
	})
	x.Response.Status = resp.StatusCode
	x.Response.JSON, x.Response.Text = split(said)
	s.exchanges = append(s.exchanges, x)
	answer(w, x)
}

// jwt is a token as servers give them out: a name goes into the file instead.
var jwt = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

func name(i int) string { return "token-" + strconv.Itoa(i+1) }

func answer(w http.ResponseWriter, x Exchange) {
	body := []byte(x.Response.Text)
	if x.Response.JSON != nil {
		w.Header().Set("Content-Type", "application/json")
		body = x.Response.JSON
	}
	w.WriteHeader(x.Response.Status)
	_, _ = w.Write(body)
}

func (s *server) end() {
	if s.t.Failed() {
		return
	}
	if s.real == "" {
		assert.Equal(s.t, len(s.exchanges), s.at, "%s: so many requests were recorded", s.file)
		return
	}
	b, err := json.MarshalIndent(s.exchanges, "", "  ")
	if assert.NoError(s.t, err) {
		assert.NoError(s.t, os.WriteFile(s.file, append(b, '\n'), 0o644))
	}
}

func split(body []byte) (json.RawMessage, string) {
	if json.Valid(body) {
		return body, ""
	}
	return nil, string(body)
}

func orNull(b json.RawMessage) string {
	if b == nil {
		return "null"
	}
	return string(b)
}

// Replays reports whether Start answers from a file.
func Replays(env string) bool { return os.Getenv(env) == "" }
