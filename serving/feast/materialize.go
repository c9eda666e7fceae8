package feast

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// materializeBody is the body of /materialize and /materialize-incremental. The range of
// time says nothing to Weir.
type materializeBody struct {
	Views []string `json:"feature_views"`
}

// materialized is the answer.
type materialized struct {
	Status string   `json:"status"` // done, or accepted
	Views  []string `json:"feature_views"`
	Note   string   `json:"note"`
}

const nothingToDo = "Weir's online store follows the stream: nothing was copied; what the topics had at the call can be read"

// materialize does what a job wants that comes back from it: after it, what had been
// published before can be read. The store keeps itself up to date, so that means waiting
// for it, and not copying. With async=true not even that.
func (s *Service) materialize(w http.ResponseWriter, r *http.Request, body []byte) error {
	var q materializeBody
	if err := read("materialize", body, &q); err != nil {
		return err
	}
	cat, err := s.catalogs.Current(r.Context())
	if err != nil {
		return err
	}
	var views []*feature.View
	for _, name := range q.Views {
		v, err := cat.View(s.projectOf(r), name)
		if err != nil {
			return missing(w, http.StatusNotFound, errNoView, err)
		}
		if !v.IsOnline() {
			return feature.Errorf(feature.Invalid, "materialize", "view "+v.ID(), "it is not served online").WithHint("set spec.online: true and apply it")
		}
		if !slices.Contains(views, v) {
			views = append(views, v)
		}
	}
	if q.Views == nil {
		for _, v := range cat.Views() {
			if v.Meta.Project == s.projectOf(r) && v.IsOnline() {
				views = append(views, v)
			}
		}
	}
	out := materialized{Status: "done", Views: []string{}, Note: nothingToDo}
	for _, v := range views {
		out.Views = append(out.Views, v.Meta.Name)
	}
	code := http.StatusOK
	if a := r.URL.Query().Get("async"); a == "true" || a == "1" {
		code, out.Status, out.Note = http.StatusAccepted, "accepted", "Weir's online store follows the stream: nothing has to be copied"
	} else if s.writer == nil {
		return feature.Errorf(feature.Unsupported, "materialize", "", "this process does not know how far ingestion is")
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.WriteTimeout)
		defer cancel()
		if err := s.writer.CaughtUp(ctx, views); err != nil {
			return err
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(b)
	return nil
}
