package decode

import (
	"fmt"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// DefaultMaxEventBytes is the largest payload that is looked at.
const DefaultMaxEventBytes = 1 << 20

// Options of a Decoder.
type Options struct {
	// MaxEventBytes bounds the payload; DefaultMaxEventBytes when 0.
	MaxEventBytes int
	// Import tells that the events are rows of a file: where the source names no
	// created field the known time is the event time, and a record's timestamp is
	// the recorded start of the import.
	Import bool
	// Known, when not 0, is the known time of every event, as a replay gives it
	// (microseconds UTC). A created field must be readable all the same.
	Known int64
	// Format reads payloads that are not the JSON of their events; nil where they are.
	Format Format
	// Schema is the source's compiled schema, shared among decoders. Compiled
	// from the source when nil.
	Schema *jsonschema.Schema
}

// Format turns a payload into its event as JSON.
type Format interface {
	// AppendJSON appends the event to dst. The error's text says what was expected
	// instead of the payload; dst is then as it was given. It may be called concurrently.
	AppendJSON(dst, payload []byte) ([]byte, error)
}

// Record is one event as it came.
type Record struct {
	Value     []byte // nil is a tombstone
	Key       []byte
	Offset    int64
	Timestamp int64 // microseconds UTC
}

// Rejected is an event that a view holds back.
type Rejected struct {
	Index   int // of the event among those decoded since the last Cut, from 0
	Offset  int64
	Reasons []feature.Reason
}

// Result is what one view got since the last Cut.
type Result struct {
	View     *feature.View
	Batch    *feature.Batch // never nil; it may have no rows
	Rejected []Rejected     // in offset order
}

// Decoder decodes the events of one source for some of its views. It serves one
// partition at a time and is not for concurrent use. Its memory is used again
// from event to event; the columns it hands out are not.
type Decoder struct {
	source  *feature.Source
	options Options
	future  int64

	schema  *jsonschema.Schema // nil where the source has none
	checker *jsonschema.Checker
	scan    *jsonscan.Scanner
	doc     jsonscan.Doc

	paths   *pathTable
	leaves  []string // event paths, each once
	hits    []uint32 // by leaf: the node of the current event, 0 where it is absent
	event   timeReader
	created timeReader // leaf -1 where the source names none

	views []*viewColumns
	index int    // events since the last Cut
	text  []byte // of the current event, where Options.Format makes it

	keyScan *jsonscan.Scanner // for tombstones of views with several join keys
	keyDoc  jsonscan.Doc
}

// CompileSchema compiles a source's schema; nil without one.
func CompileSchema(source *feature.Source) (*jsonschema.Schema, error) {
	if len(source.Schema) == 0 {
		return nil, nil
	}
	s, err := jsonschema.Compile(source.Schema, jsonschema.Options{})
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", source.Meta.Name, err)
	}
	return s, nil
}

// New makes a decoder. The views must be resolved (View.Keys set). An error
// means that a definition is wrong, never that an event is.
func New(source *feature.Source, views []*feature.View, o Options) (*Decoder, error) {
	const op = "decode.new"
	if source.Encoded() && o.Format == nil && !o.Import {
		return nil, feature.Errorf(feature.Internal, op, "source "+source.Meta.Name, "nobody reads its events, which are in %s", source.EventFormat())
	}
	if o.MaxEventBytes <= 0 {
		o.MaxEventBytes = DefaultMaxEventBytes
	}
	d := &Decoder{source: source, options: o, future: source.Future(), schema: o.Schema}
	if d.schema == nil {
		var err error
		if d.schema, err = CompileSchema(source); err != nil {
			return nil, err
		}
	}
	syms := jsonscan.NewSymbols()
	if d.schema != nil {
		d.checker = d.schema.NewChecker()
		syms = d.schema.Symbols().Clone()
	}
	b := pathBuilder{syms: syms, leaves: map[string]int{}}
	var err error
	if d.event, err = newTimeReader(b.leaf(source.EventTime.Field), source.EventTime); err != nil {
		return nil, feature.Errorf(feature.Invalid, op, "source "+source.Meta.Name, "event_time: %w", err)
	}
	d.created.leaf = -1
	if c := source.Created; c != nil {
		if d.created, err = newTimeReader(b.leaf(c.Field), *c); err != nil {
			return nil, feature.Errorf(feature.Invalid, op, "source "+source.Meta.Name, "created: %w", err)
		}
	}
	for _, v := range views {
		if len(v.Keys) == 0 {
			return nil, feature.Errorf(feature.Internal, op, "view "+v.ID(), "the view is not resolved: it has no join keys")
		}
		vc := &viewColumns{view: v, schema: v.Schema(), keys: len(v.Keys)}
		for i, f := range v.Columns() {
			vc.cols = append(vc.cols, column{field: f, typ: f.Type, leaf: b.leaf(f.EventPath()), key: i < len(v.Keys)})
			if !f.Type.Known() {
				return nil, feature.Errorf(feature.Unsupported, op, "view "+v.ID(), "column %s has type %s", f.Name, f.Type)
			}
		}
		vc.reset()
		d.views = append(d.views, vc)
	}
	d.paths, d.leaves = b.build()
	d.hits = make([]uint32, len(d.leaves))
	d.scan = jsonscan.NewScanner(syms, jsonscan.Limits{})
	return d, nil
}

