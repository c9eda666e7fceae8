// Package webhook delivers entries of the outbox to a web address: a POST of the
// payload, signed in the manner of Standard Webhooks, so that the receiver can
// tell who sent it, when, and that nobody has changed it.
//
// The one rule: the signature is over id, time and the very bytes that are sent.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

// Options are a webhook's address and how it signs.
type Options struct {
	URL string
	// Secret signs; nothing is signed without. "whsec_" and base64, as Standard Webhooks has it, or
	// any other text, whose bytes are the key. Several lines are several keys: each signs,
	// so that a receiver can change from one to the next.
	Secret  secret.Ref
	Token   secret.Ref // sent as a bearer token
	Timeout time.Duration
	Now     func() time.Time // the wall clock when nil
}

// Deliverer implements outbox.Deliverer.
type Deliverer struct {
	opt  Options
	post *posting.Client
}

var _ outbox.Deliverer = (*Deliverer)(nil)

// New makes a deliverer. Address and references are checked by whoever reads the settings.
func New(o Options) *Deliverer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Deliverer{opt: o, post: posting.New("webhook", o.URL, o.Token, o.Timeout)}
}

// Deliver posts the payload. webhook-id stays the same over all attempts: the
// entry's id without its destination, which for an event is the event's id.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	header := map[string]string{"content-type": "application/json"}
	for k, v := range e.Headers {
		header[strings.ToLower(k)] = v // or a header that is there twice is sent by chance
	}
	id := strings.TrimSuffix(e.ID, "/"+e.Destination)
	at := strconv.FormatInt(d.opt.Now().Unix(), 10)
	header["webhook-id"], header["webhook-timestamp"] = id, at
	if d.opt.Secret != "" {
		text, err := d.opt.Secret.Read()
		if err != nil {
			return err
		}
		sig, err := Sign(text, id, at, e.Payload)
		if err != nil {
			// Whoever mends the secret wants the event all the same.
			return feature.Errorf(feature.Unavailable, "webhook.sign", string(d.opt.Secret), "%w", err)
		}
		header["webhook-signature"] = sig
	}
	return d.post.Post(ctx, e.Payload, header)
}

// Sign is the signature of a message: "v1," and base64 of HMAC-SHA256 over
// "id.timestamp.payload", one for each key, separated by spaces.
func Sign(keys secret.Text, id, timestamp string, payload []byte) (string, error) {
	var out []string
	for line := range strings.Lines(string(keys)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key := []byte(line)
		if b64, ok := strings.CutPrefix(line, "whsec_"); ok {
			var err error
			if key, err = base64.StdEncoding.DecodeString(b64); err != nil || len(key) == 0 {
				return "", errors.New("what follows whsec_ is not base64")
			}
		}
		m := hmac.New(sha256.New, key)
		m.Write([]byte(id + "." + timestamp + "."))
		m.Write(payload)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	if len(out) == 0 {
		return "", errors.New("there is no key in it")
	}
	return strings.Join(out, " "), nil
}
