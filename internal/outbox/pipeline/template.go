package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"text/template"

	"github.com/weir-ml/weir/internal/outbox/posting"
)

// Template says what request starts a run somewhere. Its texts are Go templates of an Event.
type Template struct {
	About    string    `yaml:"about"`
	URL      string    `yaml:"url"`      // address where none is set
	Settings []Setting `yaml:"settings"` // what a destination sets under with
	Token    string    `yaml:"token"`    // how a token is sent: bearer (also when empty), "header NAME", "form NAME"
	Needs    []string  `yaml:"needs"`    // one of them has to be set: token, user
	Signs    bool      `yaml:"signs"`    // a secret signs requests, as webhooks are signed
	Free     bool      `yaml:"-"`        // with may have whatever the request's texts use
	Request  Request   `yaml:"request"`
}

// Setting is one that a template knows.
type Setting struct {
	Name     string `yaml:"name" json:"name"`
	About    string `yaml:"about" json:"about"`
	Default  string `yaml:"default" json:"default,omitempty"`
	Required bool   `yaml:"required" json:"required,omitempty"`
}

// known lists the template's settings for people.
func (t *Template) known() string {
	var out []string
	for _, s := range t.Settings {
		out = append(out, s.Name+" ("+s.About+")")
	}
	if len(out) == 0 {
		return "it has none"
	}
	return "there are " + strings.Join(out, ", ")
}

// Request is the request that a template makes.
type Request struct {
	Method  string            `koanf:"method" yaml:"method"` // POST when empty
	Path    string            `koanf:"path" yaml:"path"`     // behind the address
	Query   map[string]string `koanf:"query" yaml:"query"`
	Headers map[string]string `koanf:"headers" yaml:"headers"`
	// Body is JSON unless Headers have another Content-Type; Form is sent in its place.
	Body string            `koanf:"body" yaml:"body"`
	Form map[string]string `koanf:"form" yaml:"form"`
	// Success are the statuses that are a receipt, 2xx when empty. Retry are those that are tried
	// again although their like would be final.
	Success []int `koanf:"success" yaml:"success"`
	Retry   []int `koanf:"retry" yaml:"retry"`
}

// IsZero reports whether nothing is set.
func (r *Request) IsZero() bool {
	return r.Method == "" && r.Path == "" && r.Body == "" && len(r.Query)+len(r.Headers)+len(r.Form)+len(r.Success)+len(r.Retry) == 0
}

// part is one text of a template, ready to be filled in.
type part struct {
	name, kind string // kind: path, query, header, body, form, with
	text       *template.Template
}

func (p *part) fill(e *Event) (string, error) {
	var b strings.Builder
	if err := p.text.Execute(&b, e); err != nil {
		return "", fmt.Errorf("%s: %w", p.name, plain(err))
	}
	return b.String(), nil
}

// plain is a template's error without Go's names for what it was doing.
func plain(err error) error {
	var ee template.ExecError
	if errors.As(err, &ee) {
		err = ee.Err
	}
	text := err.Error()
	if i := strings.Index(text, ">: "); i >= 0 {
		text = text[i+3:]
	}
	text = strings.ReplaceAll(text, " in type *pipeline.Event", ": an event has no such field")
	return errors.New(text)
}

// compiled is a template for one destination.
type compiled struct {
	request Request
	with    []part
	path    part
	body    *part
	parts   []part // query, headers, form
}

