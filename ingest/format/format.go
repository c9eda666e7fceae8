package format

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-ml/weir/ingest/avro"
	"github.com/weir-ml/weir/ingest/protobuf"
	"github.com/weir-ml/weir/internal/avroschema"
	"github.com/weir-ml/weir/registry/feature"
)

// Schema is what a schema registry has under an id. It never changes.
type Schema struct {
	Type       string // one of feature.Formats
	Text       string
	References []Reference // what the text uses, each after what it uses itself
	Subjects   []string    // under which it is registered
}

// Reference is a schema that another one uses.
type Reference struct{ Name, Text string }

// Registry is a schema registry.
type Registry interface {
	// Schema gives the schema of an id; feature.NotFound where there is none,
	// feature.Unavailable where the registry does not answer.
	Schema(ctx context.Context, id uint32) (*Schema, error)
}

// expansion is how many times as large as its payload at most an event may be as JSON.
const expansion = 16

// Formats makes the formats of sources, and keeps them: all partitions share them.
type Formats struct {
	registry Registry // nil where none is configured
	max      int

	mu   sync.Mutex
	made map[string]*Format // guarded by mu; by Source.Encoding
}

// New makes formats. The registry may be nil; maxEventBytes bounds a payload.
func New(registry Registry, maxEventBytes int) *Formats {
	return &Formats{registry: registry, max: max(maxEventBytes, 1<<16) * expansion, made: map[string]*Format{}}
}

// Forget has schemas that did not exist, or read no events, looked for again when they are next needed.
func (s *Formats) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.made {
		f.mu.Lock()
		for id, e := range f.byID {
			if e.reader == nil {
				e.until = time.Time{}
				f.byID[id] = e
			}
		}
		f.mu.Unlock()
	}
}

// maxMade bounds how many formats are kept; a catalog has a few and earlier versions of them.
const maxMade = 1000

// Of gives the format of a source; nil where its payloads are plain JSON. An error
// means that a definition is wrong, or that no registry is configured.
func (s *Formats) Of(source *feature.Source) (*Format, error) {
	if !source.Encoded() {
		return nil, nil
	}
	key := source.Encoding()
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.made[key]; f != nil {
		return f, nil
	}
	f, err := s.open(source)
	if err != nil {
		return nil, err
	}
	if len(s.made) >= maxMade {
		clear(s.made)
	}
	s.made[key] = f
	return f, nil
}

func (s *Formats) open(source *feature.Source) (*Format, error) {
	const op = "format.open"
	what := "source " + source.Meta.Name
	f := &Format{kind: source.EventFormat(), max: s.max, now: time.Now, byID: map[uint32]entry{}}
	if r := source.SchemaRegistry; r != nil {
		if s.registry == nil {
			return nil, feature.Errorf(feature.Invalid, op, what, "its events name schemas of a registry, and none is configured").
				WithHint("set schema_registry.urls")
		}
		f.registry, f.subject = s.registry, r.Subject
	}
	switch f.kind {
	case feature.FormatJSON:
		return f, nil
	case feature.FormatProtobuf:
		f.message = source.Message
		if f.registry != nil {
			return f, nil
		}
		m, err := protoMessage(source)
		if err != nil {
			return nil, feature.Errorf(feature.Invalid, op, what, "event_schema: %w", err)
		}
		if f.plain, err = protobuf.New(m, f.max); err != nil {
			return nil, feature.Errorf(feature.Invalid, op, what, "event_schema: %w", err)
		}
		return f, nil
	case feature.FormatAvro:
	default:
		return nil, feature.Errorf(feature.Unsupported, op, what, "events of format %q cannot be decoded", f.kind)
	}
	if len(source.EventSchema) > 0 {
		var err error
		if f.avro, err = avroSchema(source); err != nil {
			return nil, feature.Errorf(feature.Invalid, op, what, "event_schema: %w", err)
		}
	}
	if f.registry == nil {
		var err error
		if f.plain, err = avro.New(f.avro, f.avro, f.max); err != nil {
			return nil, feature.Errorf(feature.Invalid, op, what, "event_schema: %w", err)
		}
	}
	return f, nil
}

// Check reports what is wrong with the event schema of a source.
func Check(source *feature.Source) error {
	if len(source.EventSchema) == 0 {
		return nil
	}
	if source.EventFormat() == feature.FormatProtobuf {
		m, err := protoMessage(source)
		if err == nil {
			_, err = protobuf.New(m, 1<<20)
		}
		return err
	}
	s, err := avroSchema(source)
	if err == nil {
		err = avro.Check(s)
	}
	return err
}

func avroSchema(source *feature.Source) (*avroschema.Schema, error) {
	s, err := avroschema.Parse(source.EventSchema)
	if err != nil {
		return nil, err
	}
	if s.Kind != avroschema.Record {
		return nil, fmt.Errorf("an event is a record, not %s", s)
	}
	return s, nil
}

// reader writes a payload, after its head, as JSON.
type reader interface {
	AppendJSON(dst, payload []byte) ([]byte, error)
}

