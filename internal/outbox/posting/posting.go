// Package posting sends an entry of the outbox to a server by HTTP POST, and
// says by the server's answer whether it is worth trying again.
//
// The one rule: only an answer of 2xx is a receipt.
package posting

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/secret"
)

// Client posts to one address. Make it with New.
type Client struct {
	op    string
	url   string
	token secret.Ref
	http  *http.Client
}

// DefaultTimeout is for a whole request where a client is given none.
const DefaultTimeout = 10 * time.Second

// New makes a client. op begins its errors; token, where there is one, is sent as a bearer token.
func New(op, url string, token secret.Ref, timeout time.Duration) *Client {
	return &Client{op: op, url: url, token: token, http: HTTP(timeout)}
}

// CheckURL reports an address that nothing can be posted to.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("must be an address like https://host/path")
	}
	if u.Fragment != "" {
		return errors.New("must end before #: what is behind it is never sent")
	}
	return nil
}

// CheckBase reports an address that no path can be put behind.
func CheckBase(s string) error {
	if u, err := url.Parse(s); err == nil && (u.RawQuery != "" || u.ForceQuery || u.Fragment != "") {
		return errors.New("must end before ? and #: a path is put behind it")
	}
	return CheckURL(s)
}

// Shown is an address as errors, logs and settings may show it: where it is, and no more. Receivers
// have their keys in the path as well as in the query; that there is more is shown as "/...".
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be read)"
	}
	out := u.Scheme + "://" + u.Host
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		out += "/..."
	}
	return out
}

// Post sends the body. feature.Invalid means that the same request will never be accepted.
func (c *Client) Post(ctx context.Context, body []byte, header map[string]string) error {
	r := Request{Method: http.MethodPost, URL: c.url, Header: http.Header{}, Body: body}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if err := Authorize(r.Header, "", "", c.token); err != nil {
		return err
	}
	a, err := Send(ctx, c.http, c.op, r)
	if err != nil {
		return err
	}
	if a.Status/100 != 2 {
		return Refused(c.op, c.url, a)
	}
	return nil
}

// Final reports whether a status says that the request itself is wrong, so that
// sending it again is no use. Who may not come in, or finds nobody at the address, is not
// told so: a token is renewed, a receiver that is being replaced comes back.
func Final(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}
