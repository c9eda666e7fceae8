package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// asked sends a request to a handler over a real connection.
func asked(t *testing.T, h http.Handler, body string, header ...string) (int, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	r, err := http.NewRequest("POST", srv.URL, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestHTTPFaults(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxBody = 100 })
	call := func(answer func(w http.ResponseWriter, r *http.Request, body []byte) error) http.Handler {
		return f.server.HTTP(HTTPCall{Route: "POST /x", Answer: answer})
	}
	ready(t, f)
	for kind, want := range httpCodes {
		status, body := asked(t, call(func(http.ResponseWriter, *http.Request, []byte) error {
			return fmt.Errorf("wrapped: %w", feature.Errorf(kind, "op", "what", "secret-%d", kind).WithHint("the way out"))
		}), "")
		require.Equal(t, want.status, status)
		if kind == feature.Internal {
			require.NotContains(t, body, "secret")
		} else {
			require.Equal(t, fmt.Sprintf(`{"error":{"code":"%s","message":"op: what: secret-%d","hint":"the way out"}}`+"\n", want.name, kind), body)
		}
	}
	status, body := asked(t, call(func(http.ResponseWriter, *http.Request, []byte) error { return errors.New("plain-secret") }), "")
	require.Equal(t, 500, status)
	require.NotContains(t, body, "secret")
	require.Contains(t, f.log.String(), "plain-secret")
	status, _ = asked(t, call(func(http.ResponseWriter, *http.Request, []byte) error { panic("deep-secret") }), "")
	require.Equal(t, 500, status)
	require.Contains(t, f.log.String(), "deep-secret")

	echo := call(func(w http.ResponseWriter, _ *http.Request, body []byte) error {
		_, err := w.Write(body)
		return err
	})
	for range 3 { // the second gets the first one's buffer
		status, body = asked(t, echo, strings.Repeat("a", 100))
		require.Equal(t, 200, status)
		require.Equal(t, strings.Repeat("a", 100), body)
	}
	status, body = asked(t, echo, strings.Repeat("a", 101))
	require.Equal(t, 413, status)
	require.Contains(t, body, "too_large")
	require.Contains(t, body, "serving.max_body")

	wait := call(func(_ http.ResponseWriter, r *http.Request, _ []byte) error {
		<-r.Context().Done()
		return r.Context().Err()
	})
	status, body = asked(t, wait, "", "X-Timeout", "5ms")
	require.Equal(t, 504, status)
	require.Contains(t, body, "deadline_exceeded")
	for _, bad := range []string{"5", "-1s", "0s", "soon"} {
		status, body = asked(t, wait, "", "X-Timeout", bad)
		require.Equal(t, 400, status)
		require.Contains(t, body, "X-Timeout")
	}
	own := f.server.HTTP(HTTPCall{Route: "own", Fail: func(w http.ResponseWriter, status int, f Fault) { w.WriteHeader(status + 1) },
		Answer: func(http.ResponseWriter, *http.Request, []byte) error {
			return feature.Errorf(feature.Invalid, "", "", "")
		}})
	status, _ = asked(t, own, "")
	require.Equal(t, 401, status)
	require.Contains(t, gathered(t, f.metrics), "weir_http_seconds code=413 route=POST /x 1\n")
	require.Contains(t, gathered(t, f.metrics), "weir_http_seconds code=200 route=POST /x 3\n")
}

// ready waits until the server serves.
func ready(t *testing.T, f *fixture) {
	t.Helper()
	_, err := f.lookup(churn(ints("id", 1)))
	require.NoError(t, err)
}

// Half an answer is broken off, so that nobody takes it for a whole one.
// TestHTTPBodiesTogether: requests that are large together are turned away, and taken again when one is over.
func TestHTTPBodiesTogether(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxBody, c.MaxBodies = 100, 150 })
	ready(t, f)
	in, out := make(chan struct{}), make(chan struct{})
	waits := f.server.HTTP(HTTPCall{Route: "POST /waits", Answer: func(http.ResponseWriter, *http.Request, []byte) error {
		in <- struct{}{}
		<-out
		return nil
	}})
	plain := f.server.HTTP(HTTPCall{Route: "POST /plain", Answer: func(http.ResponseWriter, *http.Request, []byte) error { return nil }})
	large := strings.Repeat("x", 100)
	first := make(chan int)
	go func() {
		status, _ := asked(t, waits, large)
		first <- status
	}()
	<-in
	status, body := asked(t, plain, large)
	require.Equal(t, 429, status)
	require.Contains(t, body, "serving.max_bodies")
	status, _ = asked(t, plain, large[:50])
	require.Equal(t, 200, status)
	close(out)
	require.Equal(t, 200, <-first)
	status, _ = asked(t, plain, large)
	require.Equal(t, 200, status)
	require.Zero(t, f.server.http.taken.Load())
}