// Format reads the payloads of one source. Safe for concurrent use.
type Format struct {
	kind     string
	max      int
	registry Registry // nil where payloads have no head
	subject  string
	avro     *avroschema.Schema // the source's own; nil for that of the payload
	message  string             // protobuf: that events must be of; "" for any
	plain    reader             // of payloads without a head

	now  func() time.Time
	mu   sync.RWMutex
	byID map[uint32]entry // guarded by mu
}

// entry is what became of a schema: a reader of its events, or why there is none.
type entry struct {
	reader reader
	why    string
	until  time.Time // without a reader: when to look for it again
}

// believed is how long it is taken for granted that a schema does not exist.
const believed = 10 * time.Second

// Confluent's head of a payload: a zero byte and a schema's id.
const headBytes = 5

func head(payload []byte) (id uint32, ok bool) {
	if len(payload) < headBytes || payload[0] != 0 {
		return 0, false
	}
	return binary.BigEndian.Uint32(payload[1:]), true
}

// Missing reports whether a payload names a schema that has to be loaded first.
func (f *Format) Missing(payload []byte) (id uint32, missing bool) {
	if f.registry == nil || payload == nil {
		return 0, false
	}
	id, ok := head(payload)
	if !ok {
		return 0, false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	e, known := f.byID[id]
	return id, !known || e.reader == nil && f.now().After(e.until)
}

// maxIDs bounds how many schemas are kept. They are small in number where they exist;
// ids that do not exist are anybody's to invent.
const maxIDs = 10_000

// Load fetches a schema that Missing named. The error is feature.Unavailable where
// the registry does not answer; a schema that does not exist, or reads no events of the source,
// is no error: it is a reason against its events, and looked for again after a while.
func (f *Format) Load(ctx context.Context, id uint32) error {
	s, err := f.registry.Schema(ctx, id)
	var e entry
	switch {
	case feature.KindOf(err) == feature.NotFound:
		e.why = unknown(id)
	case err != nil:
		return err
	default:
		e = f.compile(id, s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.reader == nil {
		e.until = f.now().Add(believed)
	}
	if len(f.byID) >= maxIDs {
		for id, e := range f.byID { // others are in use and as many as the registry has
			if e.reader == nil {
				delete(f.byID, id)
			}
		}
	}
	f.byID[id] = e
	return nil
}

func unknown(id uint32) string {
	return fmt.Sprintf("a schema that the registry has, it knows no id %d", id)
}

func (f *Format) compile(id uint32, s *Schema) entry {
	if s.Type != f.kind {
		return entry{why: fmt.Sprintf("an event in %s, its schema %d is of type %s", f.kind, id, s.Type)}
	}
	if !slices.Contains(s.Subjects, f.subject) {
		return entry{why: fmt.Sprintf("a schema of subject %s, its schema %d is of %v", f.subject, id, s.Subjects)}
	}
	if f.kind == feature.FormatJSON {
		return entry{reader: plain{}}
	}
	if f.kind == feature.FormatProtobuf {
		r, err := newProtoReader(s, f.message, f.max)
		if err != nil {
			return entry{why: fmt.Sprintf("a schema that can be read, schema %d: %v", id, err)}
		}
		return entry{reader: r}
	}
	refs := make([][]byte, len(s.References))
	for i, r := range s.References {
		refs[i] = []byte(r.Text)
	}
	w, err := avroschema.Parse([]byte(s.Text), refs...)
	if err != nil {
		return entry{why: fmt.Sprintf("a schema that can be read, schema %d: %v", id, err)}
	}
	r := f.avro
	if r == nil {
		r = w
	}
	d, err := avro.New(w, r, f.max)
	if err != nil {
		return entry{why: fmt.Sprintf("an event of the source's schema, schema %d does not fit it: %v", id, err)}
	}
	return entry{reader: d}
}

// plain is JSON after the head.
type plain struct{}

func (plain) AppendJSON(dst, payload []byte) ([]byte, error) { return append(dst, payload...), nil }

// AppendJSON appends the event of a payload as JSON. The error's text says what was
// expected of the payload; dst is then as it was given.
func (f *Format) AppendJSON(dst, payload []byte) ([]byte, error) {
	if f.registry == nil {
		return f.append(f.plain, dst, payload)
	}
	id, ok := head(payload)
	if !ok {
		return dst, errors.New("a payload that begins with a zero byte and the id of a schema, this one does not")
	}
	f.mu.RLock()
	e, known := f.byID[id]
	f.mu.RUnlock()
	if !known {
		return dst, errors.New(unknown(id))
	}
	if e.reader == nil {
		return dst, errors.New(e.why)
	}
	return f.append(e.reader, dst, payload[headBytes:])
}

func (f *Format) append(r reader, dst, payload []byte) ([]byte, error) {
	out, err := r.AppendJSON(dst, payload)
	if err != nil {
		return dst, fmt.Errorf("an event in %s: %w", f.kind, err)
	}
	return out, nil
}
