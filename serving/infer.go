package serving

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Inference is lookups as the Open Inference Protocol v2 has inference: a service is the model, join keys are its inputs
// and features its outputs. So what speaks to model servers can ask for features, and an answer can be the request that a
// model server wants.
type Inference struct {
	lookups  *Lookups
	version  string
	ready    func(context.Context) string
	requests inferRequests
	answers  buffers
}

// NewInference makes the calls. version is told of the server; ready says why a lookup cannot be answered now, and is empty when it can.
func NewInference(l *Lookups, version string, ready func(context.Context) string) *Inference {
	return &Inference{lookups: l, version: version, ready: ready}
}

// binaryHeader says how long the JSON is, where raw tensors stand behind it.
const binaryHeader = "Inference-Header-Content-Length"

// platform is what a model of this server runs on.
const platform = "weir_feature_service"

// HTTPRoutes are the paths of the protocol. The project is the query's, ?project=NAME, where it is not the default one.
func (h *Inference) HTTPRoutes(s *Server) map[string]http.Handler {
	routes := map[string]http.Handler{
		// Alive is who can say so, also while starting and stopping.
		"GET /v2/health/live": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, []byte(`{"live":true}`+"\n"))
		}),
		"GET /v2/health/ready": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.writeReady(w, r, "") }),
		"GET /v2":              h.call(s, "GET /v2", h.server),
	}
	for _, version := range []string{"", "/versions/{version}"} {
		path := "/v2/models/{service}" + version
		routes["GET "+path] = h.call(s, "GET /v2/models/{service}", h.model)
		routes["GET "+path+"/ready"] = h.call(s, "GET /v2/models/{service}/ready", h.modelReady)
		routes["POST "+path+"/infer"] = h.call(s, "POST /v2/models/{service}/infer", h.infer)
	}
	return routes
}

// call is a call whose errors are as the protocol has them: {"error": "what, and what to do"}.
func (h *Inference) call(s *Server, route string, answer func(http.ResponseWriter, *http.Request, []byte) error) http.Handler {
	return s.HTTP(HTTPCall{Route: route, Answer: answer, Fail: func(w http.ResponseWriter, status int, f Fault) {
		text := f.Message
		if f.Hint != "" {
			text += "; " + f.Hint
		}
		writeJSON(w, status, append(appendText([]byte(`{"error":`), text), '}', '\n'))
	}})
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // who has hung up gets no error either
}

func project(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return r.URL.Query().Get("project")
}

func (h *Inference) infer(w http.ResponseWriter, r *http.Request, body []byte) error {
	head := -1
	if text := r.Header.Get(binaryHeader); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > len(body) {
			return feature.Errorf(feature.Invalid, "lookup", "header "+binaryHeader, "%q is not how many of the body's %d bytes are JSON", short([]byte(text)), len(body))
		}
		head = n
	}
	req := h.requests.get()
	defer h.requests.put(req)
	if err := req.read(body, head); err != nil {
		return err
	}
	req.Project, req.Service, req.version = project(r), r.PathValue("service"), r.PathValue("version")
	a, err := h.lookups.Ask(r.Context(), &req.Question)
	if err != nil {
		return err
	}
	defer a.Release()
	jsonSize, rawSize := req.sizes(a)
	text, raw := h.answers.Get(jsonSize), h.answers.Get(rawSize)
	defer h.answers.Put(text)
	defer h.answers.Put(raw)
	out := inferAnswer{json: (*text)[:0], raw: (*raw)[:0], most: h.lookups.cfg.MaxMessage / 8}
	err = out.write(req, a)
	*text, *raw = out.json, out.raw
	if err != nil {
		a.Discard(err)
		return err
	}
	a.Release() // the time of the lookup ends here; writing depends on the client
	if len(out.raw) == 0 {
		writeJSON(w, http.StatusOK, out.json)
		return nil
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(binaryHeader, strconv.Itoa(len(out.json)))
	w.Header().Set("Content-Length", strconv.Itoa(len(out.json)+len(out.raw)))
	_, _ = w.Write(out.json)
	_, _ = w.Write(out.raw)
	return nil
}

