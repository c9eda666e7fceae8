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
	requests, answers := &httpRequests{}, &buffers{}
	return map[string]http.Handler{
		"POST /v1/lookup": s.HTTP(HTTPCall{Route: "POST /v1/lookup", Answer: func(w http.ResponseWriter, r *http.Request, body []byte) error {
			req := requests.get()
			defer requests.put(req)
			if err := req.read(body); err != nil {
				return err
			}
			a, err := f.lookups.Ask(r.Context(), &req.Question)
			if err != nil {
				return err
			}
			defer a.Release()
			out := answers.Get(1 << 14)
			defer answers.Put(out)
			*out = appendAnswer((*out)[:0], a, req.statuses, req.times)
			a.Release() // the time of the lookup ends here; writing depends on the client
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(*out)))
			_, _ = w.Write(*out) // who has hung up gets no error either
			return nil
		}}),
		"GET /openapi.json": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(openAPI)
		}),
	}
}
