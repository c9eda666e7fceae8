package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/outbox/webhook"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

const op = "pipeline"

// Options are one destination's address, template and credentials.
type Options struct {
	Template *Template
	URL      string            // the template's own where it is empty
	With     map[string]string // settings of the template; texts are templates themselves
	User     string
	Password secret.Ref
	Token    secret.Ref
	Secret   secret.Ref
	Timeout  time.Duration
	Now      func() time.Time // the wall clock when nil
}

// Deliverer implements outbox.Deliverer.
type Deliverer struct {
	opt  Options
	c    *compiled
	http *http.Client
}

var _ outbox.Deliverer = (*Deliverer)(nil)

// New makes a deliverer. The template is tried with an event, so that what it cannot
// have is found now. All faults are reported, each with the name of its setting before a colon.
func New(o Options) (*Deliverer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.URL == "" {
		o.URL = o.Template.URL
	}
	var errs []error
	check := posting.CheckURL
	if r := &o.Template.Request; r.Path != "" || len(r.Query) > 0 {
		check = posting.CheckBase
	}
	if err := check(o.URL); err != nil {
		errs = append(errs, fmt.Errorf("url: %w (got %q)", err, posting.Shown(o.URL)))
	}
	with := map[string]string{}
	for _, s := range o.Template.Settings {
		with[s.Name] = s.Default
		if s.Required && o.With[s.Name] == "" {
			errs = append(errs, fmt.Errorf("with.%s: must be set: %s", s.Name, s.About))
		}
	}
	for name, v := range o.With {
		known := slices.ContainsFunc(o.Template.Settings, func(s Setting) bool { return s.Name == name })
		if !known && !o.Template.Free {
			errs = append(errs, fmt.Errorf("with.%s: is not a setting of this type: %s", name, o.Template.known()))
		}
		with[name] = v
	}
	has := map[string]bool{"token": o.Token != "", "user": o.User != ""}
	if needs := o.Template.Needs; len(needs) > 0 && !slices.ContainsFunc(needs, func(n string) bool { return has[n] }) {
		errs = append(errs, fmt.Errorf("%s: must be set", strings.Join(needs, " or ")))
	}
	if o.User != "" && o.Token != "" {
		errs = append(errs, errors.New("token: give it or a user, not both"))
	}
	if (o.User == "") != (o.Password == "") {
		errs = append(errs, errors.New("user: set it together with password"))
	}
	if o.Secret != "" && !o.Template.Signs {
		errs = append(errs, errors.New("secret: requests of this type are not signed"))
	}
	c, err := compile(o.Template, with)
	d := &Deliverer{opt: o, c: c, http: posting.HTTP(o.Timeout)}
	if err == nil && len(errs) == 0 {
		_, err = d.Show(Sample())
	}
	return d, errors.Join(append(errs, err)...)
}

// Show is the request of an event, without credentials.
func (d *Deliverer) Show(payload []byte) (posting.Request, error) {
	r, form, err := d.request(payload)
	if form != nil {
		r.Body = []byte(form.Encode())
	}
	return r, err
}

func (d *Deliverer) request(payload []byte) (posting.Request, url.Values, error) {
	e, err := ReadEvent(payload)
	if err != nil {
		return posting.Request{}, nil, err
	}
	return d.c.render(d.opt.URL, e)
}

// Deliver sends the request. A template that this event cannot fill is final, and so is what the
// receiver calls wrong for good.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	r, form, err := d.request(e.Payload)
	if err != nil {
		return feature.Errorf(feature.Invalid, op, "request", "%w", err).
			WithHint("mend the template of pipelines in the settings, then: weir events resend")
	}
	if err := d.authorize(&r, form); err != nil {
		return err
	}
	if form != nil {
		r.Body = []byte(form.Encode())
	}
	if d.opt.Secret != "" {
		if err := d.sign(&r, e); err != nil {
			return err
		}
	}
	a, err := posting.Send(ctx, d.http, op, r)
	if err != nil {
		return err
	}
	q := &d.c.request
	if slices.Contains(q.Success, a.Status) || len(q.Success) == 0 && a.Status/100 == 2 {
		return nil
	}
	refused := posting.Refused(op, r.URL, a)
	if a.Status/100 == 2 || slices.Contains(q.Retry, a.Status) {
		refused.Kind = feature.Unavailable
	}
	if a.Status/100 == 2 {
		refused.WithHint("that is not the receipt of this API: does url lead to it?")
	}
	return refused
}

// authorize adds the credentials, which no template sees.
func (d *Deliverer) authorize(r *posting.Request, form url.Values) error {
	how, name, _ := strings.Cut(d.opt.Template.Token, " ")
	if d.opt.Token == "" || how == "" || how == "bearer" {
		return posting.Authorize(r.Header, d.opt.User, d.opt.Password, d.opt.Token)
	}
	token, err := d.opt.Token.Read()
	if err != nil {
		return err
	}
	r.Hide = append(r.Hide, string(token))
	if how == "form" {
		form.Set(name, string(token))
	} else {
		r.Header.Set(name, string(token))
	}
	return nil
}

func (d *Deliverer) sign(r *posting.Request, e *outbox.Entry) error {
	text, err := d.opt.Secret.Read()
	if err != nil {
		return err
	}
	id := strings.TrimSuffix(e.ID, "/"+e.Destination)
	at := strconv.FormatInt(d.opt.Now().Unix(), 10)
	sig, err := webhook.Sign(text, id, at, r.Body)
	if err != nil {
		return feature.Errorf(feature.Unavailable, "pipeline.sign", string(d.opt.Secret), "%w", err)
	}
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", at)
	r.Header.Set("webhook-signature", sig)
	return nil
}