// compile prepares a template; the settings of with are templates themselves.
func compile(t *Template, with map[string]string) (*compiled, error) {
	c := &compiled{request: t.Request}
	var errs []error
	one := func(kind, name, text, escape string) part {
		p, err := parsed(name, text, escape)
		if err != nil {
			errs = append(errs, err)
		}
		return part{name, kind, p}
	}
	r := &c.request
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet}, r.Method) {
		errs = append(errs, fmt.Errorf("method: must be POST, PUT, PATCH or GET (got %q)", r.Method))
	}
	if r.Body != "" && len(r.Form) > 0 {
		errs = append(errs, errors.New("body: give it or form, not both"))
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		errs = append(errs, errors.New("path: must begin with /"))
	}
	for _, s := range append(slices.Clone(r.Success), r.Retry...) {
		if s < 100 || s > 599 {
			errs = append(errs, fmt.Errorf("success and retry: %d is no status", s))
		}
	}
	for _, name := range sorted(with) {
		c.with = append(c.with, one("with", "with."+name, with[name], ""))
	}
	c.path = one("path", "path", r.Path, "path")
	for _, name := range sorted(r.Query) {
		c.parts = append(c.parts, one("query", name, r.Query[name], ""))
	}
	for _, name := range sorted(r.Headers) {
		if slices.Contains([]string{"Authorization", "Host", "Content-Length"}, http.CanonicalHeaderKey(name)) {
			errs = append(errs, fmt.Errorf("headers: %s cannot be set here; credentials are set by reference: token, user and password", name))
		}
		c.parts = append(c.parts, one("header", name, r.Headers[name], ""))
	}
	for _, name := range sorted(r.Form) {
		c.parts = append(c.parts, one("form", name, r.Form[name], ""))
	}
	if r.Body != "" {
		escape := ""
		if c.json() {
			escape = "json"
		}
		p := one("body", "body", r.Body, escape)
		c.body = &p
	}
	return c, errors.Join(errs...)
}

func (c *compiled) json() bool {
	for k, v := range c.request.Headers {
		if http.CanonicalHeaderKey(k) == "Content-Type" {
			return strings.Contains(v, "json")
		}
	}
	return true
}

// render makes the request of an event. Its form is not encoded yet: a token may come in.
func (c *compiled) render(address string, e *Event) (posting.Request, url.Values, error) {
	out := posting.Request{Method: c.request.Method, Header: http.Header{}}
	fail := func(err error) (posting.Request, url.Values, error) { return posting.Request{}, nil, err }
	own := *e
	own.With = map[string]string{}
	for i := range c.with {
		v, err := c.with[i].fill(&own)
		if err != nil {
			return fail(err)
		}
		own.With[strings.TrimPrefix(c.with[i].name, "with.")] = v
	}
	path, err := c.path.fill(&own)
	if err != nil {
		return fail(err)
	}
	if strings.ContainsAny(path, "?#") { // values would not be escaped as those of a query have to be
		return fail(errors.New("path: ? and # have no place in it: a query is set by query"))
	}
	out.URL = address
	if path != "" {
		out.URL = strings.TrimRight(address, "/") + path
	}
	query := url.Values{}
	var form url.Values
	for i := range c.parts {
		p := &c.parts[i]
		v, err := p.fill(&own)
		if err != nil {
			return fail(err)
		}
		switch p.kind {
		case "query":
			query.Set(p.name, v)
		case "form":
			if form == nil {
				form = url.Values{}
			}
			form.Set(p.name, v)
		case "header":
			if strings.ContainsAny(v, "\r\n\x00") {
				return fail(fmt.Errorf("headers: %s: a line break cannot be in it", p.name))
			}
			out.Header.Set(p.name, v)
		}
	}
	if len(query) > 0 {
		out.URL += "?" + query.Encode()
	}
	switch {
	case form != nil:
		out.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case c.body != nil:
		text, err := c.body.fill(&own)
		if err != nil {
			return fail(err)
		}
		out.Body = []byte(text)
		if c.json() {
			var b bytes.Buffer
			if err := json.Compact(&b, out.Body); err != nil {
				return fail(fmt.Errorf("body: what came out is not JSON: %w", err))
			}
			out.Body = b.Bytes()
			if out.Header.Get("Content-Type") == "" {
				out.Header.Set("Content-Type", "application/json")
			}
		}
	}
	return out, form, nil
}

func sorted[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
