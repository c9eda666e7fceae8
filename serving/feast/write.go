package feast

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// writeBody is the body of /write-to-online-store; what else Feast has in it says
// nothing to Weir.
type writeBody struct {
	View  string  `json:"feature_view_name"`
	Frame ordered `json:"df"`
}

// pushBody is the body of /push.
type pushBody struct {
	Source string  `json:"push_source_name"`
	Frame  ordered `json:"df"`
	To     string  `json:"to"`
}

// write takes rows for a view.
func (s *Service) write(w http.ResponseWriter, r *http.Request, body []byte) error {
	var q writeBody
	if err := read("write", body, &q); err != nil {
		return err
	}
	cat, err := s.catalogs.Current(r.Context())
	if err != nil {
		return err
	}
	v, err := cat.View(s.projectOf(r), q.View)
	if err != nil {
		return missing(w, http.StatusNotFound, errNoView, err)
	}
	if !v.IsOnline() {
		return feature.Errorf(feature.Invalid, "write", "view "+v.ID(), "it is not served online").WithHint("set spec.online: true and apply it, or push with to: offline")
	}
	return s.take(w, r, v.SourceOf, viewsOf(cat, v.SourceOf, v), q.Frame, false)
}

// push takes rows for all views of a source.
func (s *Service) push(w http.ResponseWriter, r *http.Request, body []byte) error {
	q := pushBody{To: "online"}
	if err := read("push", body, &q); err != nil {
		return err
	}
	if !slices.Contains([]string{"online", "offline", "online_and_offline"}, q.To) {
		return feature.Errorf(feature.Invalid, "push", "to "+q.To, "there is no such place").WithHint("use online, offline or online_and_offline; rows always go to both")
	}
	cat, err := s.catalogs.Current(r.Context())
	if err != nil {
		return err
	}
	src, err := cat.Source(s.projectOf(r), q.Source)
	if err != nil {
		return missing(w, http.StatusUnprocessableEntity, errNoSource, err)
	}
	views := viewsOf(cat, src, nil)
	if len(views) == 0 {
		return feature.Errorf(feature.Invalid, "push", "source "+q.Source, "no view reads it")
	}
	if q.To != "online_and_offline" {
		w.Header().Set("X-Weir-Note", "rows go to the online store and to the table alike")
	}
	return s.take(w, r, src, views, q.Frame, q.To != "online")
}

// viewsOf are the views that a source feeds, one of them first.
func viewsOf(cat *registry.Catalog, src *feature.Source, first *feature.View) []*feature.View {
	var out []*feature.View
	if first != nil {
		out = append(out, first)
	}
	for _, v := range cat.Views() {
		if v != first && v.Meta.Project == src.Meta.Project && v.Source == src.Meta.Name {
			out = append(out, v)
		}
	}
	return out
}

// take makes events of a frame, writes them and answers when they can be read: 200 when
// all can, 422 when rows were held back, 202 when that is not known in time. The SDK takes
// anything but 200 for an error, and none of these makes it send the rows again.
func (s *Service) take(w http.ResponseWriter, r *http.Request, src *feature.Source, views []*feature.View, df ordered, inTable bool) error {
	if s.writer == nil {
		return feature.Errorf(feature.Unsupported, "write", "", "this process takes no writes")
	}
	f, err := readFrame(df)
	if err != nil {
		return feature.Errorf(feature.Invalid, "write", "df", "%w", err)
	}
	if f.rows > s.cfg.MaxWriteRows {
		return feature.Errorf(feature.Invalid, "write", "df", "%d rows in one call; at most %d are taken", f.rows, s.cfg.MaxWriteRows).
			WithHint("split the call, raise feast.max_write_rows, or bring a file in with weir import")
	}
	var out *Outcome
	if f.rows > 0 {
		shape, err := shapeOf(f, src, views, time.Now())
		if err != nil {
			return err
		}
		events := make([]Event, f.rows)
		for i := range events {
			if events[i], err = shape.event(i); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.WriteTimeout)
		defer cancel()
		if out, err = s.writer.Write(ctx, src, views, Rows{events, inTable, sumOf(df)}); err != nil {
			return err
		}
		if r.Context().Err() != nil {
			return r.Context().Err() // nobody listens
		}
	}
	switch {
	case out != nil && len(out.Held) > 0:
		refused(w, src, f.rows, out)
	case out != nil && out.Waiting != "":
		writeFault(w, http.StatusAccepted, fault{Class: errAny, Rows: f.rows, Message: late(f.rows, src, out)})
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("null"))
	}
	return nil
}

// sumOf is the same for frames of the same text.
func sumOf(df ordered) string {
	h := sha256.New()
	for _, c := range df {
		fmt.Fprintf(h, "%q %d ", c.name, len(c.raw))
		_, _ = h.Write(c.raw)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func late(rows int, src *feature.Source, out *Outcome) string {
	return fmt.Sprintf("%d rows are in topic %s and will be checked, but cannot be read yet: %s", rows, src.Topic, out.Waiting)
}

// refused says which rows were held back, and why.
func refused(w http.ResponseWriter, src *feature.Source, rows int, out *Outcome) {
	f := fault{Class: errAny, Rows: rows}
	bad := map[int]bool{}
	var says []string
	for _, h := range out.Held {
		bad[h.Event] = true
		f.Held = append(f.Held, held{h.Event, h.View, src.Topic, h.Partition, h.Offset, h.Reasons})
		if len(says) < 5 {
			says = append(says, fmt.Sprintf("row %d, view %s: %s", h.Event, h.View, reasons(h.Reasons)))
		}
	}
	f.Message = fmt.Sprintf("%d of %d rows were held back (%s", len(bad), rows, strings.Join(says, "; "))
	if n := len(out.Held) - len(says); n > 0 {
		f.Message += fmt.Sprintf("; and %d more", n)
	}
	f.Message += fmt.Sprintf("); weir quarantine list --project %s --view %s", src.Meta.Project, out.Held[0].View)
	if out.Waiting == "" {
		stored := rows - len(bad)
		f.Stored = &stored
	} else {
		f.Message += ". " + late(rows-len(bad), src, out)
	}
	writeFault(w, http.StatusUnprocessableEntity, f)
}

func reasons(all []feature.Reason) string {
	var out []string
	for _, r := range all {
		text := r.Rule
		if r.Path != "" {
			text += "(" + r.Path + ")"
		}
		if r.Expected != "" {
			text += ", expected " + r.Expected
		}
		if r.Value != "" {
			text += ", got " + r.Value
		}
		out = append(out, text)
	}
	return strings.Join(out, " and ")
}
