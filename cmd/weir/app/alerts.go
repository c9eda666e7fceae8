package app

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

// AlertConfig is one more place that events are told to, beside each project's topic.
type AlertConfig struct {
	// Name tells several apart; the type when empty. What waits to be delivered is kept under it.
	Name string `koanf:"name"`
	Type string `koanf:"type"` // log, webhook, alertmanager
	URL  string `koanf:"url"`
	// Secret signs what a webhook sends; Token is sent as a bearer token. Both say where it is: env:NAME or file:PATH.
	Secret  secret.Ref    `koanf:"secret"`
	Token   secret.Ref    `koanf:"token"`
	Timeout time.Duration `koanf:"timeout"` // of one request; 10s when 0
	Resend  time.Duration `koanf:"resend"`  // how often Alertmanager is told again of what fires; 1m when 0
	// Severities and Projects choose; all where there are none.
	Severities []string `koanf:"severities"`
	Projects   []string `koanf:"projects"`
	// Mode and Format are how a webhook gets events; structured and weir when empty. See EventsConfig.
	Mode   string `koanf:"mode"`
	Format string `koanf:"format"`
}

// AlertList is the setting alerts. It can be set in the file alone.
type AlertList []AlertConfig

// The types of AlertConfig.
const (
	toLog          = "log"
	toWebhook      = "webhook"
	toAlertmanager = "alertmanager"
)

// String shows the list for weir config, addresses without passwords. Secrets are references: they may be seen.
func (l AlertList) String() string {
	var out []string
	for _, c := range l {
		s := c.name() + ": " + c.Type
		if c.URL != "" {
			s += " " + posting.Shown(c.URL)
		}
		for _, x := range []struct {
			what string
			is   fmt.Stringer
		}{{"secret", ref(c.Secret)}, {"token", ref(c.Token)}, {"timeout", c.Timeout}, {"resend", c.Resend}} {
			if v := x.is.String(); v != "" && v != "0s" {
				s += " " + x.what + "=" + v
			}
		}
		if c.Mode != "" {
			s += " mode=" + c.Mode
		}
		if c.Format != "" {
			s += " format=" + c.Format
		}
		if len(c.Severities) > 0 {
			s += " severities=" + strings.Join(c.Severities, ",")
		}
		if len(c.Projects) > 0 {
			s += " projects=" + strings.Join(c.Projects, ",")
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

// ref shows a reference that is one, and nothing of what may be the secret itself.
type ref secret.Ref

func (r ref) String() string {
	if secret.Ref(r).Check() != nil {
		return "(redacted)"
	}
	return string(r)
}

func (c *AlertConfig) name() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Type
}

// Validate reports every fault of the list.
func (l AlertList) Validate() error {
	var errs []error
	seen := map[string]bool{api.EventDestination: true, MLflowDestination: true, openlineage.Destination: true}
	for i := range l {
		c := &l[i]
		fault := func(field, msg string, args ...any) {
			errs = append(errs, fmt.Errorf("alerts[%d].%s: %s", i, field, fmt.Sprintf(msg, args...)))
		}
		if !slices.Contains([]string{toLog, toWebhook, toAlertmanager}, c.Type) {
			fault("type", "must be log, webhook or alertmanager (got %q)", c.Type)
			continue
		}
		if seen[c.name()] {
			fault("name", "%q is there twice: each needs a name of its own; kafka, mlflow and openlineage are taken", c.name())
		}
		seen[c.name()] = true
		for _, f := range feature.CheckName("name", c.name()) {
			fault("name", "%s", f.Msg)
		}
		check := posting.CheckURL
		if c.Type == toAlertmanager {
			check = posting.CheckBase
		}
		if err := check(c.URL); c.Type != toLog && err != nil {
			fault("url", "%v (got %q)", err, posting.Shown(c.URL))
		} else if c.Type == toLog && c.URL != "" {
			fault("url", "the log has none")
		}
		if err := c.Secret.Check(); err != nil {
			fault("secret", "%v", err)
		}
		if err := c.Token.Check(); err != nil {
			fault("token", "%v", err)
		}
		if c.Secret != "" && c.Type != toWebhook {
			fault("secret", "only webhooks are signed; for a bearer token set token")
		}
		if c.Type != toWebhook && (c.Mode != "" || c.Format != "") {
			fault("mode", "mode and format are for webhooks")
		}
		at := fmt.Sprintf("alerts[%d].", i)
		errs = append(errs, checkMode(at+"mode", c.Mode), checkFormatOf(at+"format", c.Format))
		if c.Timeout < 0 || c.Resend < 0 {
			fault("timeout", "timeout and resend must not be negative")
		}
		if c.Resend > 0 && (c.Resend < time.Second || c.Type != toAlertmanager) {
			fault("resend", "is for alertmanager, and at least 1s (got %s)", c.Resend)
		}
		for _, s := range c.Severities {
			if !slices.Contains([]feature.Severity{feature.Critical, feature.Warning}, feature.Severity(s)) {
				fault("severities", "%q: use critical and warning; info never alerts", s)
			}
		}
	}
	return errors.Join(errs...)
}

// unknownIn reports fields of a list of structs in the file that the struct, or a struct in it, does not have.
func unknownIn(path, key string, t reflect.Type, value any) (errs []error) {
	known, inner := map[string]bool{}, map[string]reflect.Type{}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("koanf")
		known[name] = true
		if f := t.Field(i).Type; f.Kind() == reflect.Struct {
			inner[name] = f
		}
	}
	items, ok := value.([]any)
	if !ok {
		return []error{fmt.Errorf("%s: %s: must be a list", path, key)}
	}
	for i, x := range items {
		m, ok := x.(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s[%d]: must be a map", path, key, i))
			continue
		}
		for k, v := range m {
			at := fmt.Sprintf("%s[%d].%s", key, i, k)
			if !known[k] {
				errs = append(errs, unknown(path, at, known))
			} else if within, ok := v.(map[string]any); ok && inner[k] != nil {
				fields := map[string]bool{}
				for j := range inner[k].NumField() {
					fields[inner[k].Field(j).Tag.Get("koanf")] = true
				}
				for f := range within {
					if !fields[f] {
						errs = append(errs, unknown(path, at+"."+f, fields))
					}
				}
			}
		}
	}
	return errs
}
