// Package objectstest puts faults between a client of S3 and its server.
package objectstest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/testserver"
)

// Fault is what happens to one request.
type Fault int

// Faults.
const (
	None      Fault = iota
	Down            // answered with 503 and not passed on
	Reset           // the connection ends before the request is passed on
	LoseReply       // passed on, and the connection ends before the answer
	CutBody         // passed on, and the connection ends in the middle of the answer
	Hang            // neither passed on nor answered, until the proxy is closed
)

// Proxy stands before a server.
type Proxy struct {
	URL      string
	Requests atomic.Int64
	mu       sync.Mutex
	judge    func(*http.Request) Fault
	over     chan struct{}
}

// NewProxy starts a proxy that does nothing yet.
func NewProxy(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{judge: func(*http.Request) Fault { return None }, over: make(chan struct{})}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Requests.Add(1)
		p.mu.Lock()
		fault := p.judge(r)
		p.mu.Unlock()
		switch fault {
		case Down:
			w.WriteHeader(http.StatusServiceUnavailable)
		case Reset:
			panic(http.ErrAbortHandler)
		case LoseReply:
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case CutBody:
			pass.ServeHTTP(&cut{w}, r)
		case Hang:
			<-p.over
			panic(http.ErrAbortHandler)
		default:
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { close(p.over); server.Close() })
	p.URL = server.URL
	return p
}

// Judge has every request from now on judged, one at a time.
func (p *Proxy) Judge(f func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = f
}

// cut passes the head of an answer and a part of its body on.
type cut struct{ http.ResponseWriter }

func (c *cut) Write(p []byte) (int, error) {
	_, _ = c.ResponseWriter.Write(p[:len(p)/2])
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// Config says how a test's bucket is reached.
func Config(s *testserver.S3Server) objects.Config {
	c := objects.DefaultConfig()
	c.Endpoint, c.Region, c.AccessKeyID, c.SecretAccessKey = s.Endpoint, s.Region, s.AccessKey, secret.Text(s.Secret)
	return c
}
