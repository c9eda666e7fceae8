package flight

import (
	"encoding/json"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// SnapshotKey is the key of the snapshot's id in the metadata of a result's schema.
const SnapshotKey = "weir.snapshot"

// Summary is the app_metadata of a result's last batch.
type Summary struct {
	Snapshot    string `json:"snapshot,omitempty"` // its id; left out when nothing was recorded
	Rows        int64  `json:"rows"`
	SpineHash   string `json:"spine_hash,omitempty"`
	ContentHash string `json:"content_hash,omitempty"`
}

// output sends a training set. One batch is always held back: the last one goes
// out with the summary, when the set is whole and recorded.
type output struct {
	to     arrowflight.DataStreamWriter
	most   int // bytes of a message
	rename func(*columns) error
	spine  *arrow.Schema

	columns columns
	schema  *arrow.Schema
	w       *ipc.Writer
	body    *body
	held    arrow.RecordBatch
}

// columns are those that are sent.
type columns struct {
	spine  int           // how many of the joined columns are the spine's
	joined []arrow.Field // what the join gives
	from   []int         // by column that is sent: which of the join's it is
	names  []string      // and what it is called
}

func (o *output) begin(schema *arrow.Schema, id string) error {
	o.columns = columns{spine: o.spine.NumFields(), joined: schema.Fields()}
	for i, f := range schema.Fields() {
		o.columns.from, o.columns.names = append(o.columns.from, i), append(o.columns.names, f.Name)
	}
	if o.rename != nil {
		if err := o.rename(&o.columns); err != nil {
			return err
		}
	}
	fields := make([]arrow.Field, len(o.columns.from))
	for i, from := range o.columns.from {
		fields[i] = schema.Field(from)
		fields[i].Name = o.columns.names[i]
	}
	// What the client wrote about its columns, pandas' index say, is true of the result too.
	about := o.spine.Metadata()
	keys, values := slices.Clone(about.Keys()), slices.Clone(about.Values())
	if id != "" {
		keys, values = append(keys, SnapshotKey), append(values, id)
	}
	md := arrow.NewMetadata(keys, values)
	o.schema = arrow.NewSchema(fields, &md)
	o.body = &body{to: o.to, most: o.most}
	o.w = ipc.NewWriterWithPayloadWriter(o.body, ipc.WithSchema(o.schema))
	return nil
}

func (o *output) write(rec arrow.RecordBatch) error {
	cols := make([]arrow.Array, len(o.columns.from))
	for i, from := range o.columns.from {
		cols[i] = rec.Column(from)
	}
	next := array.NewRecordBatch(o.schema, cols, rec.NumRows())
	last := o.held
	o.held = next
	if last == nil {
		return nil
	}
	defer last.Release()
	return o.send(last, nil)
}

// end sends what was held back, with the summary.
func (o *output) end(made offline.Created) error {
	summary, err := json.Marshal(Summary{Snapshot: made.ID, Rows: made.Rows, SpineHash: made.SpineHash, ContentHash: made.ContentHash})
	if err != nil {
		return err
	}
	if o.held == nil {
		b := array.NewRecordBuilder(memory.DefaultAllocator, o.schema)
		defer b.Release()
		o.held = b.NewRecordBatch()
	}
	if err := o.send(o.held, summary); err != nil {
		return err
	}
	return o.w.Close()
}

func (o *output) release() {
	if o.held != nil {
		o.held.Release()
		o.held = nil
	}
}

// send sends a batch, in pieces where it is larger than a message should be.
func (o *output) send(rec arrow.RecordBatch, summary []byte) error {
	n := rec.NumRows()
	if n > 1 && upTo(rec) > batchBytes(o.most) {
		size, err := bodyBytes(rec)
		if err != nil {
			return err
		}
		if size > batchBytes(o.most) {
			head, tail := rec.NewSlice(0, n/2), rec.NewSlice(n/2, n)
			defer head.Release()
			defer tail.Release()
			if err := o.send(head, nil); err != nil {
				return err
			}
			return o.send(tail, summary)
		}
	}
	o.body.about = summary
	return o.w.Write(rec)
}

// upTo is at least what a batch takes as a message; much more where it is a slice.
func upTo(rec arrow.RecordBatch) int64 {
	var n int64
	for _, c := range rec.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

// bodyBytes is what a batch takes exactly.
func bodyBytes(rec arrow.RecordBatch) (int64, error) {
	p, err := ipc.GetRecordBatchPayload(rec)
	if err != nil {
		return 0, err
	}
	defer p.Release()
	var n counter
	err = p.SerializeBody(&n)
	return int64(n), err
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// batchBytes is what a batch should have at most, for messages of at most so many bytes:
// large enough that messages cost nothing, small enough that a slow client holds little.
func batchBytes(message int) int64 { return int64(min(message/2, 16<<20)) }

// body sends Arrow's messages as flight data.
type body struct {
	to    arrowflight.DataStreamWriter
	most  int    // bytes of a message; 0 is any number
	about []byte // app_metadata of the next batch
	data  arrowflight.FlightData
	buf   growing
}

func (b *body) Start() error { return nil }
func (b *body) Close() error { return nil }

// WritePayload sends one message.
func (b *body) WritePayload(p ipc.Payload) error {
	meta := p.Meta()
	defer meta.Release()
	b.buf = b.buf[:0]
	if err := p.SerializeBody(&b.buf); err != nil {
		return err
	}
	b.data.DataHeader, b.data.DataBody, b.data.AppMetadata = meta.Bytes(), b.buf, b.about
	if n := len(b.buf) + len(meta.Bytes()) + len(b.about) + 64; b.most > 0 && n > b.most {
		// gRPC would refuse it, in words of its own that no handler can better.
		return feature.Errorf(feature.Exhausted, opFlight, "result", "a single row, or the dictionary of a column, takes %d bytes; a message has at most %d", n, b.most).
			WithHint("let serving.max_message be larger")
	}
	return b.to.Send(&b.data)
}

// growing is a buffer that keeps its memory.
type growing []byte

func (g *growing) Write(p []byte) (int, error) {
	*g = append(*g, p...)
	return len(p), nil
}
