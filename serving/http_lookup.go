package serving

import (
	_ "embed"
	"net/http"
	"strconv"
)

// openAPI describes the calls over HTTP.
//
//go:embed openapi.json
var openAPI []byte

// HTTPRoutes are the paths of weir.v1's lookups over HTTP, and of their description.
func (f *Features) HTTPRoutes(s *Server) map[string]http.Handler {
	h := &httpLookups{Lookups: f.lookups}
	return map[string]http.Handler{
		"POST /v1/lookup":        s.HTTP(HTTPCall{Route: "POST /v1/lookup", Answer: h.one}),
		"POST /v1/lookup-stream": s.HTTP(HTTPCall{Route: "POST /v1/lookup-stream", Answer: h.stream}),
		"GET /openapi.json": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(openAPI)
		}),
	}
}

// httpLookups answers in JSON.
type httpLookups struct {
	*Lookups
	requests httpRequests
	answers  buffers
}

func (h *httpLookups) one(w http.ResponseWriter, r *http.Request, body []byte) error {
	req := h.requests.get()
	defer h.requests.put(req)
	if err := req.read(body); err != nil {
		return err
	}
	a, err := h.Ask(r.Context(), &req.Question)
	if err != nil {
		return err
	}
	defer a.Release()
	out := h.answers.Get(1 << 14)
	defer h.answers.Put(out)
	*out = appendAnswer((*out)[:0], a, req.statuses, req.times, 0)
	a.Release() // the time of the lookup ends here; writing depends on the client
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(*out)))
	_, _ = w.Write(*out) // who has hung up gets no error either
	return nil
}

// stream answers in parts, a line each.
func (h *httpLookups) stream(w http.ResponseWriter, r *http.Request, body []byte) error {
	req := h.requests.get()
	defer h.requests.put(req)
	if err := req.read(body); err != nil {
		return err
	}
	out := h.answers.Get(1 << 14)
	defer h.answers.Put(out)
	first := 0
	for a, err := range h.parts(r.Context(), &req.Question) {
		if err != nil {
			return err // after the first part it breaks the answer off
		}
		*out = appendAnswer((*out)[:0], a, req.statuses, req.times, first)
		first += a.Rows
		a.Release()
		w.Header().Set("Content-Type", "application/x-ndjson")
		if _, err := w.Write(*out); err != nil {
			return err
		}
		_ = http.NewResponseController(w).Flush()
	}
	return nil
}
