package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// ImportConfig is what imports are made of; the same parts that feed the stream.
type ImportConfig struct {
	Config
	Catalogs   Catalogs
	Open       OpenOutlets
	Quarantine *quarantine.Writer
	Replicas   int16
	Log        *slog.Logger
	Metrics    *Metrics
	Now        func() time.Time // the recorded start of an import; time.Now when nil
	// Ledger remembers finished imports; one that forgets when the process ends when nil.
	Ledger *Ledger
	// Positions tells where a view's table stands; for Imported.
	Positions func(ctx context.Context, v *feature.View) ([]feature.Position, error)
}

// Importer brings files in: each row is turned into an event and takes the
// way of an event, through the same decoder, schema, suite, quarantine and
// sinks. A file is known by its content: its coordinates are (first half of
// its SHA-256, partition -1, row), so the same content is taken once, whatever
// the file is called, and an import that died goes on where its last commit stands.
type Importer struct {
	ImportConfig

	mu   sync.Mutex
	busy map[string]chan struct{} // guarded by mu; by view and content; closed when the import has ended
}

// NewImporter makes an importer.
func NewImporter(c ImportConfig) *Importer {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Ledger == nil {
		c.Ledger, _ = OpenLedger("")
	}
	return &Importer{ImportConfig: c, busy: map[string]chan struct{}{}}
}

// ImportRequest names a file for a view.
type ImportRequest struct {
	Project, View string
	Path          string         // the file's content
	Name          string         // what people call it
	Format        tabular.Format // "" goes by Name
	NullValues    []string       // in addition to the source's
	ID            string         // that the content must have, as ImportResult; any when empty
	DryRun        bool           // judge the rows and write nothing anywhere
	// Unchanged, where set, is asked before each commit: an error says that the
	// content at Path is not what it was, and ends the import.
	Unchanged func() error
}

// ImportProgress is how far an import is.
type ImportProgress struct {
	Rows        int64 // rows taken so far, those of an earlier attempt included
	Bytes       int64 // of the file, read so far
	TotalBytes  int64
	Quarantined int64 // held back by this attempt
}

// ImportResult is what became of a file.
type ImportResult struct {
	ImportProgress
	Skipped int64            // rows that an earlier import of the same content had taken
	ID      string           // hex of the first half of the content's SHA-256
	Started int64            // when the first import of this content began, microseconds UTC
	Rules   map[string]int64 // how many of the rows held back by this attempt failed each rule

	changed bool // the content is not what it was
}

// Import takes a file in. progress may be nil.
func (im *Importer) Import(ctx context.Context, req ImportRequest, progress func(ImportProgress)) (ImportResult, error) {
	var res ImportResult
	cat, err := im.Catalogs.Current(ctx)
	if err != nil {
		return res, err
	}
	v, err := cat.View(req.Project, req.View)
	if err != nil {
		return res, err
	}
	format := req.Format
	if format == "" {
		if format, err = tabular.FormatOf(req.Name); err != nil {
			return res, feature.Errorf(feature.Invalid, "ingest.import", req.Name, "%w", err)
		}
	}
	id, total, err := hashFile(ctx, req.Path)
	if err != nil {
		return res, err
	}
	res.ID, res.TotalBytes = fmt.Sprintf("%x", id[:]), total
	if req.ID != "" && req.ID != res.ID {
		res.changed = true
		return res, feature.Errorf(feature.Conflict, "ingest.import", req.Name, "the content that arrived is not what was announced: the file was written to meanwhile").
			WithHint("import it again once nobody writes to it")
	}
	if req.DryRun {
		err := im.dryRun(ctx, cat, v, req, format, &res, progress)
		return res, err
	}
	if err := retry(ctx, im.Log, "quarantine", nil, func(ctx context.Context) error {
		return im.Quarantine.Ensure(ctx, req.Project, req.View, int64(im.MaxEventBytes), im.Replicas)
	}); err != nil {
		return res, err
	}
	release, err := im.alone(ctx, v.ID()+"/"+res.ID)
	if err != nil {
		return res, err
	}
	defer release()
	for try := 0; ; try++ {
		res := res
		err := im.attempt(ctx, cat, v, req, id, format, &res, progress)
		// Another process took rows of the same content meanwhile: go on where it stands.
		if err == nil {
			im.Ledger.finished(v.ID(), id, res.Rows)
		}
		if err == nil || feature.KindOf(err) != feature.Conflict || try == rivals || res.changed {
			return res, err
		}
	}
}

