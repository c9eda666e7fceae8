package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// HTTPCall is one call over HTTP.
type HTTPCall struct {
	Route string // names it in metrics and log: "POST /v1/lookup"
	// Answer writes the answer, or returns an error before it has written any of it. The body
	// is whole, and good until Answer returns. The context ends with the deadline of the
	// request (header X-Timeout), and when the client hangs up.
	Answer func(w http.ResponseWriter, r *http.Request, body []byte) error
	// Fail writes an error's answer; nil writes {"error": {"code", "message", "hint"}}.
	Fail func(w http.ResponseWriter, status int, f Fault)
}

// Fault is what a client is told about an error.
type Fault struct {
	Code    string // invalid, not_found, conflict, exhausted, too_large, unavailable, unsupported, unauthorized, deadline_exceeded, canceled, internal
	Message string
	Hint    string // may be empty
}

// timeoutHeader is how long the client waits, as a duration: 250ms, 1.5s.
const timeoutHeader = "X-Timeout"

// uploadTime is how long a body may take to come.
const uploadTime = 30 * time.Second

// httpCalls are the calls under way. They are taken while the server serves, and a stop waits for them.
type httpCalls struct {
	mu     sync.RWMutex
	open   bool // guarded by mu
	wg     sync.WaitGroup
	halted context.Context // ends when a stop waits no longer
	halt   context.CancelFunc
	bodies buffers
	taken  atomic.Int64 // bytes of the bodies of calls under way
}

func newHTTPCalls() *httpCalls {
	c := &httpCalls{}
	c.halted, c.halt = context.WithCancel(context.Background())
	return c
}

func (c *httpCalls) begin() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.open {
		c.wg.Add(1)
	}
	return c.open
}

func (c *httpCalls) set(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = open
}

// drain takes no new calls and waits for those under way, until halt ends them too.
func (c *httpCalls) drain() {
	c.set(false)
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.wg.Wait()
	}()
	select {
	case <-over:
	case <-c.halted.Done():
	}
}

// HTTP makes the handler of a call: with the limits, the metrics, the mapping of errors
// and the drain that calls over gRPC have. A panic costs its call, not the process.
func (s *Server) HTTP(c HTTPCall) http.Handler {
	if c.Fail == nil {
		c.Fail = writeFault
	}
	// A page in somebody's browser reaches what listens on 127.0.0.1, and a call may write.
	pages := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		out := &answered{ResponseWriter: w, idle: s.cfg.IdleTimeout}
		fail := func(ctx context.Context, err error) {
			if out.failed != nil && errors.Is(err, out.failed) {
				panic(http.ErrAbortHandler) // the client has gone, or takes nothing
			}
			code, f := httpFault(ctx, s.log, c.Route, err)
			if out.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			c.Fail(out, code, f)
		}
		defer func() {
			s.met.http.WithLabelValues(c.Route, strconv.Itoa(max(out.status, http.StatusOK))).Observe(time.Since(start).Seconds())
		}()
		if err := pages.Check(r); err != nil {
			fail(r.Context(), feature.Errorf(feature.Unauthorized, "serving", "", "pages of other origins may not call").WithHint("call from a program, or through a server of the page's own"))
			return
		}
		if !s.http.begin() {
			w.Header().Set("Connection", "close")
			fail(r.Context(), notNow("starting or stopping"))
			return
		}
		defer s.http.wg.Done()
		ctx, end := context.WithCancelCause(withRequestID(r.Context(), r.Header.Get(requestIDHeader)))
		defer end(nil)
		defer context.AfterFunc(s.http.halted, func() { end(notNow("stopping")) })()
		body := s.http.bodies.Get(int(max(min(r.ContentLength, 1<<20), 0)))
		defer s.http.bodies.Put(body)
		err := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					s.log.Error("call panicked", "method", c.Route, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
					err = errPanicked
				}
			}()
			if h := r.Header.Get(timeoutHeader); h != "" {
				d, err := time.ParseDuration(h)
				if err != nil || d <= 0 {
					return feature.Errorf(feature.Invalid, "serving", "header "+timeoutHeader, "%q is no duration above zero", h).WithHint("write it as 250ms or 1.5s")
				}
				var late context.CancelFunc
				ctx, late = context.WithTimeout(ctx, d)
				defer late()
			}
			in := &held{Reader: http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxBody)), all: &s.http.taken, most: int64(s.cfg.MaxBodies)}
			defer in.release() // what a body becomes when it is read lives as long, and is some times as large
			if err := s.http.read(w, in, body, s.cfg.MaxBody); err != nil {
				return err
			}
			return c.Answer(out, r.WithContext(ctx), *body)
		}()
		if err != nil {
			fail(ctx, err)
		}
	})
}

func notNow(what string) error {
	return feature.Errorf(feature.Unavailable, "serving", "", "the server is %s", what).WithHint("ask another, or again")
}

var errPanicked = errors.New("the handler panicked")

// answered remembers what was answered.
type answered struct {
	http.ResponseWriter
	idle   time.Duration // how long the client may take nothing
	status int           // 0 before the answer has begun
	failed error         // of the last write
}

func (a *answered) WriteHeader(code int) {
	if a.status == 0 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answered) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.idle)) // not of every connection
	n, err := a.ResponseWriter.Write(b)
	a.failed = err
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// read reads the whole body into b.
func (c *httpCalls) read(w http.ResponseWriter, from io.Reader, b *[]byte, limit int) error {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(uploadTime)) // not of every connection; then the client's patience is the end
	buf := bytes.NewBuffer((*b)[:0])
	_, err := buf.ReadFrom(from)
	*b = buf.Bytes()
	var most *http.MaxBytesError
	var late net.Error
	switch {
	case errors.Is(err, errFull):
		return feature.Errorf(feature.Exhausted, "serving", "", "%w", err).WithHint("come back later, split the call, or raise serving.max_bodies")
	case errors.As(err, &most):
		return feature.Errorf(feature.Exhausted, "serving", "", "%w", tooLarge(fmt.Sprintf("the body has more than %d bytes", limit))).WithHint("split the call, or raise serving.max_body")
	case errors.As(err, &late) && late.Timeout():
		return feature.Errorf(feature.Invalid, "serving", "", "the body did not come within %s", uploadTime)
	case err != nil && !errors.Is(err, io.EOF):
		return feature.Errorf(feature.Invalid, "serving", "", "the body breaks off: %w", err)
	}
	_ = rc.SetReadDeadline(time.Time{})
	return nil
}

// held counts the bytes of a body among those of all calls under way, and takes no more than
// most of them.
type held struct {
	io.Reader
	all       *atomic.Int64
	most, own int64
}

var errFull = errors.New("the bodies of the calls under way are as large as all may be together")

func (h *held) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	h.own += int64(n)
	if h.all.Add(int64(n)) > h.most && n > 0 {
		return n, errFull
	}
	return n, err
}

func (h *held) release() { h.all.Add(-h.own) }

// writeFault answers with {"error": {"code": ..., "message": ..., "hint": ...}}.
func writeFault(w http.ResponseWriter, status int, f Fault) {
	b := append([]byte(nil), `{"error":{"code":`...)
	b = appendText(b, f.Code)
	b = appendText(append(b, `,"message":`...), f.Message)
	if f.Hint != "" {
		b = appendText(append(b, `,"hint":`...), f.Hint)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, "}}\n"...))
}
