package serving

import (
	"context"
	"net/http"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// Inference is lookups as the Open Inference Protocol v2 has inference, over HTTP (here) and gRPC (infer_grpc.go): a service is
// the model, join keys are its inputs and features its outputs. So what speaks to model servers can ask for features, and an
// answer can be the request that a model server wants.
type Inference struct {
	lookups  *Lookups
	version  string
	ready    func(context.Context) string
	requests inferRequests
	answers  buffers
	replies  inferReplies
}

// NewInference makes the calls. version is told of the server; ready says why a lookup cannot be answered now, and is empty when it can.
func NewInference(l *Lookups, version string, ready func(context.Context) string) *Inference {
	return &Inference{lookups: l, version: version, ready: ready}
}

// binaryHeader says how long the JSON is, where raw tensors stand behind it.
const binaryHeader = "Inference-Header-Content-Length"

const (
	serverName = "weir"
	// rawTensors is the extension that raw tensors are.
	rawTensors = "binary_tensor_data"
	// platform is what a model of this server runs on.
	platform = "weir_feature_service"
)

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
	req.Project, req.Service, req.version, req.most = project(r), r.PathValue("service"), r.PathValue("version"), h.lookups.cfg.MaxRows
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
	b := appendText([]byte(`{"name":"`+serverName+`","version":`), h.version)
	writeJSON(w, http.StatusOK, append(b, `,"extensions":["`+rawTensors+`"]}`+"\n"...))
	return nil
}

// of is the plan of a service.
func (h *Inference) of(ctx context.Context, project, service, version string) (found, error) {
	p, err := h.lookups.find(ctx, &Question{Project: project, Service: service})
	if err != nil {
		return found{}, err
	}
	return p, versionIs(p.service, version)
}

func (h *Inference) modelReady(w http.ResponseWriter, r *http.Request, _ []byte) error {
	p, err := h.of(r.Context(), project(r), r.PathValue("service"), r.PathValue("version"))
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

// model tells what goes in and what comes out.
func (h *Inference) model(w http.ResponseWriter, r *http.Request, _ []byte) error {
	p, err := h.of(r.Context(), project(r), r.PathValue("service"), r.PathValue("version"))
	if err != nil {
		return err
	}
	b := appendText([]byte(`{"name":`), p.service.Meta.Name)
	b = strconv.AppendInt(append(b, `,"versions":["`...), int64(p.service.Version), 10)
	b = append(append(append(b, `"],"platform":"`...), platform...), `","inputs":`...)
	b = appendTold(b, inputsOf(p))
	b = appendTold(append(b, `,"outputs":`...), outputsOf(p.service))
	b = strconv.AppendInt(append(b, `,"parameters":{"catalog_revision":`...), p.revision, 10)
	writeJSON(w, http.StatusOK, append(b, '}', '}', '\n'))
	return nil
}

func appendTold(b []byte, tensors []inferTold) []byte {
	b = append(b, '[')
	for i, t := range tensors {
		b = appendText(append(comma(b, i), `{"name":`...), t.name)
		b = append(append(append(b, `,"datatype":"`...), t.kind.String()...), `","shape":[`...)
		for j, d := range t.shape {
			b = strconv.AppendInt(comma(b, j), d, 10)
		}
		b = append(b, `],"parameters":{`...)
		for j, p := range t.params {
			b = appendText(append(appendText(comma(b, j), p[0]), ':'), p[1])
		}
		b = append(b, '}', '}')
	}
	return append(b, ']')
}
