package app

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// On a loopback address only requests for addresses, localhost and configured names are answered.
func TestHosts(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	for _, c := range []struct {
		at    string
		hosts []string
		good  []string
		bad   []string
	}{
		{"127.0.0.1", nil, []string{"127.0.0.1:6566", "127.0.0.1", "localhost:6566", "LOCALHOST.", "a.localhost", "[::1]:6566", "::1", "10.1.2.3", "[fe80::1%eth0]:1", ""},
			[]string{"evil.example:6566", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "features.internal", "xlocalhost"}},
		{"::1", nil, []string{"localhost"}, []string{"evil.example"}},
		{"127.0.0.1", []string{"Features.internal"}, []string{"features.internal:6566", "FEATURES.internal.", "localhost"}, []string{"evil.example"}},
		{"127.0.0.1", []string{"*"}, []string{"evil.example"}, nil},
		{"0.0.0.0", nil, []string{"features.internal", "evil.example"}, nil},
		{"10.1.2.3", []string{"features.internal"}, []string{"features.internal", "10.1.2.3:6566"}, []string{"evil.example"}},
	} {
		h := guard(ok, &net.TCPAddr{IP: net.ParseIP(c.at), Port: 6566}, c.hosts, slog.New(slog.DiscardHandler))
		ask := func(host string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/push", nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		for _, host := range c.good {
			require.Equal(t, http.StatusOK, ask(host).Code, "%s, listening on %s", host, c.at)
		}
		for _, host := range c.bad {
			w := ask(host)
			require.Equal(t, http.StatusForbidden, w.Code, "%s, listening on %s", host, c.at)
			require.Contains(t, w.Body.String(), "http.hosts")
			require.NotContains(t, w.Body.String(), "ok\n")
		}
	}
	require.NoError(t, checkHosts([]string{"features.internal", "*"}))
	for _, bad := range []string{"", "http://x", "x:80", "*.internal", "a b"} {
		require.Error(t, checkHosts([]string{bad}), bad)
	}
}
