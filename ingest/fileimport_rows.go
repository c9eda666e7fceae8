package ingest

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// importPart is some rows of a file on their way in: as columns, or as the
// records that they would be on a topic.
type importPart struct {
	first, next int64 // rows
	read        int64 // bytes of the file up to its end
	chunk       *tabular.Chunk
	recs        []*kgo.Record
}

// importRows reads a file ahead of who takes its rows in, by one part.
type importRows struct {
	parts chan importPart
	err   error // why the parts end; set before parts is closed
	stop  context.CancelFunc
	ended chan struct{}
}

// open starts to read a file. Whether its rows come as columns is a matter of
// speed alone.
func (r *importRun) open(ctx context.Context, path string, judged *feature.View, o tabular.RowOptions) (*importRows, error) {
	ctx, stop := context.WithCancel(ctx)
	in := &importRows{parts: make(chan importPart, 1), stop: stop, ended: make(chan struct{})}
	var next func() (importPart, error)
	var done func() error
	cols, ok, err := tabular.OpenColumns(ctx, path, o)
	if err == nil && ok {
		options := r.l.options
		if options.Schema, err = r.p.schemas.of(judged.SourceOf); err == nil {
			r.cols, ok, err = decode.NewColumns(judged.SourceOf, judged, options, cols.Names, cols.Types)
		}
		if err != nil || !ok {
			_ = cols.Close()
			r.cols = nil
		}
	}
	if err == nil && ok {
		next, done = columnParts(cols, r.next), cols.Close
	} else if err == nil {
		var rows *tabular.Rows
		if rows, err = tabular.OpenRows(ctx, path, o); err == nil {
			next, done = r.recordParts(rows, r.next), rows.Close
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		defer close(in.ended)
		defer func() { _ = done() }()
		defer close(in.parts)
		// A file that makes a reader panic must not end the process.
		defer func() {
			if x := recover(); x != nil {
				in.err = feature.Errorf(feature.Internal, "ingest.import", path, "reading the file failed inside Weir: %v", x)
			}
		}()
		for {
			p, err := next()
			if err != nil {
				in.err = err
				return
			}
			select {
			case in.parts <- p:
			case <-ctx.Done():
				in.err = context.Cause(ctx)
				return
			}
		}
	}()
	return in, nil
}

// next gives the next part, io.EOF after the last.
func (in *importRows) next() (importPart, error) {
	p, ok := <-in.parts
	if !ok {
		return p, in.err
	}
	return p, nil
}

func (in *importRows) close() {
	in.stop()
	<-in.ended
}

// columnParts cuts a file into columns, without the first rows.
func columnParts(cols *tabular.Columns, skip int64) func() (importPart, error) {
	return func() (importPart, error) {
		for {
			c, err := cols.Next()
			if err != nil {
				return importPart{}, err
			}
			if last := c.First + int64(c.Len()); last <= skip {
				c.Release()
				continue
			}
			c.Skip(int(max(0, skip-c.First)))
			done, _ := cols.Progress()
			return importPart{first: c.First, next: c.First + int64(c.Len()), read: done, chunk: c}, nil
		}
	}
}

// recordParts cuts a file into records, without the first rows. A malformed row
// is no event; as it came, it fails to decode and goes to quarantine.
func (r *importRun) recordParts(rows *tabular.Rows, skip int64) func() (importPart, error) {
	at, most, room := time.UnixMicro(r.at.Started), r.p.BatchRows, int64(0)
	limit := r.p.BatchBytes
	return func() (importPart, error) {
		var p importPart
		slab := make([]kgo.Record, 0, most)
		text := make([]byte, 0, room) // of all payloads: one allocation for them
		for len(slab) < most && int64(len(text))+int64(len(slab))*rowCost < limit {
			row, err := rows.Next()
			if err != nil && (err != io.EOF || len(slab) == 0) {
				return p, err
			}
			if err != nil {
				break
			}
			if row.Number < skip {
				continue
			}
			from := len(text)
			text = append(text, row.Payload...)
			slab = append(slab, kgo.Record{Value: text[from:len(text):len(text)], Offset: row.Number, Timestamp: at})
		}
		room = int64(len(text)) * 9 / 8
		p.recs = make([]*kgo.Record, len(slab))
		for i := range slab {
			p.recs[i] = &slab[i]
		}
		p.first, p.next = slab[0].Offset, slab[len(slab)-1].Offset+1
		p.read, _ = rows.Progress()
		return p, nil
	}
}

const rowCost = 200 // bytes of a record beside its payload, about

// take brings a part on its way to the sinks.
func (r *importRun) take(ctx context.Context, p importPart) error {
	origin := feature.Origin{Topic: r.at.Topic, TopicID: r.at.TopicID, Partition: feature.ImportPartition, First: p.first, Next: p.next}
	if p.chunk == nil {
		return r.l.process(ctx, origin, p.recs)
	}
	defer p.chunk.Release()
	if r.cols != nil {
		res, fault, err := r.decodeColumns(ctx, p.chunk, origin)
		if err != nil {
			return err
		}
		if fault == "" {
			return r.l.pass(ctx, origin, []decode.Result{res}, func(offset int64) *kgo.Record { return r.record(p.chunk, offset) })
		}
		r.im.Log.Error("decoding columns failed inside Weir; the rest of the file is taken row by row", "row", p.first, "fault", fault)
		r.cols = nil
	}
	recs := make([]*kgo.Record, p.chunk.Len())
	for i := range recs {
		recs[i] = r.record(p.chunk, p.first+int64(i))
	}
	return r.l.process(ctx, origin, recs)
}

// record makes the record that a row would be on a topic.
func (r *importRun) record(c *tabular.Chunk, offset int64) *kgo.Record {
	return &kgo.Record{Value: c.JSON(int(offset - c.First)), Offset: offset, Timestamp: time.UnixMicro(r.at.Started)}
}

func (r *importRun) decodeColumns(ctx context.Context, c *tabular.Chunk, origin feature.Origin) (res decode.Result, fault string, err error) {
	done, err := r.p.mayDecode(ctx)
	if err != nil {
		return res, "", err
	}
	defer done()
	defer func() {
		if x := recover(); x != nil {
			fault = fmt.Sprint(x)
		}
	}()
	return r.cols.Decode(&decode.Table{First: c.First, Timestamp: r.at.Started, Values: c.Values, Long: c.Long, Doubt: c.Doubt, JSON: c.JSON}, origin), "", nil
}
