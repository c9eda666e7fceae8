package mlflow

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/registry/feature"
)

// Client asks one MLflow. Safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	page int // models in one answer; MLflow gives at most 1000
}

// Version is a version of a registered model.
type Version struct {
	Name    string
	Version string // a number, as text
	Source  string // where its files are
	RunID   string
	Tags    map[string]string
	Aliases []string
}

// Model is a registered model: which version each of its aliases names.
type Model struct {
	Name    string
	Aliases map[string]string
}

// New makes a client; nothing is asked yet.
func New(c Config) *Client {
	c.URL = strings.TrimRight(c.URL, "/")
	return &Client{cfg: c, http: posting.HTTP(c.Timeout), page: 200}
}

// ModelVersion gets a version by its number.
func (c *Client) ModelVersion(ctx context.Context, name, version string) (Version, error) {
	var out versionAnswer
	err := c.ask(ctx, http.MethodGet, "model-versions/get", url.Values{"name": {name}, "version": {version}}, nil, &out)
	return out.version(), err
}

// VersionByAlias gets the version that has an alias.
func (c *Client) VersionByAlias(ctx context.Context, name, alias string) (Version, error) {
	var out versionAnswer
	err := c.ask(ctx, http.MethodGet, "registered-models/alias", url.Values{"name": {name}, "alias": {alias}}, nil, &out)
	return out.version(), err
}

// SetVersionTag sets a tag of a version, which replaces the one of that key.
func (c *Client) SetVersionTag(ctx context.Context, name, version, key, value string) error {
	body := map[string]string{"name": name, "version": version, "key": key, "value": value}
	return c.ask(ctx, http.MethodPost, "model-versions/set-tag", nil, body, nil)
}

// Aliased lists the registered models that have aliases.
func (c *Client) Aliased(ctx context.Context) ([]Model, error) {
	var all []Model
	page := c.page
	for token := ""; ; {
		q := url.Values{"max_results": {strconv.Itoa(page)}}
		if token != "" {
			q.Set("page_token", token)
		}
		var out struct {
			Models []struct {
				Name    string
				Aliases []struct{ Alias, Version string }
			} `json:"registered_models"`
			Next string `json:"next_page_token"`
		}
		if err := c.ask(ctx, http.MethodGet, "registered-models/search", q, nil, &out); err != nil {
			if feature.KindOf(err) == feature.Exhausted && page > 1 {
				page = (page + 3) / 4 // models come with their descriptions and tags
				continue
			}
			return nil, err
		}
		for _, m := range out.Models {
			if len(m.Aliases) == 0 {
				continue
			}
			is := Model{m.Name, map[string]string{}}
			for _, a := range m.Aliases {
				is.Aliases[a.Alias] = a.Version
			}
			all = append(all, is)
		}
		if out.Next == "" || out.Next == token {
			return all, nil
		}
		token = out.Next
	}
}

type versionAnswer struct {
	Version struct {
		Name, Version, Source string
		RunID                 string `json:"run_id"`
		Tags                  []struct{ Key, Value string }
		Aliases               []string
	} `json:"model_version"`
}

func (a *versionAnswer) version() Version {
	v := Version{a.Version.Name, a.Version.Version, a.Version.Source, a.Version.RunID, map[string]string{}, a.Version.Aliases}
	for _, t := range a.Version.Tags {
		v.Tags[t.Key] = t.Value
	}
	return v
}

const op = "mlflow"

// ask sends one request and reads its answer into out.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body, out any) error {
	r := posting.Request{Method: method, URL: c.cfg.URL + "/api/2.0/mlflow/" + path, Header: http.Header{}}
	if query != nil {
		r.URL += "?" + query.Encode()
	}
	if body != nil {
		var err error
		if r.Body, err = json.Marshal(body); err != nil {
			return feature.Errorf(feature.Invalid, op, path, "%w", err)
		}
		r.Header.Set("Content-Type", "application/json")
	}
	if err := posting.Authorize(r.Header, c.cfg.User, c.cfg.Password, c.cfg.Token); err != nil {
		return err
	}
	a, err := posting.Send(ctx, c.http, op, r)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return c.refused(path, a)
	}
	if a.Cut {
		return feature.Errorf(feature.Exhausted, op, path, "the answer has more than %d bytes", len(a.Body))
	}
	if out == nil {
		out = &struct{}{}
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return feature.Errorf(feature.Unavailable, op, c.cfg.URL, "what answers there is not MLflow: %w", err).
			WithHint("mlflow.url is the tracking server's address, without /api/2.0/mlflow")
	}
	return nil
}

// refused says what an answer means that is not 200. MLflow has one code for an alias that is not there and for a wrong
// request (INVALID_PARAMETER_VALUE, 400): its text tells them apart.
func (c *Client) refused(path string, a posting.Answer) error {
	var said struct {
		Code    string `json:"error_code"`
		Message string
	}
	if json.Unmarshal(a.Body, &said) != nil || said.Code == "" {
		err := posting.Refused(op, c.cfg.URL+"/api/2.0/mlflow/"+path, a)
		switch {
		case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
			err.WithHint("see mlflow.user and mlflow.password, or mlflow.token")
		default:
			err.Kind = feature.Unavailable // a proxy's word, or another server's
		}
		return err
	}
	kind := feature.Unavailable
	switch {
	case said.Code == "RESOURCE_DOES_NOT_EXIST",
		said.Code == "INVALID_PARAMETER_VALUE" && strings.HasPrefix(said.Message, "Registered model alias ") && strings.HasSuffix(said.Message, " not found."):
		kind = feature.NotFound
	case said.Code == "RESOURCE_ALREADY_EXISTS":
		kind = feature.Conflict
	case posting.Final(a.Status):
		kind = feature.Invalid
	}
	return feature.Errorf(kind, op, path, "%s: %s", said.Code, a.Said([]byte(said.Message)))
}