func (h *Inference) server(w http.ResponseWriter, _ *http.Request, _ []byte) error {
	b := appendText([]byte(`{"name":"weir","version":`), h.version)
	writeJSON(w, http.StatusOK, append(b, `,"extensions":["binary_tensor_data"]}`+"\n"...))
	return nil
}

// of is the plan of the path's service.
func (h *Inference) of(r *http.Request) (found, error) {
	p, err := h.lookups.find(r.Context(), &Question{Project: project(r), Service: r.PathValue("service")})
	if err != nil {
		return found{}, err
	}
	return p, versionIs(p.service, r.PathValue("version"))
}

func (h *Inference) modelReady(w http.ResponseWriter, r *http.Request, _ []byte) error {
	p, err := h.of(r)
	if err != nil {
		return err
	}
	h.writeReady(w, r, p.service.Meta.Name)
	return nil
}

// writeReady says whether a lookup can be answered now, of the server or of a model.
func (h *Inference) writeReady(w http.ResponseWriter, r *http.Request, model string) {
	b, status, why := []byte{'{'}, http.StatusOK, h.ready(r.Context())
	if model != "" {
		b = append(appendText(append(b, `"name":`...), model), ',')
	}
	b = strconv.AppendBool(append(b, `"ready":`...), why == "")
	if why != "" {
		status = http.StatusServiceUnavailable
		b = appendText(append(b, `,"error":`...), why)
	}
	writeJSON(w, status, append(b, '}', '\n'))
}

// model tells what goes in and what comes out: the one tensor of all features first, where it can hold them.
func (h *Inference) model(w http.ResponseWriter, r *http.Request, _ []byte) error {
	p, err := h.of(r)
	if err != nil {
		return err
	}
	s := p.service
	b := appendText([]byte(`{"name":`), s.Meta.Name)
	b = strconv.AppendInt(append(b, `,"versions":["`...), int64(s.Version), 10)
	b = append(append(append(b, `"],"platform":"`...), platform...), `","inputs":[`...)
	for i, k := range p.Keys() {
		b = appendTensorMeta(comma(b, i), k.Name, datatypeFor(k.Type), -1)
		b = append(appendText(append(b, `,"parameters":{"type":`...), k.Type.String()), '}', '}')
	}
	b = append(b, `],"outputs":[`...)
	names, holds, taken := make([]string, len(s.Columns)), true, false
	for i, c := range s.Columns {
		names[i] = c.Name
		holds = holds && numeric(typeOf(s, c))
		taken = taken || c.Name == matrixName
	}
	if holds = holds && !taken; holds {
		b = appendTensorMeta(b, matrixName, fp64, len(names))
		b = append(appendText(append(b, `,"parameters":{"columns":`...), strings.Join(names, ",")), '}', '}')
	}
	for i, c := range s.Columns {
		if holds || i > 0 {
			b = append(b, ',')
		}
		t := typeOf(s, c)
		width := -1
		if t.IsArray() {
			width = -2
		}
		b = appendTensorMeta(b, c.Name, datatypeFor(t), width)
		b = appendText(append(b, `,"parameters":{"type":`...), t.String())
		if t == feature.Timestamp || t == feature.Array(feature.Timestamp) {
			b = append(b, `,"unit":"microseconds since 1970-01-01 UTC"`...)
		}
		b = append(appendText(append(b, `,"view":`...), s.Views[c.View].Meta.Name), '}', '}')
	}
	b = strconv.AppendInt(append(b, `],"parameters":{"catalog_revision":`...), p.revision, 10)
	writeJSON(w, http.StatusOK, append(b, '}', '}', '\n'))
	return nil
}

// appendTensorMeta writes what a tensor is, up to its parameters: of any number of rows, and of width elements each; -1: of one, -2: of any number.
func appendTensorMeta(b []byte, name string, kind datatype, width int) []byte {
	b = appendText(append(b, `{"name":`...), name)
	b = append(append(append(b, `,"datatype":"`...), kind.String()...), `","shape":[-1`...)
	switch {
	case width == -2:
		b = append(b, `,-1`...)
	case width >= 0:
		b = strconv.AppendInt(append(b, ','), int64(width), 10)
	}
	return append(b, ']')
}
