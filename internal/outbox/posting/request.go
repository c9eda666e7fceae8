package posting

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

// Request is one request to a server.
type Request struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// Hide are secrets in it, beside those of Authorization, that no error shows where the answer repeats them.
	Hide []string
}

// Answer is what a server said to it.
type Answer struct {
	Status int
	Body   []byte
	Cut    bool // there was more than is read of an answer

	hide []string
}

// Said is a text of the answer as errors may show it: short, and without the secrets of the request, which some servers repeat.
func (a *Answer) Said(text []byte) string {
	out := string(bytes.TrimSpace(text))
	for _, s := range a.hide {
		for _, s := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			out = strings.ReplaceAll(out, s, "[redacted]")
		}
	}
	return feature.Shorten([]byte(out))
}

// secrets are what of a request must not be shown.
func (r *Request) secrets() []string {
	var out []string
	how, what, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	all := append([]string{what}, r.Hide...)
	if b, err := base64.StdEncoding.DecodeString(what); how == "Basic" && err == nil {
		_, password, _ := strings.Cut(string(b), ":")
		all = append(all, password)
	}
	for _, s := range all {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// HTTP is a client that follows no redirects: a redirected POST becomes a GET without its
// body, and would hand the credentials to somebody else.
func HTTP(timeout time.Duration) *http.Client {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send sends a request and gives the answer, whatever its status. An error means that there was
// none; it does not show the address' query or password. op begins it.
func Send(ctx context.Context, c *http.Client, op string, r Request) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, feature.Errorf(feature.Invalid, op, "address", "it is not one")
	}
	for k, v := range r.Header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "weir")
	resp, err := c.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the address, which may hold a password
		}
		return Answer{}, feature.Errorf(feature.Unavailable, op, Shown(r.URL), "%w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, feature.Errorf(feature.Unavailable, op, Shown(r.URL), "the answer broke off: %w", err)
	}
	a := Answer{Status: resp.StatusCode, Body: said, Cut: len(said) > maxAnswer, hide: r.secrets()}
	a.Body = said[:min(len(said), maxAnswer)]
	return a, nil
}

// Refused is the error of an answer that is no receipt: feature.Invalid where the same request will never be accepted.
func Refused(op, address string, a Answer) *feature.Error {
	kind := feature.Unavailable
	if Final(a.Status) {
		kind = feature.Invalid
	}
	msg := fmt.Sprintf("answered %d", a.Status)
	if said := a.Said(a.Body); said != "" {
		msg += ": " + said
	}
	return feature.Errorf(kind, op, Shown(address), "%s", msg)
}

// Authorize logs a request in: with a bearer token where there is one, else as a user where there is one.
func Authorize(h http.Header, user string, password, token secret.Ref) error {
	if token != "" {
		text, err := token.Read()
		if err != nil {
			return err
		}
		h.Set("Authorization", "Bearer "+string(text))
		return nil
	}
	if user != "" {
		text, err := password.Read()
		if err != nil {
			return err
		}
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+string(text))))
	}
	return nil
}