func TestHTTPHalfAnAnswer(t *testing.T) {
	f := newFixture(t, nil)
	ready(t, f)
	srv := httptest.NewServer(f.server.HTTP(HTTPCall{Route: "x", Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) error {
		_, _ = w.Write([]byte("half"))
		return errors.New("oh")
	}}))
	defer srv.Close()
	resp, err := http.Post(srv.URL, "", nil)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	require.Error(t, err)
}

// A stop waits for calls under way, refuses new ones, and ends what takes too long.
func TestHTTPDrain(t *testing.T) {
	for _, patient := range []bool{true, false} {
		t.Run(fmt.Sprint(patient), func(t *testing.T) {
			f := newFixture(t, func(c *Config) {
				c.Drain = time.Minute
				if !patient {
					c.Drain = time.Millisecond
				}
			})
			ready(t, f)
			entered, leave := make(chan struct{}), make(chan struct{})
			h := f.server.HTTP(HTTPCall{Route: "x", Answer: func(w http.ResponseWriter, r *http.Request, _ []byte) error {
				close(entered)
				select {
				case <-leave:
					_, err := w.Write([]byte("done"))
					return err
				case <-r.Context().Done():
					return context.Cause(r.Context())
				}
			}})
			type answer struct {
				status int
				body   string
			}
			got := make(chan answer, 1)
			go func() {
				status, body := asked(t, h, "")
				got <- answer{status, body}
			}()
			<-entered
			stopped := make(chan error, 1)
			go func() { stopped <- f.stop() }()
			require.Eventually(t, func() bool {
				f.server.http.mu.RLock()
				defer f.server.http.mu.RUnlock()
				return !f.server.http.open
			}, time.Minute, time.Millisecond)
			status, body := asked(t, h, "")
			require.Equal(t, 503, status)
			require.Contains(t, body, "unavailable")
			if patient {
				select {
				case <-stopped:
					t.Fatal("stopped with a call under way")
				default:
				}
				close(leave)
				require.Equal(t, answer{200, "done"}, <-got)
			} else {
				require.Equal(t, 503, (<-got).status)
			}
			require.NoError(t, <-stopped)
		})
	}
}

// A call whose client takes nothing ends by serving.idle_timeout.
func TestHTTPSilentClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.IdleTimeout = 50 * time.Millisecond })
	ready(t, f)
	ended := make(chan error, 1)
	srv := httptest.NewServer(f.server.HTTP(HTTPCall{Route: "x", Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) error {
		part := make([]byte, 1<<20)
		for {
			if _, err := w.Write(part); err != nil {
				ended <- err
				return err
			}
		}
	}}))
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(time.Minute):
		t.Fatal("the call goes on")
	}
}

// A page that somebody has open in a browser cannot call: what listens on 127.0.0.1 is in
// its reach, and a call may write. Programs send none of the headers that say so.
func TestHTTPFromPages(t *testing.T) {
	f := newFixture(t, nil)
	ready(t, f)
	called := 0
	h := f.server.HTTP(HTTPCall{Route: "x", Answer: func(http.ResponseWriter, *http.Request, []byte) error {
		called++
		return nil
	}})
	for _, header := range [][]string{{"Origin", "https://example.com", "Content-Type", "text/plain"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
		status, body := asked(t, h, "{}", header...)
		require.Equal(t, 403, status, header)
		require.Contains(t, body, `"code":"unauthorized"`)
	}
	require.Zero(t, called)
	for _, header := range [][]string{nil, {"Sec-Fetch-Site", "same-origin"}, {"Content-Type", "text/plain"}} {
		status, _ := asked(t, h, "{}", header...)
		require.Equal(t, 200, status, header)
	}
	require.Equal(t, 3, called)
}

// brokenWriter is a connection that takes nothing any more.
type brokenWriter struct {
	*httptest.ResponseRecorder
	err error
}

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

// A client that has gone, or takes nothing, is no fault of the server, and nothing in its log.
func TestHTTPGoneClientIsNoError(t *testing.T) {
	for _, gone := range []error{&net.OpError{Op: "write", Err: os.ErrDeadlineExceeded}, &net.OpError{Op: "write", Err: syscall.EPIPE}} {
		w := newWeb(t, nil)
		features := NewFeatures(NewLookups(w.server, w.reg, func(s *feature.Service) (Plan, error) { return plan{w.fixture, s}, nil }))
		r := httptest.NewRequest("POST", "/v1/lookup-stream", strings.NewReader(`{"service":"churn","entities":{"id":[1]}}`))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() {
			features.HTTPRoutes(w.server)["POST /v1/lookup-stream"].ServeHTTP(brokenWriter{httptest.NewRecorder(), gone}, r)
		})
		require.NotContains(t, w.log.String(), "call failed")
	}
}
