package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmem "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// row is one row of the table and the file that it stands in.
type row struct {
	b    *feature.Batch
	i    int
	file offline.File
}

func (r row) offset() int64        { return r.b.Offsets[r.i] }
func (r row) partition() int32     { return r.b.Origin.Partition }
func (r row) effective() int64     { return r.b.Stamp(r.i).Effective() }
func (r row) String() string       { return fmt.Sprintf("%d@%d", r.partition(), r.offset()) }
func pathOf(uri string) string     { u, _ := url.Parse(uri); return filepath.FromSlash(u.Path) }
func (w *world) t1(err error)      { w.t.Helper(); require.NoError(w.t, err) }
func (w *world) topicID() [16]byte { return w.described().ID }

func (w *world) table() offline.Table {
	w.t.Helper()
	t, err := w.store.Table(w.t.Context(), w.view())
	require.NoError(w.t, err)
	return t
}

// only is a table of one file.
type only struct {
	offline.Table
	file offline.File
}

func (o only) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	st, err := o.Table.Load(ctx, v)
	if err != nil {
		return nil, err
	}
	one := *st
	one.Files = []offline.File{o.file}
	return &one, nil
}

// rows reads every row of Kafka's partitions, file by file.
func (w *world) rows() (out []row) {
	w.t.Helper()
	t := w.table()
	st, err := t.Load(w.t.Context(), offline.Version{})
	require.NoError(w.t, err)
	for _, f := range st.Files {
		require.NoError(w.t, offline.Scan(w.t.Context(), only{t, f}, offline.ScanOptions{}, func(b *feature.Batch) error {
			b.Rows.Retain()
			for i := range b.Len() {
				if b.Origin.Partition >= 0 {
					out = append(out, row{b, i, f})
				}
			}
			return nil
		}))
	}
	require.NotEmpty(w.t, out)
	return out
}

// picked is a random row.
func (w *world) picked() row {
	rows := w.rows()
	return rows[w.rng.IntN(len(rows))]
}

// copyOf is rows as a batch of their own; change gives the text of a value, by
// column, that a row is to have instead, "null" for none.
func copyOf(v *feature.View, rows []row, change map[string]string) *feature.Batch {
	b := &feature.Batch{View: v, Origin: rows[0].b.Origin}
	rb := array.NewRecordBuilder(arrowmem.DefaultAllocator, v.Schema())
	defer rb.Release()
	for _, r := range rows {
		b.Offsets = append(b.Offsets, r.offset())
		b.EventTime = append(b.EventTime, r.b.EventTime[r.i])
		b.KnownTime = append(b.KnownTime, r.b.KnownTime[r.i])
		b.Tombstone = append(b.Tombstone, r.b.Deleted(r.i))
		for n, c := range v.Columns() {
			text := "null"
			if col := r.b.Rows.Column(n); !col.IsNull(r.i) {
				text = col.ValueStr(r.i)
			}
			if other, ok := change[c.Name]; ok {
				text = other
			}
			if text == "null" {
				rb.Field(n).AppendNull()
			} else if err := rb.Field(n).AppendValueFromString(text); err != nil {
				panic(err)
			}
		}
	}
	b.Origin.First, b.Origin.Next = b.Offsets[0], b.Offsets[len(b.Offsets)-1]+1
	b.Rows = rb.NewRecordBatch()
	return b
}

var _ arrow.RecordBatch // the type of feature.Batch.Rows

// captured takes what a writer makes into memory.
type captured struct {
	offline.Table
	buf *bytes.Buffer
}

func (c captured) Create(context.Context, string) (offline.FileWriter, error) {
	return memFile{c.buf}, nil
}

type memFile struct{ *bytes.Buffer }

func (memFile) Commit() (string, error) { return "captured", nil }
func (memFile) Abort()                  {}

// foreign commits files and moves no position.
type foreign struct{ offline.Table }

func (f foreign) Append(ctx context.Context, c *feature.Commit, files []offline.File) error {
	return f.Table.Append(ctx, &feature.Commit{ID: c.ID, View: c.View}, files)
}

// write puts batches through an offline.Writer on t.
func (w *world) write(t offline.Table, commit bool, bs ...*feature.Batch) {
	w.t.Helper()
	ow, err := offline.NewWriter(t, offline.DefaultConfig(), w.log, prometheus.NewRegistry())
	require.NoError(w.t, err)
	c := &feature.Commit{ID: uuid.NewString(), View: t.View()}
	for _, b := range bs {
		w.t1(ow.Write(w.t.Context(), b))
		c.Advances = append(c.Advances, feature.Advance{To: feature.Position{Topic: b.Origin.Topic, TopicID: b.Origin.TopicID, Partition: b.Origin.Partition, Next: b.Origin.Next}})
	}
	ow.Cut(c)
	w.t1(ow.Stage(w.t.Context(), c))
	if commit {
		w.t1(ow.Commit(w.t.Context(), c))
	}
	w.t1(ow.Close())
}

// rewrite makes a data file anew, as if it had always been so: of each of its rows
// fn says whether it is kept, and with which other values.
func (w *world) rewrite(f offline.File, fn func(r row) (keep bool, change map[string]string)) {
	w.t.Helper()
	var bs []*feature.Batch
	for _, r := range w.rows() {
		if r.file.Path != f.Path {
			continue
		}
		if keep, change := fn(r); keep {
			b := copyOf(w.view(), []row{r}, change)
			bs = append(bs, b)
		}
	}
	buf := &bytes.Buffer{}
	w.write(captured{w.table(), buf}, false, bs...)
	w.t1(os.WriteFile(pathOf(f.Path), buf.Bytes(), 0o600))
}

// add appends rows to the table, as a commit that is none of ingestion's.
func (w *world) add(b *feature.Batch) { w.t.Helper(); w.write(foreign{w.table()}, true, b) }

// hold writes an entry into the view's quarantine.
func (w *world) hold(e *quarantine.Entry) {
	w.t.Helper()
	e.Project, e.View = "p", "person"
	qw := quarantine.NewWriter(w.client())
	w.t1(qw.Ensure(w.t.Context(), "p", "person", 1<<20, 1))
	s := qw.Session()
	w.t1(s.Write(w.t.Context(), e))
	w.t1(s.Flush(w.t.Context()))
}

// entries are those of Kafka's partitions.
func (w *world) entries() (out []*quarantine.Entry) {
	w.t.Helper()
	w.t1(quarantine.NewReader(w.opts...).Each(w.t.Context(), "p", "person", nil, func(e *quarantine.Entry) error {
		if e.Partition >= 0 {
			out = append(out, e)
		}
		return nil
	}))
	require.NotEmpty(w.t, out)
	return out
}

// discard deletes an entry.
func (w *world) discard(e *quarantine.Entry) {
	w.t.Helper()
	w.t1(w.client().ProduceSync(w.t.Context(), &kgo.Record{Topic: quarantine.Topic("p", "person"), Key: []byte(e.ID())}).FirstErr())
}

// copyDir copies a folder.
func copyDir(from, to string) error { return os.CopyFS(to, os.DirFS(from)) }

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
