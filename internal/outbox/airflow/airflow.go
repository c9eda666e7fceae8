package airflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

const op = "airflow"

// DefaultDAG is the DAG of the name that the event gives its pipeline.
const DefaultDAG = "{{.Pipeline}}"

// Options are Airflow's address, who asks, and which DAG.
type Options struct {
	URL string
	// User and Password get a token at /auth/token; Token is one that is there already.
	User     string
	Password secret.Ref
	Token    secret.Ref
	DAG      string // a template of the event; DefaultDAG when empty
	Timeout  time.Duration
	Log      *slog.Logger
}

// Deliverer implements outbox.Deliverer.
type Deliverer struct {
	opt  Options
	dag  *pipeline.Text
	http *http.Client

	mu    sync.Mutex
	token string // that Airflow gave; until it no longer takes it
}

var _ outbox.Deliverer = (*Deliverer)(nil)

// New makes a deliverer. All faults are reported, each with the name of its setting before a colon.
func New(o Options) (*Deliverer, error) {
	if o.DAG == "" {
		o.DAG = DefaultDAG
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if err := posting.CheckBase(o.URL); err != nil {
		errs = append(errs, fmt.Errorf("url: %w (got %q)", err, posting.Shown(o.URL)))
	}
	if (o.User == "") != (o.Password == "") {
		errs = append(errs, errors.New("user: set it together with password"))
	}
	if (o.User == "") == (o.Token == "") {
		errs = append(errs, errors.New("user: set it, with password, or token"))
	}
	o.URL = strings.TrimRight(o.URL, "/")
	dag, err := pipeline.ParseText("with.dag", o.DAG)
	return &Deliverer{opt: o, dag: dag, http: posting.HTTP(o.Timeout)}, errors.Join(append(errs, err)...)
}

// Show is the run that an event asks for: its DAG, and the request's body.
func (d *Deliverer) Show(payload []byte) (posting.Request, error) {
	dag, body, _, err := d.run(payload)
	return posting.Request{Method: http.MethodPost, URL: d.opt.URL + runs(dag), Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, err
}

func runs(dag string) string { return "/api/v2/dags/" + url.PathEscape(dag) + "/dagRuns" }

// run is the DAG, the request for a run of it, and the run's name.
func (d *Deliverer) run(payload []byte) (dag string, body []byte, id string, err error) {
	e, err := pipeline.ReadEvent(payload)
	if err != nil {
		return "", nil, "", err
	}
	if dag, err = d.dag.Fill(e); err == nil && dag == "" {
		err = errors.New("with.dag: no DAG comes of it: the monitor's retrain has no pipeline")
	} else if dag == "." || dag == ".." {
		err = fmt.Errorf("with.dag: %q is no DAG", dag)
	}
	if err != nil {
		return "", nil, "", feature.Errorf(feature.Invalid, op, "event "+e.ID, "%w", err)
	}
	id = "weir__" + e.ID
	body, err = json.Marshal(map[string]any{"dag_run_id": id, "logical_date": nil, "conf": json.RawMessage(payload)})
	if err != nil {
		err = feature.Errorf(feature.Invalid, op, "event "+e.ID, "%w", err)
	}
	return dag, body, id, err
}

// Deliver asks for the run.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	dag, body, id, err := d.run(e.Payload)
	if err != nil {
		return err
	}
	a, err := d.ask(ctx, http.MethodPost, runs(dag), body)
	if err != nil {
		return err
	}
	switch a.Status {
	case http.StatusOK, http.StatusCreated:
		d.tellPaused(ctx, dag, id)
		return nil
	case http.StatusConflict:
		// Airflow says so of whatever its database refuses: only the run itself is a receipt.
		there, err := d.ask(ctx, http.MethodGet, runs(dag)+"/"+url.PathEscape(id), nil)
		if err != nil {
			return err
		}
		if there.Status == http.StatusOK {
			return nil
		}
		return feature.Errorf(feature.Unavailable, op, "DAG "+dag, "answered 409, and there is no run %s", id)
	case http.StatusNotFound:
		return feature.Errorf(feature.Unavailable, op, "DAG "+dag, "%s has no such DAG: %s", posting.Shown(d.opt.URL), a.Said(a.Body)).
			WithHint("deploy it, or set with.dag")
	case http.StatusBadRequest:
		// The DAG does not import, allows no manual runs or wants parameters: its authors mend it.
		return feature.Errorf(feature.Unavailable, op, "DAG "+dag, "answered 400: %s", a.Said(a.Body)).WithHint("mend the DAG: the run is asked for again")
	case http.StatusUnauthorized, http.StatusForbidden:
		return posting.Refused(op, d.opt.URL+runs(dag), a).WithHint("the user must be allowed to create runs of DAG %s; see user and password", dag)
	}
	return posting.Refused(op, d.opt.URL+runs(dag), a)
}

// ask sends a request. A token that was got before and is no longer taken is renewed, once.
func (d *Deliverer) ask(ctx context.Context, method, path string, body []byte) (posting.Answer, error) {
	for {
		r := posting.Request{Method: method, URL: d.opt.URL + path, Header: http.Header{}, Body: body}
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		token, old, err := d.login(ctx)
		if err != nil {
			return posting.Answer{}, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		a, err := posting.Send(ctx, d.http, op, r)
		// One that has expired is told by 401, one of before Airflow's keys changed by 403.
		if err != nil || !old || a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
			return a, err
		}
		d.forget(token)
	}
}

func (d *Deliverer) forget(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token == token {
		d.token = ""
	}
}

// login gives a token; old is one that was used before.
func (d *Deliverer) login(ctx context.Context) (token string, old bool, err error) {
	if d.opt.User == "" {
		text, err := d.opt.Token.Read()
		return string(text), false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token != "" {
		return d.token, true, nil
	}
	password, err := d.opt.Password.Read()
	if err != nil {
		return "", false, err
	}
	body, err := json.Marshal(map[string]string{"username": d.opt.User, "password": string(password)})
	if err != nil {
		return "", false, feature.Errorf(feature.Invalid, op, "user "+d.opt.User, "%w", err)
	}
	at := d.opt.URL + "/auth/token"
	a, err := posting.Send(ctx, d.http, op, posting.Request{Method: http.MethodPost, URL: at, Header: http.Header{"Content-Type": {"application/json"}}, Body: body})
	if err != nil {
		return "", false, err
	}
	var got struct {
		Token string `json:"access_token"`
	}
	if a.Status/100 != 2 || json.Unmarshal(a.Body, &got) != nil || got.Token == "" {
		// The answer is not shown: it may repeat what was sent. Whoever mends the password wants the event all the same.
		return "", false, feature.Errorf(feature.Unavailable, op, "user "+d.opt.User, "no token from %s: answered %d", posting.Shown(at), a.Status).
			WithHint("see user and password of this pipeline, and that url is Airflow 3's API server")
	}
	d.token = got.Token
	return d.token, false, nil
}

// tellPaused says in the log that a run will not start by itself. That it cannot be found out is no failure.
func (d *Deliverer) tellPaused(ctx context.Context, dag, id string) {
	a, err := d.ask(ctx, http.MethodGet, "/api/v2/dags/"+url.PathEscape(dag), nil)
	var is struct {
		Paused bool `json:"is_paused"`
	}
	if err == nil && a.Status == http.StatusOK && json.Unmarshal(a.Body, &is) == nil && is.Paused {
		d.opt.Log.Warn("Airflow has taken the run, and the DAG is paused: it waits until somebody unpauses it", "dag", dag, "run", id)
	}
}
