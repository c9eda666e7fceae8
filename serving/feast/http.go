package feast

import (
	"net/http"
	"strings"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/serving"
)

// Mount offers the calls of Feast's feature server, each also below
// /projects/{project}: the SDK's remote store can be given a path, but no header.
func Mount(mux *http.ServeMux, srv *serving.Server, s *Service) {
	for path, answer := range map[string]func(http.ResponseWriter, *http.Request, []byte) error{
		"/get-online-features":       s.lookup,
		"/write-to-online-store":     s.write,
		"/push":                      s.push,
		"/materialize":               s.materialize,
		"/materialize-incremental":   s.materialize,
		"/search":                    noSearch,
		"/retrieve-online-documents": noSearch,
	} {
		h := srv.HTTP(serving.HTTPCall{Route: "POST " + path, Answer: answer, Fail: fail})
		mux.Handle("POST "+path, h)
		mux.Handle("POST /projects/{project}"+path, h)
	}
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /projects/{project}/health", s.health)
}

// projectOf is what a request names, else the setting.
func (s *Service) projectOf(r *http.Request) string {
	if p := r.PathValue("project"); p != "" {
		return p
	}
	if p := r.Header.Get(ProjectHeader); p != "" {
		return p
	}
	if s.cfg.Project != "" {
		return s.cfg.Project
	}
	return registry.DefaultProject
}

func (s *Service) lookup(w http.ResponseWriter, r *http.Request, body []byte) error {
	var q lookupBody
	if err := read("lookup", body, &q); err != nil {
		return err
	}
	a, err := s.find(r.Context(), &wanted{project: s.projectOf(r), service: q.Service, features: q.Features, fullNames: q.FullNames, versions: q.Versions, columns: q.Entities}, fillJSON)
	if err != nil {
		return missing(w, http.StatusNotFound, s.classOf(r, &q), err)
	}
	defer a.Release() // where the next line panics
	out := a.appendAnswer(make([]byte, 0, 256+(len(a.order)+len(a.echo))*(64+a.Rows*56)))
	a.Release() // sending depends on the client
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out) // the client may have gone
	return nil
}

// classOf is the error of the SDK for a lookup of something that does not exist.
func (s *Service) classOf(r *http.Request, q *lookupBody) string {
	if q.Service != "" {
		return errNoService
	}
	cat, err := s.catalogs.Current(r.Context())
	if err != nil {
		return errNotFound
	}
	for _, ref := range q.Features {
		name, _, _ := strings.Cut(ref, ":")
		if _, err := cat.View(s.projectOf(r), name); err != nil {
			return errNoView
		}
	}
	return errNotFound
}

func (s *Service) health(w http.ResponseWriter, r *http.Request) {
	if why := s.ready(r.Context()); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
	}
}

func noSearch(w http.ResponseWriter, _ *http.Request, _ []byte) error {
	writeFault(w, http.StatusNotImplemented, fault{Class: errAny, Message: "Weir has no search by vectors: it looks features up by join keys"})
	return nil
}