// rivals is how often an import goes on behind another one of the same content.
const rivals = 5

// alone waits until no other import of this process takes the same content into the same view.
func (im *Importer) alone(ctx context.Context, what string) (release func(), err error) {
	for {
		im.mu.Lock()
		other := im.busy[what]
		if other == nil {
			mine := make(chan struct{})
			im.busy[what] = mine
			im.mu.Unlock()
			return func() {
				im.mu.Lock()
				delete(im.busy, what)
				im.mu.Unlock()
				close(mine)
			}, nil
		}
		im.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (im *Importer) attempt(ctx context.Context, cat *registry.Catalog, v *feature.View, req ImportRequest, id [16]byte, format tabular.Format, res *ImportResult, progress func(ImportProgress)) error {
	o, err := im.Open(ctx, cat, v)
	if err != nil {
		return err
	}
	defer func() {
		if o.Close != nil {
			_ = o.Close()
		}
	}()
	run := &importRun{im: im, cat: cat, o: o, res: res, progress: progress, unchanged: req.Unchanged}
	if err := run.start(ctx, req, id, format); err != nil {
		return err
	}
	return run.all(ctx)
}

// importRun is one attempt at one file.
type importRun struct {
	im       *Importer
	cat      *registry.Catalog
	o        *Outlets
	p        *Pipeline // never runs; lends lane its settings
	l        *lane
	in       *importRows
	cols     *decode.Columns  // nil where rows come as records
	at       feature.Position // in the table
	next     int64            // first row not written to the sinks
	read     int64            // bytes of the file up to there
	res      *ImportResult
	progress func(ImportProgress)

	unchanged func() error // nil: nobody changes it
	dry       bool         // nothing is written
}

func (r *importRun) start(ctx context.Context, req ImportRequest, id [16]byte, format tabular.Format) error {
	im, v := r.im, r.o.View
	r.p = NewPipeline(PipelineConfig{Config: im.Config, Source: v.SourceOf, Revision: r.cat.Revision(), Outlets: []*Outlets{r.o}, Judge: judgeFrom(im.Catalogs),
		Quarantine: im.Quarantine, Log: im.Log.With("import", req.Name), Metrics: im.Metrics})
	var table []feature.Position
	if err := retry(ctx, im.Log, "table of "+v.ID(), nil, func(ctx context.Context) (err error) {
		table, err = r.o.Table.Positions(ctx)
		return err
	}); err != nil {
		return err
	}
	r.at = feature.Position{Topic: "file:" + filepath.Base(req.Name), TopicID: id, Partition: feature.ImportPartition}
	for _, p := range table {
		if p.Same(r.at) {
			r.at = p
		}
	}
	judged := v
	var j *judge
	if r.at.Commit == "" {
		if err := readable(ctx, req, v, format); err != nil {
			return err
		}
		c := &feature.Commit{ID: uuid.NewString(), View: v}
		to := r.at
		to.Revision, to.Commit, to.Started = r.cat.Revision(), c.ID, im.Now().UnixMicro()
		c.Advances = []feature.Advance{{To: to}}
		if err := r.p.register(ctx, r.o, c); err != nil {
			return err
		}
		r.at = to
	} else {
		var err error
		if j, err = r.p.judgeAt(ctx, v, r.at.Revision); err != nil {
			return err
		}
		if j != nil {
			judged = j.view
		}
	}
	for _, s := range r.o.Sinks {
		if err := retry(ctx, im.Log, s.Name()+" of "+v.ID(), r.p.tried(r.o, "assign"), func(ctx context.Context) error {
			return s.Assign(ctx, []feature.Position{r.at})
		}); err != nil {
			return err
		}
	}
	r.next, r.res.Skipped = r.at.Next, r.at.Next
	r.res.Started, r.res.Rules = r.at.Started, map[string]int64{}
	r.l = &lane{p: r.p, source: judged.SourceOf, broken: r.res.Rules, stuck: new(atomic.Bool), options: decode.Options{Import: true, MaxEventBytes: im.MaxEventBytes}}
	if err := r.l.add(j, r.o); err != nil {
		return err
	}
	if err := r.l.compile(); err != nil {
		return err
	}
	return r.openFile(ctx, req, judged, format)
}

// openFile opens the file for whoever judges it.
func (r *importRun) openFile(ctx context.Context, req ImportRequest, judged *feature.View, format tabular.Format) (err error) {
	r.in, err = r.open(ctx, req.Path, judged, rowOptions(req, judged, format))
	return err
}

func rowOptions(req ImportRequest, judged *feature.View, format tabular.Format) tabular.RowOptions {
	return tabular.RowOptions{Format: format, Types: eventTypes(judged), Times: timeFormats(judged.SourceOf),
		Nulls: append(append([]string{}, judged.SourceOf.NullValues...), req.NullValues...)}
}

// readable finds out before the table hears of the file whether it is one that can be read.
func readable(ctx context.Context, req ImportRequest, v *feature.View, format tabular.Format) error {
	rows, err := tabular.OpenRows(ctx, req.Path, rowOptions(req, v, format))
	if err != nil {
		return err
	}
	return rows.Close()
}

// eventTypes tells the file reader which columns of a file are numbers and
// booleans in events: what the schema declares, then what the view's columns say.
func eventTypes(v *feature.View) map[string]feature.Type {
	types := tabular.SchemaTypes(v.SourceOf.Schema)
	for _, t := range times(v.SourceOf) {
		if strings.HasPrefix(t.Format, "unix_") {
			types[t.Field] = feature.Int64
		}
	}
	for _, c := range v.Columns() {
		if _, ok := types[c.EventPath()]; !ok {
			types[c.EventPath()] = c.Type
		}
	}
	return types
}

func timeFormats(s *feature.Source) map[string]string {
	out := map[string]string{}
	for _, t := range times(s) {
		out[t.Field] = t.Format
	}
	return out
}

func times(s *feature.Source) []feature.TimeField {
	out := []feature.TimeField{s.EventTime}
	if s.Created != nil {
		out = append(out, *s.Created)
	}
	return out
}

// all reads the file to its end, committing when the sinks hold enough, and
// once more at the end: that commit is final, which closes the windows.
func (r *importRun) all(ctx context.Context) error {
	defer r.in.close()
	for {
		p, err := r.in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := r.take(ctx, p); err != nil {
			return err
		}
		r.next, r.read = p.next, p.read
		r.report()
		if r.p.buffered() >= r.p.FlushBytes {
			if err := r.flush(ctx, false); err != nil {
				return err
			}
		}
	}
	r.read = r.res.TotalBytes
	return r.flush(ctx, true)
}

func (r *importRun) report() {
	r.res.Rows, r.res.Bytes, r.res.Quarantined = r.next, r.read, r.l.held
	if r.progress != nil {
		r.progress(r.res.ImportProgress)
	}
}

// flush commits what is written. The last flush is made even when it has no
// new row, so that a file imported again closes what a crash left open.
func (r *importRun) flush(ctx context.Context, final bool) error {
	defer r.report()
	if r.unchanged != nil {
		if err := r.unchanged(); err != nil {
			r.res.changed = true
			return err
		}
	}
	if r.dry {
		return nil
	}
	if err := retry(ctx, r.im.Log, "quarantine", nil, r.p.held.Flush); err != nil {
		return err
	}
	c := &feature.Commit{ID: uuid.NewString(), View: r.o.View}
	to := r.at
	to.Next, to.Revision, to.Commit = r.next, r.cat.Revision(), c.ID
	if r.l.judges[0] != nil && !final {
		to.Revision = r.at.Revision // the older revision judges this file to its end
	}
	c.Advances = []feature.Advance{{From: r.at, To: to, Final: final, Drained: final}}
	for _, s := range r.o.Sinks {
		s.Cut(c)
	}
	if err := r.p.commitRound(ctx, &round{outlet: r.o, commit: c, cut: time.Now()}); err != nil {
		return err
	}
	r.at = to
	return nil
}

// hashFile is the file's identity: the first half of its SHA-256.
func hashFile(ctx context.Context, path string) (id [16]byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return id, 0, feature.Errorf(feature.NotFound, "ingest.import", path, "%w", err)
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		n, rerr := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if rerr == io.EOF {
			id = contentID(h)
			return id, size, nil
		}
		if rerr != nil {
			return id, size, feature.Errorf(feature.Invalid, "ingest.import", path, "%w", rerr)
		}
		if ctx.Err() != nil {
			return id, size, ctx.Err()
		}
	}
}
