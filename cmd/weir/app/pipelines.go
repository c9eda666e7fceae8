package app

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/airflow"
	"github.com/weir-ml/weir/internal/outbox/modeltags"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

// PipelineConfig is one place where retraining is started.
type PipelineConfig struct {
	// Name tells several apart; the type when empty. What waits to be delivered is kept under it.
	Name string `koanf:"name"`
	Type string `koanf:"type"` // airflow, or one of pipeline.Types
	URL  string `koanf:"url"`
	// Takes are the pipelines of monitors' retrain that are started here: the name alone when empty, * for all.
	Takes    []string `koanf:"takes"`
	Projects []string `koanf:"projects"` // all where there are none
	// With has the type's own settings: texts, which may be templates of the event.
	With map[string]string `koanf:"with"`
	// Credentials say where they are: env:NAME or file:PATH.
	User     string     `koanf:"user"`
	Password secret.Ref `koanf:"password"`
	Token    secret.Ref `koanf:"token"`
	Secret   secret.Ref `koanf:"secret"` // signs what is sent, as webhooks are
	// TokenHeader is the header that a token of type http is sent in; Authorization, as a bearer token, when empty.
	TokenHeader string           `koanf:"token_header"`
	Timeout     time.Duration    `koanf:"timeout"` // of one request; 10s when 0
	Request     pipeline.Request `koanf:"request"` // of type http
}

// PipelineList is the setting pipelines. It can be set in the file alone.
type PipelineList []PipelineConfig

const (
	toAirflow = "airflow"
	// MLflowDestination is the name under which tags of model versions wait to be set.
	MLflowDestination = "mlflow"
)

// String shows the list for weir config: without what own requests hold.
func (l PipelineList) String() string {
	var out []string
	for i := range l {
		c := &l[i]
		s := c.Label() + ": " + c.Type
		if c.URL != "" {
			s += " " + posting.Shown(c.URL)
		}
		for _, k := range sortedKeys(c.With) {
			s += " " + k + "=" + c.With[k]
		}
		for _, x := range []struct{ what, is string }{{"user", c.User}, {"password", ref(c.Password).String()}, {"token", ref(c.Token).String()}, {"secret", ref(c.Secret).String()}} {
			if x.is != "" {
				s += " " + x.what + "=" + x.is
			}
		}
		if c.Timeout > 0 {
			s += " timeout=" + c.Timeout.String()
		}
		s += " takes=" + strings.Join(c.Taken(), ",")
		if len(c.Projects) > 0 {
			s += " projects=" + strings.Join(c.Projects, ",")
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

// Label is the pipeline's name, which is its type where it has none of its own.
func (c *PipelineConfig) Label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Type
}

// Taken are the names by which monitors ask for it.
func (c *PipelineConfig) Taken() []string {
	if len(c.Takes) > 0 {
		return c.Takes
	}
	return []string{c.Label()}
}

func (c *PipelineConfig) wants(s outbox.Subject) bool {
	return s.Firing && s.Retrain != nil && (len(c.Projects) == 0 || slices.Contains(c.Projects, s.Project)) &&
		slices.ContainsFunc(c.Taken(), func(name string) bool { return name == "*" || name != "" && name == s.Retrain.Pipeline })
}

// Sender delivers to a pipeline, and shows what it would send.
type Sender interface {
	outbox.Deliverer
	Show(payload []byte) (posting.Request, error)
}

// Sender makes the pipeline's deliverer; the errors are all that is wrong with its settings, each with its name.
func (c *PipelineConfig) Sender(log *slog.Logger) (Sender, error) {
	if c.Type == toAirflow {
		var errs []error
		for _, k := range sortedKeys(c.With) {
			if k != "dag" {
				errs = append(errs, fmt.Errorf("with.%s: is not a setting of this type: there is dag", k))
			}
		}
		if c.Secret != "" {
			errs = append(errs, errors.New("secret: requests of this type are not signed"))
		}
		d, err := airflow.New(airflow.Options{URL: c.URL, User: c.User, Password: c.Password, Token: c.Token, DAG: c.With["dag"], Timeout: c.Timeout, Log: log})
		return d, errors.Join(append(errs, err)...)
	}
	t, err := pipeline.Of(c.Type, c.Request)
	if err != nil {
		return nil, err
	}
	if c.TokenHeader != "" && c.Type == pipeline.HTTP {
		t.Token = "header " + c.TokenHeader
	}
	return pipeline.New(pipeline.Options{Template: t, URL: c.URL, With: c.With, User: c.User, Password: c.Password, Token: c.Token, Secret: c.Secret, Timeout: c.Timeout})
}

// Validate reports every fault of the list; taken are names of other destinations.
func (l PipelineList) Validate(taken []string) error {
	var errs []error
	seen := map[string]bool{MLflowDestination: true, openlineage.Destination: true}
	for _, n := range taken {
		seen[n] = true
	}
	for i := range l {
		c := &l[i]
		fault := func(field, msg string, args ...any) {
			errs = append(errs, fmt.Errorf("pipelines[%d].%s: %s", i, field, fmt.Sprintf(msg, args...)))
		}
		if types := append([]string{toAirflow}, pipeline.Types()...); !slices.Contains(types, c.Type) {
			slices.Sort(types)
			fault("type", "must be one of %s (got %q)", strings.Join(types, ", "), c.Type)
			continue
		}
		if seen[c.Label()] {
			fault("name", "%q is another destination's: each needs a name of its own, also beside alerts; kafka, mlflow and openlineage are taken", c.Label())
		}
		seen[c.Label()] = true
		for _, f := range feature.CheckName("name", c.Label()) {
			fault("name", "%s", f.Msg)
		}
		for _, x := range []struct {
			field string
			is    secret.Ref
		}{{"password", c.Password}, {"token", c.Token}, {"secret", c.Secret}} {
			if err := x.is.Check(); err != nil {
				fault(x.field, "%v", err)
			}
		}
		if c.Type != pipeline.HTTP && !c.Request.IsZero() {
			fault("request", "is for type http; the request of type %s is built in", c.Type)
		}
		if c.Type != pipeline.HTTP && c.TokenHeader != "" {
			fault("token_header", "is for type http")
		}
		if c.Timeout < 0 {
			fault("timeout", "must not be negative")
		}
		if slices.Contains(c.Takes, "") {
			fault("takes", "a name in it is empty")
		}
		_, err := c.Sender(nil)
		for _, e := range apart(err) {
			errs = append(errs, fmt.Errorf("pipelines[%d].%w", i, e))
		}
	}
	return errors.Join(errs...)
}

// checkTimeouts reports destinations that are given longer for a request than their delivery has.
func (c *Config) checkTimeouts() error {
	var errs []error
	check := func(what string, i int, is time.Duration) {
		if most := c.Drift.Outbox.Timeout; is > most {
			errs = append(errs, fmt.Errorf("%s[%d].timeout: must be at most drift.outbox.timeout, %s (got %s)", what, i, most, is))
		}
	}
	for i := range c.Alerts {
		check("alerts", i, c.Alerts[i].Timeout)
	}
	for i := range c.Pipelines {
		check("pipelines", i, c.Pipelines[i].Timeout)
	}
	return errors.Join(errs...)
}

// apart are the errors that were joined into one.
func apart(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, apart(e)...)
		}
		return out
	}
	return []error{err}
}

