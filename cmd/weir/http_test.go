package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	curlBlock   = regexp.MustCompile("(?s)<!-- test: curl -->\n```sh\ncurl -s http://127.0.0.1:6566(\\S+)(?: -H '(\\S+): (\\S+)')? -d '([^']*)'\n```")
	answerBlock = regexp.MustCompile("(?s)<!-- test: answer -->\n```json\n(.*?)```")
)

// TestLookupsOverHTTP does what docs/lookups.md says, and gets what it says.
func TestLookupsOverHTTP(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "lookups.md"))
	require.NoError(t, err)
	curls, answers := curlBlock.FindAllSubmatch(text, -1), answerBlock.FindAllSubmatch(text, -1)
	require.Len(t, curls, 3)
	require.Len(t, answers, len(curls))

	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	require.EqualValues(t, 1, w.importFile(fileOf(t, "people.csv", "id,at,age,score\na,2026-01-02T03:04:05Z,41,0.5\n")).Rows)
	ask := func(method, path, body string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+w.app.HTTPAddr()+path, strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	_, description := ask("GET", "/openapi.json", "")
	for i, curl := range curls {
		header := []string{"X-Timeout", "20s"} // a slow machine may need more than the page says
		if len(curl[2]) > 0 {
			require.Equal(t, header[0], string(curl[2]))
		}
		status, got := ask("POST", string(curl[1]), string(curl[4]), header...)
		require.Equal(t, 200, status, got)
		var want, is map[string]any
		require.NoError(t, json.Unmarshal(answers[i][1], &want))
		require.NoError(t, json.Unmarshal([]byte(got), &is))
		require.Equal(t, want, is)
		require.Contains(t, description, `"`+strings.Replace(string(curl[1]), "/people", "/{service}", 1)+`"`)
	}
	for _, path := range []string{"/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/people", "/v2/models/people/ready", "/v2/models/people/versions/1"} {
		status, got := ask("GET", path, "")
		require.Equal(t, 200, status, "%s: %s", path, got)
	}
	status, got := ask("POST", "/v1/lookup", `{"service":"peple","entities":{"id":["a"]}}`)
	require.Equal(t, 404, status)
	require.Contains(t, got, "people", "the hint has the name that was meant")
	status, got = ask("GET", "/metrics", "")
	require.Equal(t, 200, status)
	for _, code := range []string{"200", "404"} {
		require.Contains(t, got, fmt.Sprintf(`weir_http_seconds_count{code="%s",route="POST /v1/lookup"} 1`, code))
	}
}