// Expect tells how many events come until the next Cut, where that is known:
// their batches then take the memory that they need and no more. Without it a
// batch is taken to be as large as the one before.
func (d *Decoder) Expect(events int) {
	for _, v := range d.views {
		v.expect = events
	}
}

// Decode takes one event in. Offsets must grow.
func (d *Decoder) Decode(rec Record) {
	switch {
	case rec.Value == nil:
		d.tombstone(rec)
	case d.options.Format != nil:
		d.encoded(rec)
	case !d.row(rec, d.options.MaxEventBytes):
		d.reject(rec, d.options.MaxEventBytes)
	}
	d.index++
}

// row is the good path. It returns false when anything is wrong with the event,
// for whatever view, and has then changed nothing.
func (d *Decoder) row(rec Record, most int) bool {
	if len(rec.Value) > most || d.scan.Scan(&d.doc, rec.Value) != nil {
		return false
	}
	nodes := d.doc.Nodes
	if nodes[0].Kind != jsonscan.Object || d.checker != nil && !d.checker.ValidDoc(&d.doc) {
		return false
	}
	clear(d.hits)
	d.paths.walk(&d.doc, 0, d.hits)
	event, ok := d.event.read(&d.doc, d.hits[d.event.leaf])
	if !ok {
		return false
	}
	known := rec.Timestamp
	if d.created.leaf >= 0 {
		if known, ok = d.created.read(&d.doc, d.hits[d.created.leaf]); !ok {
			return false
		}
	} else if d.options.Import {
		known = event
	}
	late := known > rec.Timestamp+d.future
	if d.options.Known != 0 {
		known, late = d.options.Known, false
	}
	if !inRange(known) || event > known+d.future || late {
		return false
	}
	for _, v := range d.views {
		if !v.put(&d.doc, d.hits) {
			return false
		}
	}
	for _, v := range d.views {
		v.finish(rec.Offset, event, known, false)
	}
	return true
}

// Rows is how many rows the fullest view holds since the last Cut.
func (d *Decoder) Rows() int {
	n := 0
	for _, v := range d.views {
		n = max(n, v.rows)
	}
	return n
}

// Bytes is the memory of the rows since the last Cut, over all views. Whoever
// decodes cuts long before one view's strings reach 2 GiB.
func (d *Decoder) Bytes() int64 {
	var n int64
	for _, v := range d.views {
		n += v.bytes()
	}
	return n
}

// Cut returns, for each view in the order given to New, the rows and the
// rejected events since the last Cut. The batches belong to the caller; origin
// is handed through to them.
func (d *Decoder) Cut(origin feature.Origin) []Result {
	out := make([]Result, len(d.views))
	for i, v := range d.views {
		out[i] = Result{View: v.view, Batch: v.cut(origin), Rejected: v.rejected}
		v.rejected = nil
	}
	d.index = 0
	return out
}