// alertNames are the names that pipelines cannot have.
func (c *Config) alertNames() []string {
	out := []string{api.EventDestination}
	for i := range c.Alerts {
		out = append(out, c.Alerts[i].name())
	}
	return out
}

// pipelineNames are the destinations of retraining events.
func (c *Config) pipelineNames() (out []string) {
	for i := range c.Pipelines {
		out = append(out, c.Pipelines[i].Label())
	}
	if c.MLflow.URL != "" {
		out = append(out, MLflowDestination)
	}
	return out
}

// retrains chooses, of an event that asks for a retraining, the pipelines that take it, and MLflow where it names a model.
func (c *Config) retrains(s outbox.Subject) (out []string) {
	if !s.Firing || s.Retrain == nil {
		return nil
	}
	for i := range c.Pipelines {
		if c.Pipelines[i].wants(s) {
			out = append(out, c.Pipelines[i].Label())
		}
	}
	if c.MLflow.URL != "" && s.Retrain.Model != "" {
		out = append(out, MLflowDestination)
	}
	return out
}

// advise notes of a monitor that nothing in the settings starts what it asks for. With no pipelines at all whoever
// retrains listens to the project's topic or to a webhook.
func (c *Config) advise(d feature.Definition) []string {
	m, ok := d.(*feature.Monitor)
	if !ok || m.Retrain.Pipeline == "" || len(c.Pipelines) == 0 {
		return nil
	}
	s := outbox.Subject{Project: m.Meta.Project, Firing: true, Retrain: &m.Retrain}
	if slices.ContainsFunc(c.Pipelines, func(p PipelineConfig) bool { return p.wants(s) }) {
		return nil
	}
	return []string{fmt.Sprintf("no pipeline of the settings takes retrain.pipeline %s: a drift starts nothing (weir pipelines lists what they take)", m.Retrain.Pipeline)}
}

// addPipelines adds what takes retraining events to where they are trained.
func (a *App) addPipelines(to map[string]outbox.Deliverer) {
	for i := range a.cfg.Pipelines {
		c := &a.cfg.Pipelines[i]
		for _, r := range []secret.Ref{c.Password, c.Token, c.Secret} {
			if _, err := r.Read(); err != nil {
				a.log.Warn("no retraining can be started there until its secret can be read", "destination", c.Label(), "error", err)
			}
		}
		d, err := c.Sender(a.log)
		if err != nil { // the settings were validated
			a.log.Error("pipeline left out", "destination", c.Label(), "error", err)
			continue
		}
		to[c.Label()] = d
	}
	if a.cfg.MLflow.URL != "" {
		to[MLflowDestination] = modeltags.New(mlflow.New(a.cfg.MLflow.Config))
	}
}

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
