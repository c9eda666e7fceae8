//go:build loop

package loop

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate is the network between Weir and Airflow: it lets calls pass, holds them back before Airflow sees
// them, or keeps Airflow's answers to itself.
type gate struct {
	*httptest.Server
	proxy *httputil.ReverseProxy

	mu    sync.Mutex
	is    state
	held  chan int // of each call that was held, the status that Airflow gave it, or 0
	calls []int    // of each call that asked for a run, what Airflow answered
}

type state int

const (
	open   state = iota
	shut         // Airflow sees nothing
	silent       // Airflow does what it is asked, and nobody hears of it
)

func newGate(t *testing.T, airflow string) *gate {
	u, err := url.Parse(airflow)
	require.NoError(t, err)
	g := &gate{proxy: httputil.NewSingleHostReverseProxy(u), held: make(chan int, 100)}
	g.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gate) set(s state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.is = s
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/dagRuns") {
		g.proxy.ServeHTTP(w, r)
		return
	}
	g.mu.Lock()
	is := g.is
	g.mu.Unlock()
	if is == shut {
		_, _ = io.Copy(io.Discard, r.Body) // the server then notices when the client is gone
		g.held <- 0
		<-r.Context().Done()
		return
	}
	answer := httptest.NewRecorder()
	g.proxy.ServeHTTP(answer, r)
	g.mu.Lock()
	g.calls = append(g.calls, answer.Code)
	g.mu.Unlock()
	if is == silent {
		g.held <- answer.Code
		<-r.Context().Done()
		return
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// answers are what Airflow has answered to calls for a run so far.
func (g *gate) answers() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]int{}, g.calls...)
}
