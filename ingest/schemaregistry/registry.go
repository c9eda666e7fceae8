package schemaregistry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/registry/feature"
)

const op = "schemaregistry.schema"

// What one schema may take: bytes of an answer, and schemas that it uses.
const (
	maxAnswer     = 16 << 20
	maxReferences = 200
)

// Registry asks a schema registry. Safe for concurrent use.
type Registry struct{ client *sr.Client }

var _ format.Registry = (*Registry)(nil)

// Open makes a client; nothing is asked yet.
func Open(c Config) (*Registry, error) {
	opts := []sr.ClientOpt{sr.URLs(c.URLs...), sr.UserAgent("weir"),
		sr.HTTPClient(&http.Client{Timeout: c.Timeout, Transport: bounded{http.DefaultTransport}})}
	if c.User != "" {
		opts = append(opts, sr.BasicAuth(c.User, string(c.Password)))
	}
	cl, err := sr.NewClient(opts...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "schemaregistry.open", "schema registry", "%w", err)
	}
	return &Registry{cl}, nil
}

// bounded refuses answers that no schema needs.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}

// The registry's own codes of what is not there.
const (
	subjectNotFound = 40401
	versionNotFound = 40402
	schemaNotFound  = 40403
)

func fault(what string, err error) error {
	kind := feature.Unavailable
	var answer *sr.ResponseError
	if errors.As(err, &answer) {
		switch answer.ErrorCode {
		case subjectNotFound, versionNotFound, schemaNotFound:
			kind = feature.NotFound
		}
	}
	return feature.Errorf(kind, op, what, "%w", err).WithHint("check schema_registry.urls, and that its user may read schemas")
}

// Schema is format.Registry's. A subject that was deleted, but not for good, counts: its events are there still.
func (r *Registry) Schema(ctx context.Context, id uint32) (*format.Schema, error) {
	what := fmt.Sprintf("schema %d", id)
	ctx = sr.WithParams(ctx, sr.ShowDeleted)
	s, err := r.client.SchemaByID(ctx, int(id))
	if err != nil {
		return nil, fault(what, err)
	}
	out := &format.Schema{Type: typeOf(s.Type), Text: s.Schema}
	if out.Subjects, err = r.client.SubjectsByID(ctx, int(id)); err != nil {
		return nil, fault(what, err)
	}
	w := walk{r: r, out: out, seen: map[sr.SchemaReference]bool{}}
	if err := w.references(ctx, s.References); err != nil {
		return nil, fault(what, err)
	}
	return out, nil
}

func typeOf(t sr.SchemaType) string {
	switch t {
	case sr.TypeAvro:
		return feature.FormatAvro
	case sr.TypeProtobuf:
		return feature.FormatProtobuf
	case sr.TypeJSON:
		return feature.FormatJSON
	}
	return t.String()
}

// walk collects what a schema uses, each after what it uses itself.
type walk struct {
	r    *Registry
	out  *format.Schema
	seen map[sr.SchemaReference]bool
}

func (w *walk) references(ctx context.Context, refs []sr.SchemaReference) error {
	for _, ref := range refs {
		if w.seen[ref] {
			continue
		}
		if w.seen[ref] = true; len(w.seen) > maxReferences {
			return fmt.Errorf("it uses more than %d schemas", maxReferences)
		}
		s, err := w.r.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
		if err != nil {
			return err
		}
		if err := w.references(ctx, s.References); err != nil {
			return err
		}
		w.out.References = append(w.out.References, format.Reference{Name: ref.Name, Text: s.Schema.Schema})
	}
	return nil
}
